"""How the filter presets are rendered: one plan for the whole picture, then tile by tile from it.

Owns the order of work, ticks and checks; owns no look.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from ..frame import Frame, Rect, count_tiles, tiles
from .base import Preset, Render

Plan = TypeVar("Plan")


def drawn_preset(name: str, plan: Callable[[Render], Plan], draw: Callable[[Plan, Frame, Rect], Tensor]) -> Preset:
    """A preset that plans the whole picture and then draws its tiles, sRGB `[3, h, w]` each."""

    def render(job: Render) -> Tensor:
        made = plan(job)
        return draw_tiles(job, lambda rect: draw(made, job.frame, rect))

    return Preset(name, render, count_steps)


def draw_tiles(job: Render, draw: Callable[[Rect], Tensor]) -> Tensor:
    """The picture made of `draw(rect)`, sRGB `[3, h, w]` each; call it when the plan stands."""
    job.watch.tick()
    out = torch.empty_like(job.rgb)
    for rect in tiles(job.frame.height, job.frame.width, job.tile):
        job.watch.check()
        rows, cols = rect.slices
        out[:, rows, cols] = draw(rect)
        job.watch.done(rect, out[:, rows, cols])
    return out


def count_steps(height: int, width: int, tile: int) -> int:
    """The plan and every tile."""
    return 1 + count_tiles(height, width, tile)


def swatch(color: tuple[float, float, float], device: torch.device) -> Tensor:
    """One colour as a picture `[3, 1, 1]` that goes with any other."""
    return torch.tensor(color, device=device).reshape(3, 1, 1)
