"""Thick, turning brush strokes in ultramarine and yellow, lit like paint."""

from __future__ import annotations

import torch
from torch import Tensor

from ..color import rgb_to_oklab
from ..filters import blur, resize
from ..flow import structure_flow, swirl
from ..frame import count_tiles
from ..noise import generator, value_noise
from ..painting import light_relief, paint
from ..palette import Palette, move_colors
from ..strokes import Layer, Maps, PlannedLayer, detail_map, plan_layer
from .base import Preset, Render

PALETTE = Palette(
    "0b1f4b 16398f 2f63b8 5f9bc9 9cc3c0 24584f 5c7f3a d9a521 f2cf3f f6e7a0 8a5a24 c9d6c2 b5502a",
    (1.2, 1.6, 1.6, 1.3, 0.8, 0.8, 0.6, 1.1, 1.1, 0.9, 0.6, 0.6, 0.4),
)
_PALETTE_MOVE = (0.275, 0.55)
_CHROMA = 1.15

# The finest layers are drawn only where there is detail: they are what saves faces.
_LAYERS = (
    Layer(12, 42, 15, 1.0, light_jitter=0.035, color_jitter=0.022, angle_jitter=0.12),
    Layer(8, 29, 9, 1.0, light_jitter=0.036, color_jitter=0.024, angle_jitter=0.10),
    Layer(5, 17, 5.2, 0.95, light_jitter=0.022, color_jitter=0.014, angle_jitter=0.06, threshold=0.26, body=0.9),
    Layer(3.2, 10, 3.1, 0.95, light_jitter=0.013, color_jitter=0.008, angle_jitter=0.05, threshold=0.45, body=0.55),
    Layer(2.2, 6.5, 2.0, 0.9, light_jitter=0.008, color_jitter=0.005, angle_jitter=0.04, threshold=0.7, body=0.35),
    Layer(1.5, 4.6, 1.4, 0.9, light_jitter=0.005, color_jitter=0.003, angle_jitter=0.03, threshold=1.0, body=0.2),
)


def _target(lab: Tensor) -> Tensor:
    moved = move_colors(lab, PALETTE, _PALETTE_MOVE)
    return moved * torch.tensor((1.0, _CHROMA, _CHROMA), device=lab.device).reshape(3, 1, 1)


def _turning_noise(job: Render) -> Tensor:
    """Blobs whose contour lines the strokes follow in empty skies, `[1, map_h, map_w]`."""
    frame, rng = job.frame, generator(job.seed, 1)
    rows = torch.arange(frame.map_height, device=frame.device, dtype=torch.float32)
    cols = torch.arange(frame.map_width, device=frame.device, dtype=torch.float32)
    noise = torch.zeros((1, len(rows), len(cols)), device=frame.device)
    for cell, weight in ((160, 1.0), (90, 0.6)):
        size = cell * frame.map_unit
        blobs = value_noise(len(rows), len(cols), size, 1, rng, frame.device)
        noise += weight * blobs.dense(rows, cols)
    return noise


def _maps(job: Render) -> Maps:
    frame, watch = job.frame, job.watch
    unit = frame.map_unit
    rgb = resize(job.rgb, frame.map_height, frame.map_width)
    watch.check()
    lab = rgb_to_oklab(rgb)
    watch.check()
    flow = structure_flow(rgb, 3.5 * unit)
    watch.check()
    direction = swirl(flow, _turning_noise(job), 1.0, 0.8 * 3.5 * unit)
    watch.check()
    return Maps(_target(lab), direction, detail_map(lab[:1], unit))


def _render(job: Render) -> Tensor:
    maps = _maps(job)
    planned: list[PlannedLayer | None] = []
    for i, layer in enumerate(_LAYERS):
        job.watch.check()
        planned.append(plan_layer(layer, job.frame, maps, generator(job.seed, 10 + i)))
    ground = blur(maps.target, 3 * job.frame.map_unit)
    job.watch.tick()
    layers = [layer for layer in planned if layer is not None]
    rgb, height = paint(layers, ground, job.frame, job.tile, job.watch)
    return light_relief(rgb, height, job.frame, 0.9, 0.3, job.tile, job.watch)


def _steps(height: int, width: int, tile: int) -> int:
    return 1 + count_tiles(height, width, tile) + -(-height // tile)


PRESET = Preset("vangogh", _render, _steps)
