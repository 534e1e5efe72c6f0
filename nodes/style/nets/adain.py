"""The pair of Huang and Belongie (2017): an encoder, a decoder, and between them the reference's mean and deviation.

The encoder is VGG-19 up to its ninth convolution (relu4_1), behind one of 1x1; the decoder is the way back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import Conv, Style
from .net import StyleNet
from .passes import Pass, moments_of

# Numbers of the convolutions in the lists of layers that the files were made of, and what happens before or after them.
ENCODER_CONVS = (0, 2, 5, 9, 12, 16, 19, 22, 25, 29)
DECODER_CONVS = (1, 5, 8, 11, 14, 18, 21, 25, 28)
_HALVED_AFTER = frozenset({5, 12, 25})
_DOUBLED_BEFORE = frozenset({5, 18, 25})
_EPS = 1e-5
# Mean and deviation of a reference are not seen finer than this.
_REFERENCE_SIDE = 512


class AdaptiveNorm(StyleNet):
    """`encoder` and `decoder` in the order of `ENCODER_CONVS` and `DECODER_CONVS`."""

    needs_reference = True

    def __init__(self, encoder: Sequence[Conv], decoder: Sequence[Conv]) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.ModuleList(encoder), nn.ModuleList(decoder)

    def _encode(self, x: Tensor, run: Pass) -> Tensor:
        for number, conv in zip(ENCODER_CONVS, self.encoder, strict=True):
            x = conv(x, run.check)
            if number:  # the first only turns colours into what VGG is used to
                x = F.relu_(x)
            if number in _HALVED_AFTER:
                x = F.max_pool2d(x, 2, ceil_mode=True)
        return x

    def style(
        self,
        seed: int,  # noqa: ARG002 - the reference is all there is
        reference: Tensor | None,
        check: Callable[[], None],
    ) -> Style:
        """Mean and deviation of the encoded reference, `[2, C]`."""
        assert reference is not None
        picture = reference.unsqueeze(0)
        scale = _REFERENCE_SIDE / max(picture.shape[-2:])
        if scale < 1:
            size = [max(1, round(side * scale)) for side in picture.shape[-2:]]
            picture = F.interpolate(picture, size=size, mode="bilinear", antialias=True, align_corners=False)
        mean, variance = moments_of(self._encode(picture, Pass(check)), correction=1)
        return torch.stack((mean.flatten(), torch.sqrt(variance.flatten() + _EPS)))

    def forward(self, rgb: Tensor, style: Style, run: Pass) -> Tensor:
        """One pass; what the halving added at the right and the bottom is cut off."""
        assert isinstance(style, Tensor)
        x = self._encode(rgb, run)
        mean, variance = run.moments(x, correction=1)
        scale = style[1].reshape(1, -1, 1, 1) / torch.sqrt(variance + _EPS)
        x = (x - mean) * scale + style[0].reshape(1, -1, 1, 1)
        for number, conv in zip(DECODER_CONVS, self.decoder, strict=True):
            if number in _DOUBLED_BEFORE:
                x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = conv(x, run.check)
            if number != DECODER_CONVS[-1]:
                x = F.relu_(x)
        return x[..., : rgb.shape[-2], : rgb.shape[-1]]
