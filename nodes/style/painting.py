"""Laying planned strokes down, tile by tile, and lighting the paint's relief.

Every pixel is independent of every other, and works from absolute coordinates: how the picture is
cut into tiles cannot be seen. Owns no planning and no palette.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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
# Tiles a side that a processor paints in one go: a stroke costs little more than the call that lays it.
_TILES_AT_ONCE = 2


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


def _place(shape: Tensor, dy: Tensor, dx: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates along and across a stroke at some distance from its centre, -1..1 inside it."""
    u = dx * shape[2] + dy * shape[3]
    v = dy * shape[4] - dx * shape[5] - shape[6] * (u * u)
    return u, v


def _inside(u: Tensor, v: Tensor, layer: PlannedLayer) -> Tensor:
    """Where a stroke may leave paint: its outline is `|u|**n + |v|**n = 1` plus the soft edge, n 2.5 or, of dots, 2."""
    return torch.maximum(u.abs(), v.abs()) < (1 + layer.edge) ** (0.5 if layer.dot else 0.4)


def _lay_spots(wet: Wet, layer: PlannedLayer, place: Tensor, spots: Tensor, stroke: Tensor) -> None:
    """Slip paint under what lies at some pixels of the tile, no two alike; `place` is (u, v) there.

    `index_select`, `index_add_` and `scatter_` take a tenth of the time of indexing with a tensor.
    """
    got = dab(place[0], place[1], layer.paint.flatten(1).index_select(1, stroke), layer)
    clear, clear_height = wet.clear.flatten(), wet.clear_height.flatten()
    shows, rises = clear.index_select(0, spots), clear_height.index_select(0, spots)
    wet.color.flatten(1).index_add_(1, spots, got.color.mul_(shows * got.alpha))
    wet.height.flatten().index_add_(0, spots, got.height.mul_(rises * got.build))
    shows, rises = shows * (1 - got.alpha), rises * (1 - got.build)
    clear.scatter_(0, spots, shows)
    clear_height.scatter_(0, spots, rises)
    wet.open.flatten().scatter_(0, spots, torch.maximum(shows, rises) > _COVERED)


def _reaching(low: int, high: int, phase: int, layer: PlannedLayer, last: int) -> tuple[int, int]:
    """First and one past the last row or column of a coset's grid whose strokes may touch pixels `low` to `high`."""
    first = max(0, math.floor((low - layer.reach) / layer.spacing) + layer.pad - 1)
    stop = min(last, math.ceil((high + layer.reach) / layer.spacing) + layer.pad) + 1
    return first + (phase - first) % layer.group, stop


def _near(distance: Tensor, layer: PlannedLayer) -> Tensor:
    """Distances along one axis from a stroke's centre; what the stroke does not reach is put far away."""
    return torch.where(distance.abs() < layer.reach, distance, torch.full_like(distance, STROKES_END))


def _span(centre: Tensor, low: int, high: int, layer: PlannedLayer) -> tuple[Tensor, Tensor]:
    """Pixels around centres `[k]` along one axis, `[k, n]`: index from `low` on, and distance from the centre.

    A pixel that is not the stroke's, or not between `low` and `high`, is far away, with index 0.
    """
    at = (centre - layer.reach).ceil().unsqueeze(1) + torch.arange(math.ceil(2 * layer.reach), device=centre.device)
    seen = (at >= low) & (at < high)
    distance = torch.where(seen, at - centre.unsqueeze(1), torch.full_like(at, STROKES_END))
    return torch.where(seen, at - low, torch.zeros_like(at)).long(), _near(distance, layer)


def _lay_coset(wet: Wet, layer: PlannedLayer, coset: tuple[int, int], rect: Rect) -> None:
    """Paint the strokes of one coset over a tile, in place: each in a box of its own, boxes do not overlap."""
    grid_rows, grid_cols = layer.shape.shape[-2:]
    r0, r1 = _reaching(rect.top, rect.bottom, coset[0], layer, grid_rows - 1)
    c0, c1 = _reaching(rect.left, rect.right, coset[1], layer, grid_cols - 1)
    near = layer.shape[:, r0 : r1 : layer.group, c0 : c1 : layer.group]
    found = (near[0] < STROKES_END).nonzero()
    if len(found) == 0:
        return
    stroke = (r0 + layer.group * found[:, 0]) * grid_cols + c0 + layer.group * found[:, 1]
    shape = layer.shape.flatten(1).index_select(1, stroke)
    row, dy = _span(shape[1], rect.top, rect.bottom, layer)
    col, dx = _span(shape[0], rect.left, rect.right, layer)
    u, v = _place(shape[..., None, None], dy.unsqueeze(2), dx.unsqueeze(1))
    inside = _inside(u, v, layer).flatten().nonzero().squeeze(1)
    deep = dy.shape[1]
    across = inside // deep
    line = across // deep
    spots = row.flatten().index_select(0, across) * (rect.right - rect.left)
    spots += col.flatten().index_select(0, line * deep + inside - across * deep)
    bare = wet.open.flatten().index_select(0, spots).nonzero().squeeze(1)
    inside = inside.index_select(0, bare)
    place = torch.stack((u.flatten().index_select(0, inside), v.flatten().index_select(0, inside)))
    _lay_spots(wet, layer, place, spots.index_select(0, bare), stroke.index_select(0, line.index_select(0, bare)))


@dataclass(frozen=True, slots=True)
class _Owners:
    """Which row and which column of a layer's grid every row and column of a tile belongs to, by phase."""

    layer: PlannedLayer
    rows: Tensor
    cols: Tensor
    by_row: tuple[Tensor, ...]
    by_col: tuple[Tensor, ...]

    @classmethod
    def of(cls, layer: PlannedLayer, rows: Tensor, cols: Tensor) -> _Owners:
        last_row, last_col = (size - 1 for size in layer.shape.shape[-2:])
        phases = range(layer.group)
        by_row = tuple(_candidates(rows, phase, layer, last_row) for phase in phases)
        return cls(layer, rows, cols, by_row, tuple(_candidates(cols, phase, layer, last_col) for phase in phases))


def _lay_coset_sparse(wet: Wet, owners: _Owners, coset: tuple[int, int], left: Tensor) -> None:
    """As `_lay_coset`, looking only at the pixels `left` (flat indices into the tile)."""
    layer, width = owners.layer, len(owners.cols)
    down = left // width
    along = left - down * width
    stroke = owners.by_row[coset[0]].index_select(0, down) * layer.shape.shape[-1]
    stroke += owners.by_col[coset[1]].index_select(0, along)
    shape = layer.shape.flatten(1).index_select(1, stroke)
    dy, dx = owners.rows.index_select(0, down) - shape[1], owners.cols.index_select(0, along) - shape[0]
    place = torch.stack(_place(shape, _near(dy, layer), _near(dx, layer)))
    found = _inside(place[0], place[1], layer) & wet.open.flatten().index_select(0, left)
    found = found.nonzero().squeeze(1)
    _lay_spots(wet, layer, place.index_select(1, found), left.index_select(0, found), stroke.index_select(0, found))


def _lay_coset_dense(wet: Wet, owners: _Owners, coset: tuple[int, int]) -> None:
    """As `_lay_coset` without asking the device which pixels are inside: no round trip."""
    layer, ri, ci = owners.layer, owners.by_row[coset[0]], owners.by_col[coset[1]]
    shape = layer.shape.index_select(2, ci).index_select(1, ri)
    dy, dx = owners.rows.unsqueeze(1) - shape[1], owners.cols - shape[0]
    u, v = _place(shape, _near(dy, layer), _near(dx, layer))
    inside = _inside(u, v, layer).to(u.dtype)
    paint = layer.paint.index_select(2, ci).index_select(1, ri)
    got = dab(u.clamp(-2.0, 2.0), v.clamp(-2.0, 2.0), paint, layer)
    alpha, build = inside * got.alpha, inside * got.build
    wet.color.add_(wet.clear * alpha * got.color)
    wet.height.add_(wet.clear_height * build * got.height)
    wet.clear.mul_(1 - alpha)
    wet.clear_height.mul_(1 - build)


def _lay_layer(
    wet: Wet, layer: PlannedLayer, rect: Rect, rows: Tensor, cols: Tensor, check: Callable[[], None]
) -> None:
    """Paint one layer on the processor, looking at fewer pixels as more are covered."""
    left, owners = None, None
    for number, coset in enumerate(layer.cosets):
        if number % layer.group == 0:
            check()
            still_open = wet.open.flatten().nonzero().squeeze(1)
            if len(still_open) == 0:
                return
            left = None if len(still_open) > _MANY * wet.open.numel() else still_open
        if left is None:
            _lay_coset(wet, layer, coset, rect)
        else:
            owners = owners or _Owners.of(layer, rows, cols)
            _lay_coset_sparse(wet, owners, coset, left)


def paint_tile(layers: Sequence[PlannedLayer], wet: Wet, rect: Rect, frame: Frame, watch: Watch) -> None:
    """Paint all layers, the last of which lies on top, in place."""
    rows, cols = frame.rows(rect), frame.cols(rect)
    for layer in reversed(layers):
        if frame.device.type == "cpu":
            _lay_layer(wet, layer, rect, rows, cols, watch.check)
        else:
            watch.check()
            owners = _Owners.of(layer, rows, cols)
            for coset in layer.cosets:
                _lay_coset_dense(wet, owners, coset)


def paint(
    layers: Sequence[PlannedLayer], ground: Tensor, frame: Frame, tile: int, watch: Watch
) -> tuple[Tensor, Tensor]:
    """Paint the whole picture over `ground` (OKLab on the map grid).

    Returns sRGB `[3, H, W]` and height `[1, H, W]`; one tick per tile.
    """
    rgb = torch.empty((3, frame.height, frame.width), device=frame.device)
    height = torch.empty((1, frame.height, frame.width), device=frame.device)
    for rect in tiles(frame.height, frame.width, tile * _TILES_AT_ONCE if frame.device.type == "cpu" else tile):
        wet = Wet.empty(rect.bottom - rect.top, rect.right - rect.left, frame.device)
        paint_tile(layers, wet, rect, frame, watch)
        rows, cols = rect.slices
        rgb[:, rows, cols] = oklab_to_rgb(wet.color + wet.clear * sample_map(frame, ground, rect))
        height[:, rows, cols] = wet.height + wet.clear_height * _GROUND_HEIGHT
        for part in tiles(rect.bottom - rect.top, rect.right - rect.left, tile):
            seen = part.moved(rect.top, rect.left)
            rows, cols = seen.slices
            watch.done(seen, rgb[:, rows, cols])
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
