"""Noise that depends on a seed and on absolute coordinates, never on tiles or on the device.

Lattices are drawn on the CPU for the whole picture, so that a CPU and a GPU paint the same
picture; per-pixel grain is an integer hash of the coordinates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .sampling import sample_grid, sample_points

_MASK = 0xFFFFFFFF


def generator(seed: int, stream: int) -> torch.Generator:
    """A CPU generator for one named stream of one seed; streams do not disturb each other."""
    mixed = (seed * 0x9E3779B97F4A7C15 + stream * 0xBF58476D1CE4E5B9 + 0x94D049BB133111EB) % 2**63
    return torch.Generator().manual_seed(mixed)


@dataclass(frozen=True, slots=True)
class ValueNoise:
    """Smooth noise about 0..1 over a whole picture; `cell` is the size of its largest blobs."""

    lattices: tuple[Tensor, ...]
    cell: float

    def dense(self, rows: Tensor, cols: Tensor) -> Tensor:
        """Noise at every (row, column) pair: `[1, len(rows), len(cols)]`."""
        total = torch.zeros((1, len(rows), len(cols)), device=rows.device)
        weight, cell = 1.0, self.cell
        for lattice in self.lattices:
            total += weight * (sample_grid(lattice, rows / cell + 1.5, cols / cell + 1.5) - 0.5)
            weight, cell = weight * 0.5, cell * 0.5
        return total + 0.5


def value_noise(
    height: int, width: int, cell: float, octaves: int, rng: torch.Generator, device: torch.device
) -> ValueNoise:
    """Noise for a picture of `height` x `width`; every octave halves the cell and the weight."""
    lattices: list[Tensor] = []
    for octave in range(octaves):
        size = cell / 2**octave
        shape = (1, math.ceil(height / size) + 4, math.ceil(width / size) + 4)
        lattices.append(torch.rand(shape, generator=rng).to(device))
    return ValueNoise(tuple(lattices), cell)


@dataclass(frozen=True, slots=True)
class StretchedNoise:
    """Noise drawn out into streaks: the mark of a pencil held at one angle."""

    lattice: Tensor
    angle: float
    length: float
    width: float

    def at(self, y: Tensor, x: Tensor) -> Tensor:
        """Noise 0..1 at points, of the shape of `y`. The lattice repeats far away."""
        along = x * math.cos(self.angle) + y * math.sin(self.angle)
        across = y * math.cos(self.angle) - x * math.sin(self.angle)
        rows, cols = self.lattice.shape[-2:]
        u = torch.remainder(along / self.length, cols - 3) + 1
        v = torch.remainder(across / self.width, rows - 3) + 1
        return sample_points(self.lattice, v, u, smooth=True)[0]


def stretched_noise(
    angle: float, length: float, width: float, rng: torch.Generator, device: torch.device
) -> StretchedNoise:
    """Streaks `length` x `width` pixels, lying along `angle` (radians, y down)."""
    rows, cols = 1024, 128
    lattice = torch.rand((1, rows, cols), generator=rng)
    # The last three rows and columns repeat the first: bicubic reading wraps without a seam.
    lattice[:, -3:, :] = lattice[:, :3, :]
    lattice[:, :, -3:] = lattice[:, :, :3]
    return StretchedNoise(lattice.to(device), angle, length, width)


def grain(rows: Tensor, cols: Tensor, seed: int) -> Tensor:
    """White noise 0..1 per pixel from a hash of its coordinates: `[len(rows), len(cols)]`."""
    start = (seed * 0x9E3779B1 + 0x7F4A7C15) & _MASK
    row = (rows.long() * 0x85EBCA6B) & _MASK
    col = (cols.long() * 0xC2B2AE35) & _MASK
    bits = row.unsqueeze(1) ^ col.unsqueeze(0) ^ start
    for multiplier in (0x7FEB352D, 0x46D9F3B):
        bits = bits ^ (bits >> 16)
        bits = (bits * multiplier) & _MASK
    bits = bits ^ (bits >> 15)
    return (bits >> 8).to(torch.float32) / 2.0**24
