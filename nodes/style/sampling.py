"""Reading a grid between its pixels: dense and separable, or at scattered points.

Coordinates count pixel centres from 0; outside the grid the edge value is read. Owns no geometry
of pictures (that is `frame`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .frame import Frame, Rect


def _taps(position: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Catmull-Rom: indices and weights `[4, n]` around each position, clamped to the grid."""
    position = position.clamp(0.0, size - 1.0)
    base = position.floor()
    t = position - base
    t2, t3 = t * t, t * t * t
    weights = torch.stack(
        (
            -0.5 * t3 + t2 - 0.5 * t,
            1.5 * t3 - 2.5 * t2 + 1.0,
            -1.5 * t3 + 2.0 * t2 + 0.5 * t,
            0.5 * t3 - 0.5 * t2,
        )
    )
    offsets = torch.arange(-1, 3, device=position.device).unsqueeze(1)
    return (base.long().unsqueeze(0) + offsets).clamp(0, size - 1), weights


def sample_grid(grid: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    """Bicubic reading of `[C, h, w]` at every (row, column) pair: `[C, len(rows), len(cols)]`.

    May overshoot the grid's range a little, as bicubic does.
    """
    index, weight = _taps(cols, grid.shape[-1])
    low = int(index.min()) if grid.device.type == "cpu" else 0
    high = int(index.max()) + 1 if grid.device.type == "cpu" else grid.shape[-1]
    row_index, row_weight = _taps(rows, grid.shape[-2])
    # Rows first: it leaves few of them, and copies them whole.
    strip = torch.zeros((grid.shape[0], len(rows), high - low), dtype=grid.dtype, device=grid.device)
    for tap in range(4):
        strip += grid[:, row_index[tap], low:high] * row_weight[tap].unsqueeze(-1)
    out = torch.zeros((grid.shape[0], len(rows), len(cols)), dtype=grid.dtype, device=grid.device)
    for tap in range(4):
        out += strip[:, :, index[tap] - low] * weight[tap]
    return out


def sample_map(frame: Frame, grid: Tensor, rect: Rect) -> Tensor:
    """The map-grid tensor `[C, map_h, map_w]` at the pixels of `rect`: `[C, h, w]`."""
    if (frame.map_height, frame.map_width) == (frame.height, frame.width):
        rows, cols = rect.slices
        return grid[:, rows, cols]
    return sample_grid(grid, frame.map_rows(frame.rows(rect)), frame.map_cols(frame.cols(rect)))


def sample_points(grid: Tensor, y: Tensor, x: Tensor, *, smooth: bool = False) -> Tensor:
    """Bilinear (or bicubic when `smooth`) reading of `[C, h, w]` at points: `[C, *y.shape]`."""
    height, width = grid.shape[-2:]
    where = torch.stack(((2 * x + 1) / width - 1, (2 * y + 1) / height - 1), dim=-1)
    flat = where.reshape(1, 1, -1, 2) if where.dim() != 3 else where.unsqueeze(0)
    got = F.grid_sample(
        grid.unsqueeze(0),
        flat,
        mode="bicubic" if smooth else "bilinear",
        padding_mode="border",
        align_corners=False,
    )
    return got.reshape(grid.shape[0], *y.shape)
