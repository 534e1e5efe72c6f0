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
_GROUND_HEIGHT = 0.3
# What shows less than this through the paint above it is not painted.
_COVERED = 1e-3
# Share of a tile below which its open pixels are looked at one by one.
_MANY = 0.3


@dataclass(frozen=True, slots=True)
class Wet:
    """Paint on one tile, laid from the topmost stroke down, and what still shows through it.

    OKLab `[3, h, w]` and height `[1, h, w]` so far; `clear` `[1, h, w]` is the share of colour, and
    `clear_height` of height, that what lies below will have; `open` where either is worth painting.
    """

    color: Tensor
    height: Tensor
    clear: Tensor
    clear_height: Tensor
    open: Tensor

    @classmethod
    def empty(cls, height: int, width: int, device: torch.device) -> Wet:
        """A tile without paint."""
        bare = torch.ones((2, 1, height, width), device=device)
        paint = torch.zeros((4, height, width), device=device)
        return cls(paint[:3], paint[3:], bare[0], bare[1], torch.ones((height, width), device=device) > 0)


def _candidates(x: Tensor, phase: int, layer: PlannedLayer, last: int) -> Tensor:
    """Grid index of the one stroke of a coset that may touch each row or column `x`."""
    cell = (x + 0.5) / layer.spacing - 0.5 + layer.pad
    index = torch.round((cell - phase) / layer.group) * layer.group + phase
    # Beyond the grid lies only what cannot reach the picture: step back inside, in the coset.
    index = torch.where(index > last, index - layer.group, index)
    return torch.where(index < 0, index + layer.group, index).long()


def _place(shape: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates along and across the candidate stroke, -1..1 inside it."""
    dx, dy = x - shape[0], y - shape[1]
    u = dx * shape[2] + dy * shape[3]
    v = dy * shape[4] - dx * shape[5] - shape[6] * (u * u)
    return u, v


def _inside(u: Tensor, v: Tensor, layer: PlannedLayer) -> Tensor:
    """Where a stroke may leave paint: its outline is `|u|**n + |v|**n = 1` plus the soft edge, n 2.5 or, of dots, 2."""
    return torch.maximum(u.abs(), v.abs()) < (1 + layer.edge) ** (0.5 if layer.dot else 0.4)


def _lay_spots(wet: Wet, layer: PlannedLayer, place: Tensor, spots: Tensor, stroke: Tensor) -> None:
    """Slip paint under what lies at some pixels of the tile; `place` is (u, v) there."""
    got = dab(place[0], place[1], layer.paint.flatten(1)[:, stroke], layer)
    clear, clear_height = wet.clear.flatten(), wet.clear_height.flatten()
    shows, rises = clear[spots], clear_height[spots]
    color, height = wet.color.flatten(1), wet.height.flatten()
    color[:, spots] += shows * got.alpha * got.color
    height[spots] += rises * got.build * got.height
    shows, rises = shows * (1 - got.alpha), rises * (1 - got.build)
    clear[spots], clear_height[spots] = shows, rises
    wet.open.flatten()[spots] = torch.maximum(shows, rises) > _COVERED


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
    u, v = _place(shape[:, :, ci].index_select(1, local), rows.unsqueeze(1), cols)
    spots = (_inside(u, v, layer) & wet.open).flatten().nonzero().squeeze(1)
    stroke = ri[spots // len(cols)] * grid_cols + ci[spots % len(cols)]
    _lay_spots(wet, layer, torch.stack((u.flatten()[spots], v.flatten()[spots])), spots, stroke)


def _lay_coset_sparse(
    wet: Wet, layer: PlannedLayer, coset: tuple[int, int], rows: Tensor, cols: Tensor, left: Tensor
) -> None:
    """As `_lay_coset`, looking only at the pixels `left` (flat indices into the tile)."""
    grid_rows, grid_cols = layer.shape.shape[-2:]
    ri = _candidates(rows, coset[0], layer, grid_rows - 1)
    ci = _candidates(cols, coset[1], layer, grid_cols - 1)
    down, along = left // len(cols), left % len(cols)
    stroke = ri[down] * grid_cols + ci[along]
    place = torch.stack(_place(layer.shape.flatten(1)[:, stroke], rows[down], cols[along]))
    found = (_inside(place[0], place[1], layer) & wet.open.flatten()[left]).nonzero().squeeze(1)
    _lay_spots(wet, layer, place[:, found], left[found], stroke[found])


def _lay_coset_dense(wet: Wet, layer: PlannedLayer, coset: tuple[int, int], rows: Tensor, cols: Tensor) -> None:
    """As `_lay_coset` without asking the device which pixels are inside: no round trip."""
    grid_rows, grid_cols = layer.shape.shape[-2:]
    ri = _candidates(rows, coset[0], layer, grid_rows - 1)
    ci = _candidates(cols, coset[1], layer, grid_cols - 1)
    u, v = _place(layer.shape[:, :, ci][:, ri], rows.unsqueeze(1), cols)
    got = dab(u, v.clamp(-2.0, 2.0), layer.paint[:, :, ci][:, ri], layer)
    inside = _inside(u, v, layer).to(u.dtype)
    alpha, build = inside * got.alpha, inside * got.build
    wet.color.add_(wet.clear * alpha * got.color)
    wet.height.add_(wet.clear_height * build * got.height)
    wet.clear.mul_(1 - alpha)
    wet.clear_height.mul_(1 - build)


def _lay_layer(wet: Wet, layer: PlannedLayer, rows: Tensor, cols: Tensor) -> None:
    """Paint one layer on the processor, looking at fewer pixels as more are covered."""
    left: Tensor | None = None
    for number, coset in enumerate(layer.cosets):
        if number % layer.group == 0:
            still_open = wet.open.flatten().nonzero().squeeze(1)
            if len(still_open) == 0:
                return
            left = None if len(still_open) > _MANY * wet.open.numel() else still_open
        if left is None:
            _lay_coset(wet, layer, coset, rows, cols)
        else:
            _lay_coset_sparse(wet, layer, coset, rows, cols, left)


def paint_tile(layers: Sequence[PlannedLayer], wet: Wet, rect: Rect, frame: Frame, watch: Watch) -> None:
    """Paint all layers, the last of which lies on top, in place."""
    rows, cols = frame.rows(rect), frame.cols(rect)
    for layer in reversed(layers):
        watch.check()
        if frame.device.type == "cpu":
            _lay_layer(wet, layer, rows, cols)
        else:
            for coset in layer.cosets:
                _lay_coset_dense(wet, layer, coset, rows, cols)


def paint(
    layers: Sequence[PlannedLayer], ground: Tensor, frame: Frame, tile: int, watch: Watch
) -> tuple[Tensor, Tensor]:
    """Paint the whole picture over `ground` (OKLab on the map grid).

    Returns sRGB `[3, H, W]` and height `[1, H, W]`; one tick per tile.
    """
    rgb = torch.empty((3, frame.height, frame.width), device=frame.device)
    height = torch.empty((1, frame.height, frame.width), device=frame.device)
    for rect in tiles(frame.height, frame.width, tile):
        wet = Wet.empty(rect.bottom - rect.top, rect.right - rect.left, frame.device)
        paint_tile(layers, wet, rect, frame, watch)
        rows, cols = rect.slices
        rgb[:, rows, cols] = oklab_to_rgb(wet.color + wet.clear * sample_map(frame, ground, rect))
        height[:, rows, cols] = wet.height + wet.clear_height * _GROUND_HEIGHT
        watch.done(rect, rgb[:, rows, cols])
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
        watch.done(Rect(top, 0, bottom, frame.width), rgb[:, top:bottom])
    return rgb
