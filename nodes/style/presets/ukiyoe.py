"""Japanese woodblock print: few flat pigments, long even contour lines, the grain of the block."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..color import luma, oklab_to_rgb, rgb_to_oklab
from ..filters import blur, kuwahara, lifted, resize, smoothstep, stretched
from ..flow import structure_flow
from ..frame import Frame, Rect
from ..lines import Paths, drawn_lines, smear
from ..noise import StretchedNoise, ValueNoise, generator, grain, stretched_noise, value_noise
from ..palette import Palette, main_colors, nearest_color, transport
from ..sampling import sample_map
from ..strips import in_strips
from .base import Render
from .drawing import drawn_preset, swatch
from .recolor import wanted_colors

PALETTE = Palette(
    "f1e4c6 e6d3a8 1f3a63 3f6a94 8fb0bd b8c4a8 6f8a5f c4553a d99a6c 2b2a33 8b6a4f",
    (2.4, 1.4, 1.6, 1.2, 1.1, 0.7, 0.6, 0.7, 0.8, 0.9, 0.6),
)
# How far a block's colour is moved before its pigment is chosen: L, a and b.
_PALETTE_MOVE = (0.30, 0.40, 0.40)
_REFERENCE_MOVE = (0.40, 1.0, 1.0)
_BLOCKS = 24
# How much of the shading within a block is kept, and how soft the border between two blocks is.
_SHADING = (0.30, 0.15, 0.15)
_BORDER = 0.02
_SNAP = 0.75
_INK = (0.13, 0.13, 0.19)
_LINE = (0.006, 0.026)


@dataclass(frozen=True, slots=True)
class _Plan:
    """`maps`: L, a, b and the contour lines, on the map grid."""

    maps: Tensor
    wood: tuple[StretchedNoise, ...]
    wobble: ValueNoise
    seed: int


@dataclass(frozen=True, slots=True)
class _Blocks:
    """The blocks that are cut, OKLab `[3, n]`: which colours of the picture go on each, and its pigment."""

    own: Tensor
    pigment: Tensor


def _weighed(device: torch.device) -> Tensor:
    """Hue separates blocks more than lightness does."""
    return torch.tensor((0.7, 1.5, 1.5), device=device).unsqueeze(1)


def _blocks(job: Render, lab: Tensor) -> _Blocks:
    """Group the picture's colours and give each group one pigment."""
    metric = _weighed(lab.device)
    cloud = resize(lab, min(lab.shape[-2], 128), min(lab.shape[-1], 128)).reshape(3, -1)
    own = main_colors(cloud * metric, _BLOCKS) / metric
    colors = wanted_colors(job, PALETTE)
    strength = min(1.0, job.palette_strength)
    if strength == 0:
        return _Blocks(own, own)
    moved = transport(cloud, colors.cloud, 16, generator(0, 101))
    nearest = torch.cdist((cloud * metric).T.contiguous(), (own * metric).T.contiguous()).argmin(dim=1)
    member = torch.nn.functional.one_hot(nearest, _BLOCKS).to(cloud.dtype)
    size = member.sum(0)
    wanted = torch.where(size > 0, moved @ member / size.clamp_min(1.0), own)
    move = _PALETTE_MOVE if job.reference is None else _REFERENCE_MOVE
    share = torch.tensor(move, device=lab.device).unsqueeze(1)
    wanted = torch.lerp(own, wanted, share)
    # Looked up by a stronger colour than it has: dull reds are to become red, not brown.
    strong = wanted * torch.tensor((1.0, 1.35, 1.35), device=lab.device).unsqueeze(1)
    pigment = torch.lerp(wanted, nearest_color(strong.unsqueeze(1), colors.main)[:, 0], _SNAP)
    return _Blocks(own, torch.lerp(own, pigment, strength))


def _printed(job: Render, lab: Tensor) -> Tensor:
    """The picture in its pigments; a little of the shading within each stays, as when a block is wiped."""
    blocks, metric = _blocks(job, lab), _weighed(lab.device)
    where = (blocks.own * metric).T.contiguous()
    keep = torch.tensor(_SHADING, device=lab.device).unsqueeze(1)

    def print_part(part: Tensor) -> Tensor:
        points = part.reshape(3, -1)
        apart = torch.cdist((points * metric).T.contiguous(), where)
        share = torch.softmax(-((apart / _BORDER) ** 2), dim=1).T
        return (blocks.pigment @ share + keep * (points - blocks.own @ share)).reshape(part.shape)

    return in_strips(lab, 0, print_part, job.watch)


def _plan(job: Render) -> _Plan:
    frame, watch, unit = job.frame, job.watch, job.frame.map_unit
    rgb = resize(job.rgb, frame.map_height, frame.map_width)
    watch.check()
    paths = Paths.of(structure_flow(rgb, 2.8 * unit, watch).direction, watch)
    flat = kuwahara(kuwahara(rgb, 5 * unit, watch), 4 * unit, watch)
    flat = smear(flat, paths, 5 * unit, 1.5, watch)
    tone = stretched(luma(rgb).unsqueeze(0), 0.02, 0.98)
    lines = drawn_lines(lifted(tone, 0.5, 0.6), paths, 1.4 * unit, 12 * unit, watch)
    del rgb, paths, tone
    printed = blur(_printed(job, in_strips(flat, 0, rgb_to_oklab, watch)), 0.5 * unit)
    watch.check()
    rng = generator(job.seed, 6)
    wood = tuple(
        stretched_noise(0.03, length * frame.unit, max(1.0, width * frame.unit), rng, frame.device)
        for length, width in ((140, 1.8), (260, 4.5))
    )
    wobble = value_noise(frame.height, frame.width, 180 * frame.unit, 2, rng, frame.device)
    return _Plan(torch.cat((printed, lines)), wood, wobble, job.seed)


def _wood(plan: _Plan, frame: Frame, rows: Tensor, cols: Tensor, wobble: Tensor) -> Tensor:
    """The block's grain, about -0.5..0.5 `[h, w]`: streaks that bend a little."""
    y = rows.unsqueeze(1) + 22 * frame.unit * wobble
    x = cols.expand(y.shape)
    return 0.5 * (plan.wood[0].at(y, x) + plan.wood[1].at(y, x)) - 0.5


def _draw(plan: _Plan, frame: Frame, rect: Rect) -> Tensor:
    rows, cols = frame.rows(rect), frame.cols(rect)
    maps = sample_map(frame, plan.maps, rect)
    wobble = plan.wobble.dense(rows, cols)[0] - 0.5
    wood = _wood(plan, frame, rows, cols, wobble)
    fiber = grain(rows, cols, plan.seed) - 0.5
    # The grain shows where pigment lies, not on bare paper.
    laid = 0.35 + 0.65 * smoothstep(0.95, 0.6, maps[0])
    lightness = maps[0] + laid * (0.07 * wood + 0.03 * wobble) + 0.012 * fiber
    rgb = oklab_to_rgb(torch.stack((lightness, maps[1], maps[2])))
    ink = smoothstep(*_LINE, maps[3] * (1 + 0.5 * wobble)) * (0.92 + 0.25 * wood)
    black = swatch(_INK, rgb.device)
    return torch.lerp(rgb, black.expand_as(rgb), ink.clamp(0.0, 1.0))


PRESET = drawn_preset("ukiyoe", _plan, _draw)
