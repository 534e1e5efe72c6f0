"""The net of Johnson, Alahi and Fei-Fei (2016) in its variants: down, residual blocks, up.

A file has one style, or several by conditional norms. Owns the shape; `layouts` knows what the parts are called in files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from .layers import Stage, Style
from .net import StyleNet
from .passes import Pass


class FeedForward(StyleNet):
    """Stages as they are used; `white` is what the file's net calls 1.0, at its input and at its output."""

    def __init__(
        self,
        down: Sequence[Stage],
        blocks: Sequence[tuple[Stage, Stage]],
        up: Sequence[Stage],
        *,
        styles: int = 1,
        white: float = 1.0,
        sigmoid: bool = False,
    ) -> None:
        super().__init__()
        self.down, self.up = nn.ModuleList(down), nn.ModuleList(up)
        self.blocks = nn.ModuleList([nn.ModuleList(pair) for pair in blocks])
        self.styles, self.white, self.sigmoid = styles, white, sigmoid

    def style(
        self,
        seed: int,
        reference: Tensor | None,  # noqa: ARG002 - its styles are its own
        check: Callable[[], None],  # noqa: ARG002 - nothing to work out
    ) -> Style:
        """The seed counts through the styles of the file."""
        return seed % self.styles

    def forward(self, rgb: Tensor, style: Style, run: Pass) -> Tensor:
        """One pass; what the halving added at the right and the bottom is cut off."""
        x = rgb * self.white
        for stage in self.down:
            x = F.relu_(stage(x, style, run))
        for first, second in self.blocks:
            x = x + second(F.relu_(first(x, style, run)), style, run)
        for stage in self.up[:-1]:
            x = F.relu_(stage(x, style, run))
        x = self.up[-1](x, style, run)
        x = x.sigmoid_() if self.sigmoid else x / self.white
        return x[..., : rgb.shape[-2], : rgb.shape[-1]]
