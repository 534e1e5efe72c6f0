"""What style nets are made of: padded convolutions, and norms whose scale and shift depend on the style."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .passes import Pass

# What a net paints with: the number of one of its own styles, or the numbers that describe a reference picture.
Style = int | Tensor
# So much is computed between two looks at whether to go on: some tenths of a second on one slow core.
STRIP_OPERATIONS = 4_000_000_000


def pad_by_mirror(x: Tensor, by: int) -> Tensor:
    """`by` pixels on every side; a picture too small for a mirror has its edge repeated."""
    if by == 0:
        return x
    mode = "reflect" if by < min(x.shape[-2:]) else "replicate"
    return F.pad(x, (by, by, by, by), mode=mode)


def _fixed(values: Tensor) -> nn.Parameter:
    return nn.Parameter(values, requires_grad=False)


class Conv(nn.Module):
    """A convolution that keeps the size, or halves it with `stride` 2; `weight` is `[out, in, k, k]`."""

    def __init__(self, weight: Tensor, bias: Tensor | None, stride: int = 1) -> None:
        super().__init__()
        self.weight = _fixed(weight)
        self.bias = None if bias is None else _fixed(bias)
        self.stride = stride

    def forward(self, x: Tensor, check: Callable[[], None]) -> Tensor:
        """`[1, in, H, W]` to `[1, out, H', W']`; on a processor in strips, between which `check` may stop the work."""
        kernel, stride = self.weight.shape[-1], self.stride
        x = pad_by_mirror(x, kernel // 2)
        height, width = ((side - kernel) // stride + 1 for side in x.shape[-2:])
        strip = max(1, STRIP_OPERATIONS // (2 * width * self.weight.numel()))
        check()
        if x.device.type != "cpu" or strip >= height:
            return F.conv2d(x, self.weight, self.bias, stride=stride)
        out = torch.empty((1, self.weight.shape[0], height, width), dtype=x.dtype)
        for top in range(0, height, strip):
            check()
            bottom = min(top + strip, height)
            rows = x[..., top * stride : (bottom - 1) * stride + kernel, :]
            out[..., top:bottom, :] = F.conv2d(rows, self.weight, self.bias, stride=stride)
        return out


class TableAffine(nn.Module):
    """Scale and shift of each style that the net learned, `[styles, C]` both."""

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.scale, self.shift = _fixed(scale), _fixed(shift)

    def forward(self, style: Style) -> tuple[Tensor, Tensor]:
        """Those of style number `style`."""
        return self.scale[style], self.shift[style]


class Stage(nn.Module):
    """Perhaps doubling, a convolution, perhaps a norm."""

    def __init__(self, conv: Conv, affine: TableAffine | None, eps: float, *, doubling: bool = False) -> None:
        super().__init__()
        self.conv, self.affine, self.eps, self.doubling = conv, affine, eps, doubling

    def forward(self, x: Tensor, style: Style, run: Pass) -> Tensor:
        """One stage of one pass."""
        if self.doubling:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        x = self.conv(x, run.check)
        if self.affine is None:
            return x
        mean, variance = run.moments(x)
        scale, shift = self.affine(style)
        scale = scale.reshape(1, -1, 1, 1) / torch.sqrt(variance + self.eps)
        return x.mul_(scale).add_(shift.reshape(1, -1, 1, 1) - mean * scale)
