"""A small picture of a large one while it is being painted.

Starts as the input and takes in every finished tile, mixed as the result will be. Reads only the
pixels that it shows. Owns no sending and no clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .blend import as_rgb, fitted_mask
from .frame import Rect


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who wants to see: `look` is given sRGB `[h, w, 3]` 0..1 on the CPU, no side longer than `side`.

    It is the same tensor each time and goes on changing: what is to stay is copied.
    """

    side: int
    look: Callable[[Tensor], None]


class Preview:
    """Every `step`-th pixel of one picture, as far as it is painted."""

    def __init__(self, picture: Tensor, share: float, mask: Tensor | None, viewer: Viewer) -> None:
        """Of `[H, W, C]`; `share` and `mask` `[H, W]` weigh what is painted, as in `blend`."""
        height, width = picture.shape[:2]
        self._step = max(1, -(-max(height, width) // max(1, viewer.side)))
        cpu = torch.device("cpu")
        self._before = as_rgb(picture[:: self._step, :: self._step], cpu)
        small = self._before.shape[-2:]
        weight = torch.ones(small) if mask is None else fitted_mask(mask, height, width, cpu)
        self._weight = share * (weight if mask is None else weight[:: self._step, :: self._step])
        self._now = self._before.permute(1, 2, 0).contiguous()
        self._viewer = viewer

    def show(self, rect: Rect, pixels: Tensor) -> None:
        """Take in `pixels` `[3, h, w]` of the rectangle, and let the viewer look."""
        step = self._step
        skip_y, skip_x = -rect.top % step, -rect.left % step
        top, left = -(-rect.top // step), -(-rect.left // step)
        small = pixels[:, skip_y::step, skip_x::step].to("cpu")
        rows, cols = slice(top, top + small.shape[1]), slice(left, left + small.shape[2])
        mixed = torch.lerp(self._before[:, rows, cols], small, self._weight[rows, cols])
        self._now[rows, cols] = mixed.permute(1, 2, 0)
        self._viewer.look(self._now)
