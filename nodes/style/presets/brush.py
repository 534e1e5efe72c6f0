"""How every style of brush strokes is painted: maps, layers from coarse to fine, relief.

Owns the order of the work. A style gives its numbers and what colours the picture is to have.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..color import rgb_to_oklab
from ..filters import blur, resize
from ..flow import contours, structure_flow, swirl
from ..frame import bands, count_tiles
from ..noise import generator, value_noise
from ..painting import light_relief, paint
from ..reference import Hand, measure_hand
from ..strokes import Layer, Maps, PlannedLayer, detail_map, plan_layer
from .base import Preset, Render

# Size (units) and weight of the blobs that strokes turn around in empty skies.
_BLOBS = ((160, 1.0), (90, 0.6))
_BLOB_PIXELS = 24
_BAND_PIXELS = 2**19
# Layers of such a detail threshold are not scaled by a reference.
_FINEST = 0.8


def soft_ground(target: Tensor, unit: float) -> Tensor:
    """The picture's own colours, blurred: what shows where no stroke lies."""
    return blur(target, 3 * unit)


@dataclass(frozen=True, slots=True)
class Brushwork:
    """A style of strokes. `target` makes the colours to paint (OKLab on the map grid) of the picture's own.

    `flow_sigma` (units) is how far strokes look around for their direction; `swirl` 0..1 how much
    they turn where the picture has none. `relief` is how strongly the paint is lit, `gloss` its shine.
    """

    layers: tuple[Layer, ...]
    target: Callable[[Render, Tensor], Tensor]
    flow_sigma: float
    swirl: float
    relief: float
    gloss: float = 0.0
    ground: Callable[[Tensor, float], Tensor] = soft_ground


def _turning(job: Render) -> Tensor:
    """The way strokes turn in empty skies: contour lines of large blobs, as a double angle `[2, map_h, map_w]`."""
    frame, rng = job.frame, generator(job.seed, 1)
    height, width = frame.map_height, frame.map_width
    # The blobs are so large that a few pixels of each will do.
    step = max(1, int(frame.map_unit * _BLOBS[-1][0] / _BLOB_PIXELS))
    rows = torch.arange(-(-height // step), device=frame.device, dtype=torch.float32) * step
    cols = torch.arange(-(-width // step), device=frame.device, dtype=torch.float32) * step
    noise = torch.zeros((1, len(rows), len(cols)), device=frame.device)
    for cell, weight in _BLOBS:
        job.watch.check()
        blobs = value_noise(height, width, cell * frame.map_unit, 1, rng, frame.device)
        noise += weight * blobs.dense(rows, cols)
    return resize(contours(noise), height, width)


def _maps(job: Render, work: Brushwork) -> Maps:
    frame, watch = job.frame, job.watch
    unit = frame.map_unit
    rgb = resize(job.rgb, frame.map_height, frame.map_width)
    sigma = work.flow_sigma * unit
    flow = structure_flow(rgb, sigma, watch)
    direction = swirl(flow, _turning(job), work.swirl, 0.8 * sigma, watch)
    del flow
    lab = torch.empty_like(rgb)
    for band in bands(frame.map_height, frame.map_width, _BAND_PIXELS):
        watch.check()
        rows, cols = band.slices
        lab[:, rows, cols] = rgb_to_oklab(rgb[:, rows, cols])
    del rgb
    watch.check()
    detail = detail_map(lab[:1], unit)
    watch.check()
    return Maps(work.target(job, lab), direction, detail)


def _scaled(layer: Layer, scale: float) -> Layer:
    """A layer with strokes of a reference's size. The finest stay as they are: they are what saves faces."""
    share = 1.0 if layer.threshold is None else max(0.0, 1 - layer.threshold / _FINEST)
    size = scale**share
    return dataclasses.replace(
        layer, spacing=size * layer.spacing, length=size * layer.length, width=size * layer.width
    )


def _in_hand(work: Brushwork, hand: Hand | None) -> Brushwork:
    """A style's brushwork with strokes of a reference's size."""
    if hand is None:
        return work
    return dataclasses.replace(work, layers=tuple(_scaled(layer, hand.scale) for layer in work.layers))


def _render(job: Render, work: Brushwork) -> Tensor:
    maps = _maps(job, work)
    planned: list[PlannedLayer | None] = []
    for i, layer in enumerate(work.layers):
        job.watch.check()
        planned.append(plan_layer(layer, job.frame, maps, generator(job.seed, 10 + i), job.watch))
    ground = work.ground(maps.target, job.frame.map_unit)
    del maps
    job.watch.tick()
    layers = [layer for layer in planned if layer is not None]
    rgb, height = paint(layers, ground, job.frame, job.tile, job.watch)
    return light_relief(rgb, height, job.frame, work.relief, work.gloss, job.tile, job.watch)


def _steps(height: int, width: int, tile: int) -> int:
    return 1 + count_tiles(height, width, tile) + -(-height // tile)


def brush_preset(
    name: str, work: Brushwork | Callable[[Render, Hand | None], Brushwork], *, needs_reference: bool = False
) -> Preset:
    """A preset that paints with this brushwork, or with what a function makes of the job and its reference."""

    def render(job: Render) -> Tensor:
        hand = None if job.reference is None else measure_hand(job.reference)
        return _render(job, _in_hand(work if isinstance(work, Brushwork) else work(job, hand), hand))

    return Preset(name, render, _steps, needs_reference)
