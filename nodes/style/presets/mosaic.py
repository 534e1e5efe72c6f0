"""Mosaic of stone: small tiles turned with the form, grout between them, each tilted its own way."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..color import luma, oklab_to_rgb, rgb_to_oklab
from ..filters import blur, gradients, lifted, resize, smoothstep, stretched
from ..flow import contours, structure_flow, swirl
from ..frame import Frame, Rect
from ..noise import ValueNoise, generator, grain, value_noise
from ..strips import in_strips
from ..strokes import detail_map
from ..tesserae import Cells, map_pixels, means, plan_cells, quarter, quarter_sums
from .base import Render
from .drawing import drawn_preset, swatch
from .recolor import enrich, recolor

_SIZE = 9.0
_SMALLEST = 3.0
_CHROMA = 1.5
_GROUT = (0.20, 0.19, 0.18)
_GAP = (0.05, 0.16)
_LIGHT = (-0.6, -0.8)
# Above this much detail a tile is laid as four.
_BUSY = 0.36


@dataclass(frozen=True, slots=True)
class _Plan:
    """`stone` `[6, 4 * cells]`: OKLab colour, tilt x and y, and whether the cell is in quarters."""

    cells: Cells
    stone: Tensor
    veins: ValueNoise
    seed: int


def _colors(job: Render, rgb: Tensor) -> Tensor:
    lab = recolor(job, in_strips(rgb, 0, rgb_to_oklab, job.watch))
    tone = lifted(stretched(lab[:1], 0.01, 0.99), 0.5, 0.65)
    lab[:1] = 0.16 + 0.80 * tone
    job.watch.check()
    return enrich(job, lab, _CHROMA)


def _stones(job: Render, cells: Cells, lab: Tensor, detail: Tensor, weight: Tensor, rng: torch.Generator) -> Tensor:
    """What every quarter of every cell is made of."""
    frame = job.frame
    sums = quarter_sums(cells, frame, weight, torch.cat((lab, detail)), job.watch)
    parts, found = means(sums)
    whole, _ = means(sums.sum(-1, keepdim=True))
    split = (whole[3] > _BUSY).expand(-1, 4)
    color = torch.where(split & found, parts[:3], whole[:3]).flatten(1)
    noise = torch.randn((5, cells.count, 4), generator=rng).to(frame.device)
    # A cell in one piece has one jitter and one tilt.
    noise = torch.where(split, noise, noise[:, :, :1]).reshape(5, -1)
    jitter = torch.tensor((0.03, 0.010, 0.010), device=frame.device).unsqueeze(1)
    return torch.cat((color + jitter * noise[:3], noise[3:], split.float().reshape(1, -1)))


def _plan(job: Render) -> _Plan:
    frame, watch, unit = job.frame, job.watch, job.frame.map_unit
    rgb = resize(job.rgb, frame.map_height, frame.map_width)
    watch.check()
    flow = structure_flow(rgb, 4 * unit, watch)
    rng = generator(job.seed, 8)
    rows, cols = map_pixels(frame)
    turning = value_noise(frame.height, frame.width, 150 * frame.unit, 1, rng, frame.device).dense(rows, cols)
    watch.check()
    direction = swirl(flow, contours(turning), 0.6, 4 * unit, watch)
    del flow, turning
    grey = luma(rgb).unsqueeze(0)
    watch.check()
    gx, gy = gradients(blur(grey, 1.0 * unit))
    weight = (0.03 / (0.03 + torch.hypot(gx, gy) * unit))[0]
    del gx, gy
    watch.check()
    size = max(_SMALLEST, _SIZE * frame.unit)
    cells = plan_cells(frame, size, direction, weight, rng, watch)
    del direction
    detail = detail_map(grey, unit).clamp(max=4.0)
    watch.check()
    stone = _stones(job, cells, _colors(job, rgb), detail, weight, rng)
    veins = value_noise(frame.height, frame.width, max(2.0, 7 * frame.unit), 2, rng, frame.device)
    return _Plan(cells, stone, veins, job.seed)


def _draw(plan: _Plan, frame: Frame, rect: Rect) -> Tensor:
    rows, cols = frame.rows(rect), frame.cols(rect)
    index, gap = plan.cells.nearest(rows, cols)
    u, v = plan.cells.within(index, rows, cols)
    light, a, b, tilt_x, tilt_y, split = plan.stone[:, index * 4 + quarter(u, v)].unbind(0)
    seam = 2 * torch.minimum(u.abs(), v.abs()) + 2 * (1 - split)
    # Small tiles are set closer.
    edge = torch.minimum(gap, seam) * (1 + 0.5 * split)
    # The rim is cut down towards the grout and catches the light on one side.
    rim = 1 - smoothstep(_GAP[0], 0.34, edge)
    cos, sin = (plan.cells.shape[2:].flatten(1)[:, index] * plan.cells.size).unbind(0)
    pu, pv = torch.where(split > 0, u - 0.25 * u.sign(), u), torch.where(split > 0, v - 0.25 * v.sign(), v)
    x, y = pu * cos - pv * sin, pv * cos + pu * sin
    lit = (_LIGHT[0] * x + _LIGHT[1] * y) * (1 + split)
    veins = plan.veins.dense(rows, cols)[0] - 0.5
    fine = grain(rows, cols, plan.seed) - 0.5
    light = light + 0.16 * lit * rim + 0.05 * (tilt_x * x + tilt_y * y) + 0.035 * veins + 0.015 * fine
    rgb = oklab_to_rgb(torch.stack((light, a, b)))
    grout = swatch(_GROUT, rgb.device) * (1 + 0.25 * veins + 0.25 * fine)
    laid = smoothstep(*_GAP, edge)
    return torch.lerp(grout.expand_as(rgb), rgb, laid).clamp(0.0, 1.0)


PRESET = drawn_preset("mosaic", _plan, _draw)
