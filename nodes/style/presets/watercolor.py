"""Watercolour: washes that dry darker at their rims, wet runs, grain of the paper, white left bare."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..color import luma, oklab_to_rgb, rgb_to_oklab
from ..filters import blur, gradients, kuwahara, lifted, resize, smoothstep, stretched
from ..flow import structure_flow
from ..frame import Frame, Rect
from ..lines import Paths, smear
from ..noise import ValueNoise, generator, grain, value_noise
from ..sampling import sample_points
from ..strips import in_strips, strips
from ..strokes import detail_map
from .base import Render
from .drawing import drawn_preset, swatch
from .recolor import enrich, recolor

_CHROMA = 1.35
_TONES = 7
_SOFTENED = 0.4
_PAPER = (0.985, 0.975, 0.955)


@dataclass(frozen=True, slots=True)
class _Plan:
    """`maps`: the wash's colour (sRGB) and how much pigment has gathered, on the map grid."""

    maps: Tensor
    sway: tuple[ValueNoise, ValueNoise]
    flow: ValueNoise
    rough: ValueNoise
    paper: ValueNoise
    seed: int


def _simplified(job: Render, rgb: Tensor, detail: Tensor) -> Tensor:
    """Small patches where there is detail, large ones elsewhere."""
    unit, watch = job.frame.map_unit, job.watch
    # Along the form first: fur becomes strokes of the brush, thin lines stay whole.
    paths = Paths.of(structure_flow(rgb, 2.2 * unit, watch).direction, watch)
    fine = kuwahara(smear(rgb, paths, 3.5 * unit, 1.5, watch), 2.2 * unit, watch)
    coarse = kuwahara(kuwahara(fine, 5 * unit, watch), 5 * unit, watch)
    return torch.lerp(coarse, fine, smoothstep(0.12, 0.4, detail))


def _washes(job: Render, rgb: Tensor, detail: Tensor) -> Tensor:
    """The colours of the paint, sRGB: light, clear, in a few tones, dark only as a blue."""
    lab = in_strips(_simplified(job, rgb, detail), 0, rgb_to_oklab, job.watch)
    tone = lifted(stretched(lab[:1], 0.02, 0.97), 0.55, 0.6)
    job.watch.check()
    lab = enrich(job, recolor(job, lab), _CHROMA)
    lab[:1] = tone

    def paint(part: Tensor) -> Tensor:
        tone = part[:1]
        step = tone * _TONES
        stepped = (step.floor() + smoothstep(0.3, 0.7, step - step.floor())) / _TONES
        tone = torch.lerp(tone, stepped, 0.75)
        dark = (1 - tone).square() * job.palette_strength
        light = 0.36 + 0.63 * tone.clamp_min(0.0).pow(0.85)
        return oklab_to_rgb(torch.cat((light, part[1:2] - 0.004 * dark, part[2:] - 0.03 * dark)))

    # The borders of the patches are steps of whole map pixels, which show where the picture is larger than its map.
    return blur(in_strips(lab, 0, paint, job.watch), _SOFTENED * job.frame.map_unit)


def _wet(job: Render, rgb: Tensor, detail: Tensor, rng: torch.Generator) -> Tensor:
    """Some empty places were painted wet: there the colours have run into each other."""
    frame, unit = job.frame, job.frame.map_unit
    size = (frame.map_height, frame.map_width)
    where = value_noise(*size, 80 * unit, 2, rng, frame.device)
    sway = [value_noise(*size, 22 * unit, 2, rng, frame.device) for _ in range(2)]
    soft = blur(rgb, 4 * unit)
    job.watch.check()
    empty = smoothstep(0.3, 0.1, blur(detail, 4 * unit))
    out = torch.empty_like(rgb)
    cols = torch.arange(size[1], device=frame.device, dtype=torch.float32)
    for part in strips(size[0], frame.device):
        job.watch.check()
        rows = torch.arange(part.start, part.stop, device=frame.device, dtype=torch.float32)
        away = [14 * unit * (noise.dense(rows, cols)[0] - 0.5) for noise in sway]
        run = sample_points(soft, rows.unsqueeze(1) + away[0], cols + away[1])
        share = 0.7 * smoothstep(0.42, 0.62, where.dense(rows, cols)) * empty[:, part]
        out[:, part] = torch.lerp(rgb[:, part], run, share)
    return out


def _gathered(job: Render, rgb: Tensor) -> Tensor:
    """Pigment that the drying water has carried to the rims of the washes, `[1, h, w]`."""
    unit = job.frame.map_unit
    grey = luma(rgb).unsqueeze(0)
    rim = (blur(grey, 2.2 * unit) - grey).clamp_min(0.0)
    gx, gy = gradients(blur(grey, 0.7 * unit))
    return (9 * rim + 0.35 * smoothstep(0.02, 0.10, torch.hypot(gx, gy) * unit)).clamp(max=1.2)


def _plan(job: Render) -> _Plan:
    frame, watch, unit = job.frame, job.watch, job.frame.map_unit
    rgb = resize(job.rgb, frame.map_height, frame.map_width)
    watch.check()
    rng = generator(job.seed, 7)
    detail = detail_map(luma(rgb).unsqueeze(0), unit)
    watch.check()
    paint = _washes(job, rgb, detail)
    del rgb
    paint = _wet(job, paint, detail, rng)
    del detail
    maps = torch.cat((paint, _gathered(job, paint)))
    watch.check()

    def noise(cell: float, octaves: int) -> ValueNoise:
        return value_noise(frame.height, frame.width, max(2.0, cell * frame.unit), octaves, rng, frame.device)

    return _Plan(maps, (noise(22, 2), noise(22, 2)), noise(70, 4), noise(6, 2), noise(3.2, 2), job.seed)


def _draw(plan: _Plan, frame: Frame, rect: Rect) -> Tensor:
    rows, cols = frame.rows(rect), frame.cols(rect)
    reach = 2 * 1.6 * frame.unit
    y = rows.unsqueeze(1) + reach * (plan.sway[0].dense(rows, cols)[0] - 0.5)
    x = cols + reach * (plan.sway[1].dense(rows, cols)[0] - 0.5)
    got = sample_points(plan.maps, frame.map_rows(y), frame.map_cols(x), smooth=True)
    color, gathered = got[:3].clamp(0.02, 1.0), got[3].clamp_min(0.0)
    flow = plan.flow.dense(rows, cols)[0] - 0.5
    paper = plan.paper.dense(rows, cols)[0] - 0.5
    rough = plan.rough.dense(rows, cols)[0] - 0.5
    fine = grain(rows, cols, plan.seed) - 0.5
    density = 1 + 0.75 * flow + 0.22 * paper + 0.16 * rough + 0.10 * fine + 1.15 * gathered
    # Layers of pigment multiply: twice the density is the colour times itself.
    color = color.pow(density.clamp(0.25, 2.6))
    white = swatch(_PAPER, color.device)
    bare = 0.75 * smoothstep(0.80, 0.97, luma(color) + 0.10 * rough)
    color = torch.lerp(color * white, white.expand_as(color), bare)
    return (color * (1 + 0.07 * paper + 0.02 * fine)).clamp(0.0, 1.0)


PRESET = drawn_preset("watercolor", _plan, _draw)
