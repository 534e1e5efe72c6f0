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
from .watch import Watch

# Cells beyond each border of the picture: every pixel has all its neighbours.
_PAD = 3
_JITTER = 0.27
_FARTHEST = 0.6
_ROUNDS = 3
# Sums are made of whole numbers, which come out the same in any order.
_STEPS = 4096
_ROWS = 128


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
        count = self.shape.shape[2]
        row = ((rows + 0.5) / self.size).floor().long() + _PAD
        col = ((cols + 0.5) / self.size).floor().long() + _PAD
        y, x, device = rows.unsqueeze(1), cols, rows.device
        best = torch.full((len(rows), len(cols)), 1e9, device=device)
        second, index = best.clone(), torch.zeros(best.shape, dtype=torch.long, device=device)
        for down in range(-2, 3):
            strip = self.shape[:, row + down]
            for across in range(-2, 3):
                px, py, cos, sin = strip[:, :, col + across].unbind(0)
                dx, dy = x - px, y - py
                u, v = (dx * cos + dy * sin).abs(), (dy * cos - dx * sin).abs()
                # A square's distance, its corners rounded a little.
                far = 0.9 * torch.maximum(u, v) + 0.1 * (u + v)
                here = (row + down).unsqueeze(1) * count + (col + across)
                index = torch.where(far < best, here, index)
                second = torch.minimum(second, torch.maximum(best, far))
                best = torch.minimum(best, far)
        return index, second - best


def _turned(frame: Frame, centre: Tensor, direction: Tensor, size: float) -> Cells:
    """Cells at these centres `[2, rows, cols]` (x, y), turned along the flow on the map grid."""
    at = sample_points(direction, frame.map_rows(centre[1]), frame.map_cols(centre[0]))
    return Cells(torch.cat((centre, tangent(at) / size)), size)


def quarter(u: Tensor, v: Tensor) -> Tensor:
    """Which quarter of its cell a pixel lies in, 0..3."""
    return (u > 0).long() + 2 * (v > 0).long()


def cell_means(
    cells: Cells, frame: Frame, weight: Tensor, values: Tensor, watch: Watch, *, quarters: bool = False
) -> tuple[Tensor, Tensor]:
    """Weighted means over every cell (or quarter) of `values` `[C, h, w]` on the map grid, and where there are any.

    `weight` `[h, w]` is 0..1, values are about -8..8. Returns `[C, n]` and a mask `[n]`.
    """
    parts = 4 if quarters else 1
    channels, height = values.shape[:2]
    total = torch.zeros((channels + 1, cells.count * parts), dtype=torch.long, device=values.device)
    rows, cols = map_pixels(frame)
    strip = _ROWS if values.device.type == "cpu" else height
    for top in range(0, height, strip):
        watch.check()
        part = slice(top, top + strip)
        index, _ = cells.nearest(rows[part], cols)
        if quarters:
            index = index * 4 + quarter(*cells.within(index, rows[part], cols))
        share = (weight[part] * _STEPS).long() + 1
        total[0].index_add_(0, index.flatten(), share.flatten())
        for i in range(channels):
            laden = share * (values[i, part] * _STEPS).round().long()
            total[1 + i].index_add_(0, index.flatten(), laden.flatten())
    found = total[0] > 0
    means = total[1:].double() / total[:1].clamp_min(1).double() / _STEPS
    return means.float(), found


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
    place = torch.stack((cols.expand(len(rows), -1), rows.unsqueeze(1).expand(-1, len(cols))))
    # Places are summed up from a near corner: small numbers keep their fractions.
    corner = torch.floor(place / size) * size
    local = (place - corner) / size
    origin = corner / size
    for _ in range(_ROUNDS):
        means, found = cell_means(cells, frame, weight, torch.cat((local, origin)), watch)
        middle = ((means[:2] + means[2:]) * size).reshape(home.shape)
        moved = torch.where(found.reshape(count), middle, cells.shape[:2])
        centre = home + (moved - home).clamp(-_FARTHEST * size, _FARTHEST * size)
        cells = _turned(frame, centre, direction, size)
    return cells
