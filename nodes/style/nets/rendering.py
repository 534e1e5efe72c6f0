"""A net as a style: pictures of any size, a large one in parts that are normed as one.

Owns sizes, parts and progress; the net is `net.StyleNet`, the rest of what a style is `presets.base.Preset`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..color import oklab_to_rgb, rgb_to_oklab
from ..frame import Rect, count_tiles, tiles
from ..presets.base import Preset, Render
from .layers import Style
from .net import ALIGNMENT, HALO, StyleNet
from .passes import Moments, Pass

# A picture no larger than this on its longer side is painted whole; of a larger one this size is measured.
WHOLE_SIDE = 768
PART_SIDE = 512


def net_preset(name: str, net: StyleNet) -> Preset:
    """The style called `name` that this net paints; the net has to be where the pictures are."""
    return Preset(name, lambda job: _render(job, net), _steps, needs_reference=net.needs_reference)


def part_side(tile: int) -> int:
    """Side of a part without its halo, for a tile size: small tiles would be mostly halo."""
    return max(ALIGNMENT, min(PART_SIDE, 2 * tile) // ALIGNMENT * ALIGNMENT)


def _is_whole(height: int, width: int) -> bool:
    return max(height, width) <= WHOLE_SIDE


def _steps(height: int, width: int, tile: int) -> int:
    return 1 if _is_whole(height, width) else 1 + count_tiles(height, width, part_side(tile))


def _render(job: Render, net: StyleNet) -> Tensor:
    job.watch.check()
    style = net.style(job.seed, job.reference, job.watch.check)
    height, width = job.rgb.shape[-2:]
    if _is_whole(height, width):
        painted: Tensor = net(job.rgb.unsqueeze(0), style, Pass(job.watch.check))[0]
        painted = _colored(job, job.rgb, painted)
        job.watch.done(Rect(0, 0, height, width), painted)
        return painted
    known = _measure(job, net, style)
    job.watch.tick()
    out = torch.empty_like(job.rgb)
    for rect in tiles(height, width, part_side(job.tile)):
        rows, cols = rect.slices
        out[:, rows, cols] = _colored(job, job.rgb[:, rows, cols], _paint_part(job, net, style, known, rect))
        job.watch.done(rect, out[:, rows, cols])
    return out


def _colored(job: Render, before: Tensor, painted: Tensor) -> Tensor:
    """`painted` within 0..1; its hue and chroma as far from the picture's as `palette_strength` says."""
    painted = painted.clamp(0.0, 1.0)
    if job.palette_strength == 1:
        return painted
    old, new = rgb_to_oklab(before), rgb_to_oklab(painted)
    new[1:] = torch.lerp(old[1:], new[1:], job.palette_strength)
    return oklab_to_rgb(new).clamp(0.0, 1.0)


def _measure(job: Render, net: StyleNet, style: Style) -> list[Moments]:
    """What the norms of the net find in a thumbnail."""
    height, width = job.rgb.shape[-2:]
    scale = WHOLE_SIDE / max(height, width)
    size = [max(1, round(side * scale)) for side in (height, width)]
    small = F.interpolate(job.rgb.unsqueeze(0), size=size, mode="bilinear", antialias=True, align_corners=False)
    run = Pass(job.watch.check)
    net(small, style, run)
    return run.seen


def _paint_part(job: Render, net: StyleNet, style: Style, known: list[Moments], rect: Rect) -> Tensor:
    """One part, painted with as much around it as can matter."""
    height, width = job.rgb.shape[-2:]
    top, left = max(0, rect.top - HALO), max(0, rect.left - HALO)
    bottom, right = min(height, rect.bottom + HALO), min(width, rect.right + HALO)
    cut = job.rgb[:, top:bottom, left:right].unsqueeze(0)
    painted = net(cut, style, Pass(job.watch.check, known))[0]
    rows, cols = slice(rect.top - top, rect.bottom - top), slice(rect.left - left, rect.right - left)
    return painted[:, rows, cols]
