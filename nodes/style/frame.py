"""Where things are: the size of a picture, its unit of length, its coarser map grid, its tiles.

A preset computes everything global on the *map grid* (the picture, reduced by a whole step where
strokes are large) and then renders tile by tile from absolute pixel coordinates; so a tile's edge
cannot be seen, and a large picture costs little memory. Owns no picture content.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

SMALLEST_UNIT = 0.25
_MOST_MAP_PIXELS = 2**23


@dataclass(frozen=True, slots=True)
class Rect:
    """Half-open pixel rectangle."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of this rectangle in an `[..., H, W]` tensor, after an ellipsis."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def moved(self, down: int, right: int) -> Rect:
        """The same rectangle further down and to the right."""
        return Rect(self.top + down, self.left + right, self.bottom + down, self.right + right)


@dataclass(frozen=True, slots=True)
class Frame:
    """Geometry of one picture.

    `unit` is the length (pixels) that every stroke and filter size is a multiple of: 1 for a
    512-pixel picture. `map_unit` is the same length in pixels of the map grid.
    """

    height: int
    width: int
    map_height: int
    map_width: int
    unit: float
    device: torch.device

    @classmethod
    def of(cls, height: int, width: int, stroke_scale: float, device: torch.device) -> Frame:
        """Geometry for a picture of this size; `stroke_scale` multiplies every length."""
        unit = max(SMALLEST_UNIT, (min(height, width) / 512) ** 0.85 * stroke_scale)
        step = 1
        # A map pixel stays below one unit, unless the map would be larger than memory should hold; the
        # map keeps enough pixels to hold a picture.
        while (step * 2 <= unit or height * width > step * step * _MOST_MAP_PIXELS) and min(height, width) // (
            step * 2
        ) >= 64:
            step *= 2
        return cls(height, width, -(-height // step), -(-width // step), unit, device)

    @property
    def map_unit(self) -> float:
        """`unit` in pixels of the map grid."""
        return self.unit * self.map_height / self.height

    def map_rows(self, y: Tensor) -> Tensor:
        """Map-grid row coordinate of picture row coordinates (both count pixel centres from 0)."""
        return (y + 0.5) * (self.map_height / self.height) - 0.5

    def map_cols(self, x: Tensor) -> Tensor:
        """As `map_rows`, for columns."""
        return (x + 0.5) * (self.map_width / self.width) - 0.5

    def rows(self, rect: Rect) -> Tensor:
        """Row coordinates of a tile, float32 `[h]`."""
        return torch.arange(rect.top, rect.bottom, device=self.device, dtype=torch.float32)

    def cols(self, rect: Rect) -> Tensor:
        """Column coordinates of a tile, float32 `[w]`."""
        return torch.arange(rect.left, rect.right, device=self.device, dtype=torch.float32)


def tiles(height: int, width: int, tile: int) -> Iterator[Rect]:
    """Cover the picture with tiles of at most `tile` pixels a side, in reading order."""
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            yield Rect(top, left, min(top + tile, height), min(left + tile, width))


def bands(height: int, width: int, pixels: int) -> Iterator[Rect]:
    """Cover the picture with full-width bands of about `pixels` pixels, from the top."""
    deep = max(1, pixels // max(1, width))
    for top in range(0, height, deep):
        yield Rect(top, 0, min(top + deep, height), width)


def count_tiles(height: int, width: int, tile: int) -> int:
    """How many rectangles `tiles` yields."""
    return -(-height // tile) * -(-width // tile)
