"""Cells of a mosaic: nearly square, turned with the form, and moved so that edges run between them.

Owns the plan of the cells and which of them a pixel lies in. Owns no colour and no grout. A cell that
would hide detail is laid as four quarters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .flow import tangent
from .frame import Frame
from .sampling import sample_points
from .strips import strips
from .watch import Watch

# Cells beyond each border of the picture: every pixel has all its neighbours.
_PAD = 3
_JITTER = 0.27
_FARTHEST = 0.6
_ROUNDS = 3
# Sums are made of whole numbers, which come out the same in any order.
_STEPS = 4096
_NEIGHBORS = tuple((down, across) for down in range(-2, 3) for across in range(-2, 3))
# Map pixels per cell side that are enough to see where it settles.
_ENOUGH = 5


@dataclass(frozen=True, slots=True)
class Cells:
    """A grid of cells `[rows, cols]` beginning at `-_PAD`; lengths in pixels of the picture.

    `shape` `[4, rows, cols]`: centre x and y, cos and sin of the turn, both over `size`.
    """

    shape: Tensor
    size: float

    @property
    def count(self) -> int:
        """How many cells there are, those beyond the borders included."""
        return self.shape.shape[1] * self.shape.shape[2]

    def within(self, index: Tensor, rows: Tensor, cols: Tensor) -> tuple[Tensor, Tensor]:
        """Where in their cells the pixels lie along its two sides, -0.5..0.5 or a little more: `[h, w]` each."""
        x, y, cos, sin = self.shape.flatten(1)[:, index].unbind(0)
        dx, dy = cols - x, rows.unsqueeze(1) - y
        return dx * cos + dy * sin, dy * cos - dx * sin

    def nearest(self, rows: Tensor, cols: Tensor) -> tuple[Tensor, Tensor]:
        """For every (row, column) pair the index of its cell and how much farther the next one is, `[h, w]`.

        The second, in cell sizes, is twice the distance from the cell's border.
        """
        row = ((rows + 0.5) / self.size).floor().long() + _PAD
        col = ((cols + 0.5) / self.size).floor().long() + _PAD
        y, x, device = rows.unsqueeze(1), cols, rows.device
        best = torch.full((len(rows), len(cols)), 1e9, device=device)
        second, choice = best.clone(), torch.zeros(best.shape, dtype=torch.uint8, device=device)
        for i, (down, across) in enumerate(_NEIGHBORS):
            near = self.shape.index_select(1, row + down).index_select(2, col + across)
            dx, dy = x - near[0], y - near[1]
            u, v = (dx * near[2] + dy * near[3]).abs_(), (dy * near[2] - dx * near[3]).abs_()
            # A square's distance, its corners rounded a little.
            far = torch.maximum(u, v).add_(u + v, alpha=1 / 9)
            choice = torch.where(far < best, i, choice)
            second = torch.minimum(second, torch.maximum(best, far))
            best = torch.minimum(best, far)
        offsets = torch.tensor(_NEIGHBORS, device=device)[choice.long()]
        index = (row.unsqueeze(1) + offsets[..., 0]) * self.shape.shape[2] + (col + offsets[..., 1])
        return index, 0.9 * (second - best)


def _turned(frame: Frame, centre: Tensor, direction: Tensor, size: float) -> Cells:
    """Cells at these centres `[2, rows, cols]` (x, y), turned along the flow on the map grid."""
    at = sample_points(direction, frame.map_rows(centre[1]), frame.map_cols(centre[0]))
    return Cells(torch.cat((centre, tangent(at) / size)), size)


def quarter(u: Tensor, v: Tensor) -> Tensor:
    """Which quarter of its cell a pixel lies in, 0..3."""
    return (u > 0).long() + 2 * (v > 0).long()


def _add_up(index: Tensor, count: int, share: Tensor, values: Tensor) -> Tensor:
    """Sums of `share` and of `share * values` `[C, h, w]` per index: `[1 + C, count]`, whole numbers."""
    total = torch.zeros((len(values) + 1, count), dtype=torch.long, device=values.device)
    index = index.flatten()
    total[0].index_add_(0, index, share.flatten())
    for i, value in enumerate(values.unbind(0)):
        total[1 + i].index_add_(0, index, (share * (value * _STEPS).round().long()).flatten())
    return total


def quarter_sums(cells: Cells, frame: Frame, weight: Tensor, values: Tensor, watch: Watch) -> Tensor:
    """Sums over each cell's quarters of the weight and of the weighted `values` `[C, h, w]` (about -8..8).

    Everything on the map grid; `weight` `[h, w]` is 0..1. `[1 + C, cells, 4]`, to be read by `means`.
    """
    rows, cols = map_pixels(frame)
    total = torch.zeros((len(values) + 1, cells.count * 4), dtype=torch.long, device=values.device)
    for part in strips(values.shape[-2], values.device):
        watch.check()
        index, _ = cells.nearest(rows[part], cols)
        index = index * 4 + quarter(*cells.within(index, rows[part], cols))
        total += _add_up(index, cells.count * 4, _share(weight[part]), values[:, part])
    return total.reshape(len(total), -1, 4)


def means(sums: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted means `[C, ...]` of sums `[1 + C, ...]`, and where there is anything to have a mean of."""
    got = sums[1:].double() / sums[:1].clamp_min(1).double() / _STEPS
    return got.float(), sums[0] > 0


def _share(weight: Tensor) -> Tensor:
    return (weight * _STEPS).long() + 1


def map_pixels(frame: Frame) -> tuple[Tensor, Tensor]:
    """Rows and columns of the map grid's pixels, in pixels of the picture."""
    rows = torch.arange(frame.map_height, device=frame.device, dtype=torch.float32)
    cols = torch.arange(frame.map_width, device=frame.device, dtype=torch.float32)
    down, across = frame.height / frame.map_height, frame.width / frame.map_width
    return (rows + 0.5) * down - 0.5, (cols + 0.5) * across - 0.5


def plan_cells(
    frame: Frame, size: float, direction: Tensor, weight: Tensor, rng: torch.Generator, watch: Watch
) -> Cells:
    """Lay cells of `size` pixels over the picture and let them settle where `weight` `[h, w]` (0..1) is.

    `direction` is a unit double angle and, like `weight`, on the map grid. Weights are low on edges: so
    the cells' borders end up there.
    """
    count = (math.ceil(frame.height / size) + 2 * _PAD, math.ceil(frame.width / size) + 2 * _PAD)
    y = (torch.arange(count[0], device=frame.device).unsqueeze(1) - _PAD + 0.5) * size - 0.5
    x = (torch.arange(count[1], device=frame.device) - _PAD + 0.5) * size - 0.5
    home = torch.stack((x.expand(count), y.expand(count)))
    shift = (torch.rand((2, *count), generator=rng).to(frame.device) - 0.5) * (2 * _JITTER)
    cells = _turned(frame, home + shift * size, direction, size)
    rows, cols = map_pixels(frame)
    skip = max(1, int(size * frame.map_height / frame.height / _ENOUGH))
    rows, cols, share = rows[::skip], cols[::skip], _share(weight[::skip, ::skip])
    for _ in range(_ROUNDS):
        total = torch.zeros((3, cells.count), dtype=torch.long, device=frame.device)
        for part in strips(len(rows), share.device):
            watch.check()
            index, _ = cells.nearest(rows[part], cols)
            # Places are counted from the cell's home: small numbers keep their fractions.
            away_x = (cols - home[0].flatten()[index]) / size
            away_y = (rows[part].unsqueeze(1) - home[1].flatten()[index]) / size
            total += _add_up(index, cells.count, share[part], torch.stack((away_x, away_y)))
        away, found = means(total.reshape(3, *count))
        centre = home + size * away.clamp(-_FARTHEST, _FARTHEST)
        cells = _turned(frame, torch.where(found, centre, cells.shape[:2]), direction, size)
    return cells
