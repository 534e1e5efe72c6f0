"""Graphite on paper: lines along the form, four directions of hatching, smudge and grain.

A drawing without colour: a reference picture and `palette_strength` change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..color import luma
from ..filters import guided, lifted, local_contrast, resize, smoothstep, stretched
from ..flow import structure_flow
from ..frame import Frame, Rect
from ..lines import Paths, drawn_lines
from ..noise import StretchedNoise, ValueNoise, generator, grain, stretched_noise, value_noise
from ..sampling import sample_map
from .base import Render
from .drawing import drawn_preset, swatch

_PAPER = (0xF9 / 255, 0xF6 / 255, 0xF0 / 255)
_GRAPHITE = (0x29 / 255, 0x29 / 255, 0x2E / 255)


@dataclass(frozen=True, slots=True)
class _Line:
    """Difference-of-Gaussians lines: scale, smear along the flow, ink ramp, opacity."""

    sigma: float
    reach: float
    ramp: tuple[float, float]
    opacity: float


@dataclass(frozen=True, slots=True)
class _Hatch:
    """Hatching for tones below `tone`, growing over `ramp`; angle in radians, y down."""

    tone: float
    ramp: float
    angle: float
    length: float
    width: float
    opacity: float


# Smallest exponent by which dark pictures are lifted.
_LIFT_LIMIT = 0.7

_LINES = (
    _Line(0.9, 6.0, (0.004, 0.034), 0.85),
    _Line(2.2, 9.0, (0.008, 0.070), 0.62),
)
_HATCHES = (
    _Hatch(0.74, 0.34, -0.82, 46, 1.7, 0.42),
    _Hatch(0.52, 0.26, -0.55, 40, 1.6, 0.45),
    _Hatch(0.33, 0.22, -1.25, 36, 1.6, 0.50),
    _Hatch(0.17, 0.16, 0.75, 30, 1.5, 0.50),
)


@dataclass(frozen=True, slots=True)
class _Plan:
    """Everything a tile is drawn from; `maps` is tone and the smeared lines, on the map grid."""

    maps: Tensor
    hatches: tuple[StretchedNoise, ...]
    wobble: tuple[ValueNoise, ValueNoise]
    pressure: ValueNoise
    seed: int


def _tone(job: Render, rgb: Tensor) -> Tensor:
    """Luma with local contrast, stretched to the whole range and simplified: `[1, h, w]`."""
    unit = job.frame.map_unit
    grey = local_contrast(luma(rgb).unsqueeze(0), 24 * unit, 0.25)
    # A dark picture is drawn lighter than it is, so that paper is left.
    return lifted(stretched(grey, 0.02, 0.98), 0.5, _LIFT_LIMIT)


def _lines(job: Render, rgb: Tensor, tone: Tensor) -> list[Tensor]:
    unit = job.frame.map_unit
    paths = Paths.of(structure_flow(rgb, 2.2 * unit, job.watch).direction, job.watch)
    job.watch.check()
    return [drawn_lines(tone, paths, line.sigma * unit, line.reach * unit, job.watch) for line in _LINES]


def _plan(job: Render) -> _Plan:
    frame = job.frame
    rgb = resize(job.rgb, frame.map_height, frame.map_width)
    job.watch.check()
    tone = _tone(job, rgb)
    lines = _lines(job, rgb, tone)
    soft = guided(tone, 2 * frame.map_unit, 2e-3).clamp(0.0, 1.0)
    size, device, unit = (frame.height, frame.width), frame.device, frame.unit
    rng = generator(job.seed, 2)
    wobble = (
        value_noise(*size, 60 * unit, 1, rng, device),
        value_noise(*size, 60 * unit, 1, rng, device),
    )
    pressure = value_noise(*size, 40 * unit, 2, rng, device)
    hatches = tuple(stretched_noise(h.angle, h.length * unit, max(1.2, h.width * unit), rng, device) for h in _HATCHES)
    return _Plan(torch.cat((soft, *lines)), hatches, wobble, pressure, job.seed)


def _hatching(plan: _Plan, frame: Frame, tone: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    """How much paper the hatching leaves bare, `[h, w]`."""
    reach = 7.0 * frame.unit
    y = rows.unsqueeze(1) + reach * (plan.wobble[0].dense(rows, cols)[0] - 0.5)
    x = cols + reach * (plan.wobble[1].dense(rows, cols)[0] - 0.5)
    bare = torch.ones_like(tone)
    for hatch, noise in zip(_HATCHES, plan.hatches, strict=True):
        amount = ((hatch.tone - tone) / hatch.ramp).clamp(0.0, 1.0)
        low = 0.62 - 0.42 * amount
        ink = ((noise.at(y, x) - low) / 0.30).clamp(0.0, 1.0)
        ink = ink * ink * (3 - 2 * ink) * smoothstep(0.0, 0.25, amount)
        bare = bare * (1 - hatch.opacity * ink)
    return bare


def _draw(plan: _Plan, frame: Frame, rect: Rect) -> Tensor:
    """Draw one tile, sRGB `[3, h, w]`."""
    rows, cols = frame.rows(rect), frame.cols(rect)
    maps = sample_map(frame, plan.maps, rect)
    tone = maps[0].clamp(0.0, 1.0)
    pressure = 0.65 + 0.35 * plan.pressure.dense(rows, cols)[0].clamp(0.0, 1.0)
    bare = _hatching(plan, frame, tone, rows, cols)
    bare = bare * (1 - 0.40 * (1 - tone).pow(1.8))
    for i, line in enumerate(_LINES):
        bare = bare * (1 - line.opacity * pressure * smoothstep(*line.ramp, maps[1 + i]))
    ink = 1 - bare
    # Paper tooth shows in the mid-tones; in the blacks it would look like salt and pepper.
    tooth = grain(rows, cols, plan.seed) - 0.5
    ink = (ink + 0.42 * tooth * ink * (1 - ink) * 2).clamp(0.0, 1.0)
    paper = swatch(_PAPER, ink.device)
    graphite = swatch(_GRAPHITE, ink.device)
    return paper + ink * (graphite - paper)


PRESET = drawn_preset("sketch", _plan, _draw)
