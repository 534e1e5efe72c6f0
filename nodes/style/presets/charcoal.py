"""Charcoal on rough paper: broad dark masses rubbed along the form, black lines, bare paper in the lights.

A drawing without colour: a reference picture and `palette_strength` change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..color import luma
from ..filters import blur, kuwahara, lifted, local_contrast, resize, smoothstep, stretched
from ..flow import contours, structure_flow, swirl
from ..frame import Frame, Rect
from ..lines import Paths, drawn_lines, smear
from ..noise import ValueNoise, generator, grain, value_noise
from ..sampling import sample_map
from .base import Render
from .drawing import drawn_preset, swatch

_PAPER = (0xF4 / 255, 0xF1 / 255, 0xEA / 255)
_CHARCOAL = (0x1A / 255, 0x1A / 255, 0x1C / 255)


@dataclass(frozen=True, slots=True)
class _Plan:
    """`maps`: tone, fine lines, broad lines and rubbed streaks, on the map grid."""

    maps: Tensor
    tooth: ValueNoise
    seed: int


def _tone(job: Render, grey: Tensor) -> Tensor:
    unit = job.frame.map_unit
    return lifted(stretched(local_contrast(grey, 30 * unit, 0.35), 0.02, 0.98), 0.52, 0.5)


def _streaks(job: Render, rgb: Tensor) -> Tensor:
    """The way the stick was rubbed: noise drawn out along the form, deviation about 1."""
    frame, unit = job.frame, job.frame.map_unit
    rng = generator(job.seed, 4)
    rows = torch.arange(frame.map_height, device=frame.device, dtype=torch.float32)
    cols = torch.arange(frame.map_width, device=frame.device, dtype=torch.float32)
    turning = value_noise(len(rows), len(cols), 110 * unit, 1, rng, frame.device).dense(rows, cols)
    job.watch.check()
    direction = swirl(structure_flow(rgb, 3.5 * unit, job.watch), contours(turning), 0.3, 3 * unit, job.watch)
    job.watch.check()
    specks = value_noise(len(rows), len(cols), max(1.5, 2.0 * unit), 1, rng, frame.device).dense(rows, cols)
    job.watch.check()
    streaks = smear(specks - 0.5, Paths.of(direction, job.watch), 14 * unit, 1.5, job.watch)
    return (streaks / (streaks.square().mean().sqrt() + 1e-6)).clamp(-3.0, 3.0)


def _plan(job: Render) -> _Plan:
    frame, watch, unit = job.frame, job.watch, job.frame.map_unit
    rgb = resize(job.rgb, frame.map_height, frame.map_width)
    watch.check()
    streaks = _streaks(job, rgb)
    paths = Paths.of(structure_flow(rgb, 2.5 * unit, watch).direction, watch)
    grey = luma(rgb).unsqueeze(0)
    del rgb
    watch.check()
    fine = drawn_lines(_tone(job, grey), paths, 1.2 * unit, 7 * unit, watch)
    soft = _tone(job, kuwahara(grey, 4 * unit, watch))
    watch.check()
    broad = drawn_lines(soft, paths, 2.4 * unit, 10 * unit, watch)
    mass = blur(smear(soft, paths, 5 * unit, 1.5, watch), 0.6 * unit)
    watch.check()
    tooth = value_noise(frame.height, frame.width, max(2.0, 3.2 * frame.unit), 2, generator(job.seed, 5), frame.device)
    return _Plan(torch.cat((mass, fine, broad, streaks)), tooth, job.seed)


def _draw(plan: _Plan, frame: Frame, rect: Rect) -> Tensor:
    rows, cols = frame.rows(rect), frame.cols(rect)
    mass, fine, broad, streaks = sample_map(frame, plan.maps, rect).unbind(0)
    deposit = (1 - mass).clamp(0.0, 1.0).pow(1.35)
    deposit = deposit + 0.24 * streaks * (deposit * (1.2 - deposit)).clamp_min(0.0)
    bare = (1 - deposit.clamp(0.0, 1.0)) * (1 - 0.8 * smoothstep(0.004, 0.04, fine))
    deposit = 1 - bare * (1 - 0.75 * smoothstep(0.008, 0.07, broad))
    # Charcoal stays on the paper's peaks; only pressure fills its valleys.
    tooth = 0.8 * (grain(rows, cols, plan.seed) - 0.5) + 1.6 * (plan.tooth.dense(rows, cols)[0] - 0.5)
    stick = smoothstep(-1.3, 1.3, tooth + 4.2 * (deposit - 0.58)) * smoothstep(0.06, 0.32, deposit)
    ink = 1 - (1 - stick) * (1 - 0.42 * deposit)
    paper = swatch(_PAPER, ink.device)
    black = swatch(_CHARCOAL, ink.device)
    return paper + ink * (black - paper)


PRESET = drawn_preset("charcoal", _plan, _draw)
