"""Printed comic: few flat, strong colours, dots in the darker tones, ink lines and solid blacks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..color import oklab_to_rgb, rgb_to_oklab
from ..filters import kuwahara, lifted, resize, smoothstep, stretched
from ..flow import structure_flow
from ..frame import Frame, Rect
from ..lines import Paths, drawn_lines, smear
from ..noise import ValueNoise, generator, value_noise
from ..sampling import sample_map
from ..strips import in_strips
from .base import Render
from .drawing import drawn_preset, swatch
from .recolor import recolor

_TONES = 4
_CHROMA = 1.6
INK = (0.07, 0.06, 0.09)
_LINE = (0.004, 0.018)
_FOLD = (0.016, 0.055)
_BLACK = (0.19, 0.11)
_DOT_PITCH = 6.0


@dataclass(frozen=True, slots=True)
class _Plan:
    """`maps`: L, a, b, fine and broad lines, on the map grid. `phase`: where the dots begin, in periods."""

    maps: Tensor
    pressure: ValueNoise
    phase: tuple[float, float]


def vivid(ab: Tensor, factor: float) -> Tensor:
    """More chroma, but less so where there is much: nothing leaves the colours that a screen has."""
    much = torch.hypot(ab[0], ab[1]) / 0.2
    return ab * (1 + (factor - 1) / (1 + much * much))


def _tone(lightness: Tensor) -> Tensor:
    return lifted(stretched(lightness, 0.02, 0.98), 0.55, 0.6)


def _plan(job: Render) -> _Plan:
    frame, watch, unit = job.frame, job.watch, job.frame.map_unit
    rgb = resize(job.rgb, frame.map_height, frame.map_width)
    watch.check()
    paths = Paths.of(structure_flow(rgb, 2.5 * unit, watch).direction, watch)
    watch.check()
    flat = kuwahara(smear(rgb, paths, 4 * unit, 1.5, watch), 4 * unit, watch)
    flat = smear(kuwahara(flat, 3 * unit, watch), paths, 4 * unit, 1.5, watch)
    lab = in_strips(flat, 0, rgb_to_oklab, watch)
    del flat
    tone = _tone(lab[:1])
    own = _tone(in_strips(rgb, 0, lambda part: rgb_to_oklab(part)[:1], watch))
    del rgb
    watch.check()
    fine = drawn_lines(0.5 * (tone + own), paths, 1.3 * unit, 8 * unit, watch)
    del own
    broad = drawn_lines(tone, paths, 2.6 * unit, 10 * unit, watch)
    rng = generator(job.seed, 3)
    pressure = value_noise(frame.height, frame.width, 50 * frame.unit, 2, rng, frame.device)
    phase = torch.rand(2, generator=rng).tolist()
    factor = 1 + (_CHROMA - 1) * job.palette_strength
    color = in_strips(recolor(job, lab)[1:], 0, lambda part: vivid(part, factor), watch)
    return _Plan(torch.cat((tone, color, fine, broad)), pressure, (phase[0], phase[1]))


def _dots(plan: _Plan, frame: Frame, rows: Tensor, cols: Tensor) -> Tensor:
    """A screen of dots at 45 degrees, `[h, w]`: 1 in a dot's middle, 0 farthest from all."""
    turn = 2 * math.pi / (_DOT_PITCH * frame.unit) * math.sqrt(0.5)
    y = rows.unsqueeze(1)
    u = torch.cos((cols + y) * turn + 2 * math.pi * plan.phase[0])
    v = torch.cos((cols - y) * turn + 2 * math.pi * plan.phase[1])
    return 0.5 + 0.25 * (u + v)


def _draw(plan: _Plan, frame: Frame, rect: Rect) -> Tensor:
    rows, cols = frame.rows(rect), frame.cols(rect)
    maps = sample_map(frame, plan.maps, rect)
    tone = maps[0].clamp(0.0, 1.0)
    step = tone * (_TONES - 1)
    base = step.floor()
    part = step - base
    flat = (base + smoothstep(0.42, 0.58, part)) / (_TONES - 1)
    # Dots grow as the tone falls towards the next step: they print the shades between.
    edge = min(0.5, 0.9 / (_DOT_PITCH * frame.unit))
    size = smoothstep(0.80, 0.32, tone) * (0.32 + 0.36 * (1 - part))
    dots = smoothstep(-edge, edge, size - (1 - _dots(plan, frame, rows, cols))) * smoothstep(0.0, 0.12, size)
    lightness = 0.10 + 0.88 * flat - 0.17 * dots
    # What is coloured cannot be as light as white paper: skin would turn yellow.
    colorful = torch.hypot(maps[1], maps[2])
    lightness = lightness - 0.75 * colorful * smoothstep(0.7, 1.0, lightness)
    color = oklab_to_rgb(torch.stack((lightness, maps[1] * (1 + 0.25 * dots), maps[2] * (1 + 0.25 * dots))))
    pressure = 0.6 + 0.8 * plan.pressure.dense(rows, cols)[0].clamp(0.0, 1.0)
    ink = 1 - (1 - smoothstep(*_LINE, maps[3] * pressure)) * (1 - smoothstep(*_FOLD, maps[4] * pressure))
    ink = torch.maximum(ink, smoothstep(*_BLACK, tone))
    black = swatch(INK, ink.device)
    return torch.lerp(color, black.expand_as(color), ink)


PRESET = drawn_preset("comic", _plan, _draw)
