"""Laying planned strokes down, tile by tile, and lighting the paint's relief.

Every pixel is independent of every other, and works from absolute coordinates: how the picture is
cut into tiles cannot be seen. Owns no planning and no palette.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .color import oklab_to_rgb
from .filters import blur, gradients
from .frame import Frame, Rect, tiles
from .sampling import sample_map
from .strokes import STROKES_END, PlannedLayer, dab
from .watch import Watch

_LIGHT = (-0.6, -0.7)


@dataclass(frozen=True, slots=True)
class Wet:
    """Paint on one tile: OKLab `[3, h, w]` and height `[1, h, w]`."""

    color: Tensor
    height: Tensor


def _candidates(x: Tensor, phase: int, layer: PlannedLayer, last: int) -> Tensor:
    """Grid index of the one stroke of a coset that may touch each row or column `x`."""
    cell = (x + 0.5) / layer.spacing - 0.5 + layer.pad
    index = torch.round((cell - phase) / layer.group) * layer.group + phase
    # Beyond the grid lies only what cannot reach the picture: step back inside, in the coset.
    index = torch.where(index > last, index - layer.group, index)
    return torch.where(index < 0, index + layer.group, index).long()


def _place(shape: Tensor, rows: Tensor, cols: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates along and across the candidate stroke, -1..1 inside it."""
    dx, dy = cols - shape[0], rows.unsqueeze(1) - shape[1]
    u = dx * shape[2] + dy * shape[3]
    v = dy * shape[4] - dx * shape[5] - shape[6] * (u * u)
    return u, v


def _inside(u: Tensor, v: Tensor, layer: PlannedLayer) -> Tensor:
    """Where a stroke may leave paint: its outline is `|u|**2.5 + |v|**2.5 = 1`, plus the soft edge."""
    return torch.maximum(u.abs(), v.abs()) < (1 + layer.edge) ** 0.4


def _lay_coset(wet: Wet, layer: PlannedLayer, coset: tuple[int, int], rows: Tensor, cols: Tensor) -> None:
    """Paint the strokes of one coset over a tile, in place."""
    grid_rows, grid_cols = layer.shape.shape[-2:]
    ri = _candidates(rows, coset[0], layer, grid_rows - 1)
    ci = _candidates(cols, coset[1], layer, grid_cols - 1)
    # Columns of the few distinct rows first, then whole rows: copies instead of scattered reads.
    shape = layer.shape[:, int(ri[0]) : int(ri[-1]) + 1, :][:, :: layer.group]
    if not bool((shape[0] < STROKES_END).any()):
        return
    local = (ri - ri[0]) // layer.group
    shape = shape[:, :, ci].index_select(1, local)
    u, v = _place(shape, rows, cols)
    spots = _inside(u, v, layer).flatten().nonzero().squeeze(1)
    if spots.numel() == 0:
        return
    width = len(cols)
    stroke = ri[spots // width] * grid_cols + ci[spots % width]
    got = dab(u.flatten()[spots], v.flatten()[spots], layer.paint.flatten(1)[:, stroke], layer)
    color, height = wet.color.flatten(1), wet.height.flatten(1)
    before = color[:, spots]
    color[:, spots] = before + got.alpha * (got.color - before)
    under = height[0, spots]
    height[0, spots] = under + got.build * (got.height - under)


def _lay_coset_dense(wet: Wet, layer: PlannedLayer, coset: tuple[int, int], rows: Tensor, cols: Tensor) -> None:
    """As `_lay_coset` without asking the device which pixels are inside: no round trip."""
    grid_rows, grid_cols = layer.shape.shape[-2:]
    ri = _candidates(rows, coset[0], layer, grid_rows - 1)
    ci = _candidates(cols, coset[1], layer, grid_cols - 1)
    u, v = _place(layer.shape[:, :, ci][:, ri], rows, cols)
    got = dab(u, v.clamp(-2.0, 2.0), layer.paint[:, :, ci][:, ri], layer)
    inside = _inside(u, v, layer).to(u.dtype)
    wet.color.add_(inside * got.alpha * (got.color - wet.color))
    wet.height.add_(inside * got.build * (got.height - wet.height))


def paint_tile(layers: Sequence[PlannedLayer], wet: Wet, rect: Rect, frame: Frame, watch: Watch) -> None:
    """Paint all layers over the ground already in `wet`, in place."""
    rows, cols = frame.rows(rect), frame.cols(rect)
    lay = _lay_coset if frame.device.type == "cpu" else _lay_coset_dense
    for layer in layers:
        watch.check()
        for coset in layer.cosets:
            lay(wet, layer, coset, rows, cols)


def paint(
    layers: Sequence[PlannedLayer], ground: Tensor, frame: Frame, tile: int, watch: Watch
) -> tuple[Tensor, Tensor]:
    """Paint the whole picture over `ground` (OKLab on the map grid).

    Returns sRGB `[3, H, W]` and height `[1, H, W]`; one tick per tile.
    """
    rgb = torch.empty((3, frame.height, frame.width), device=frame.device)
    height = torch.empty((1, frame.height, frame.width), device=frame.device)
    for rect in tiles(frame.height, frame.width, tile):
        color = sample_map(frame, ground, rect).clone(memory_format=torch.contiguous_format)
        wet = Wet(color, torch.full_like(color[:1], 0.3))
        paint_tile(layers, wet, rect, frame, watch)
        rows, cols = rect.slices
        rgb[:, rows, cols] = oklab_to_rgb(wet.color)
        height[:, rows, cols] = wet.height
        watch.tick()
    return rgb, height


def light_relief(
    rgb: Tensor, height: Tensor, frame: Frame, strength: float, gloss: float, tile: int, watch: Watch
) -> Tensor:
    """Light the paint from the upper left, in place, by bands; one tick per tile-high band."""
    halo = int(2 * frame.unit) + 3
    for top in range(0, frame.height, tile):
        watch.check()
        low, high = max(0, top - halo), min(frame.height, top + tile + halo)
        bottom = min(frame.height, top + tile)
        gx, gy = gradients(blur(height[:, low:high], 0.5 * frame.unit))
        shade = (gx * _LIGHT[0] + gy * _LIGHT[1]) * -frame.unit
        shade = shade[:, top - low : bottom - low]
        band = rgb[:, top:bottom]
        lit = band * (1 + (strength * shade).clamp(-0.35, 0.35)) + gloss * shade.clamp_min(0.0) ** 2
        rgb[:, top:bottom] = lit.clamp(0.0, 1.0)
        watch.tick()
    return rgb
