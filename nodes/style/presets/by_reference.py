"""The two styles made of a reference picture: its colours alone, or its colours and strokes like its own.

Owns these two; how other styles use a reference is in `recolor` and `brush`.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from ..color import oklab_to_rgb, rgb_to_oklab
from ..frame import count_tiles, tiles
from ..palette import plan_move, reference_colors, thumbnail
from ..reference import Hand
from .base import Preset, Render
from .brush import Brushwork, brush_preset
from .recolor import recolor, reference_share
from .vangogh import LAYERS

# Jitter of the broadest strokes of `LAYERS`; a reference says what it is to be instead.
_USUAL_LIGHT, _USUAL_COLOR = 0.036, 0.024


def _reference(job: Render, style: str) -> Tensor:
    if job.reference is None:
        raise ValueError(f"the style {style!r} needs a reference picture")
    return job.reference


def _match(job: Render) -> Tensor:
    """The picture as it is, in the reference's colours."""
    colors = reference_colors(_reference(job, "color_match"))
    job.watch.check()
    move = plan_move(rgb_to_oklab(thumbnail(job.rgb)), colors, job.watch)
    job.watch.tick()
    out, size = torch.empty_like(job.rgb), (job.frame.height, job.frame.width)
    for rect in tiles(*size, job.tile):
        job.watch.check()
        rows, cols = rect.slices
        lab = move.applied(rgb_to_oklab(job.rgb[:, rows, cols]), rect, size, reference_share(job))
        out[:, rows, cols] = oklab_to_rgb(lab)
        job.watch.done(rect, out[:, rows, cols])
    return out


def _match_steps(height: int, width: int, tile: int) -> int:
    return 1 + count_tiles(height, width, tile)


def _brushwork(job: Render, hand: Hand | None) -> Brushwork:
    """Strokes whose colours vary as much as those of the reference."""
    _reference(job, "reference")
    hand = hand or Hand()
    light, color = hand.light_jitter / _USUAL_LIGHT, hand.color_jitter / _USUAL_COLOR
    layers = tuple(
        dataclasses.replace(layer, light_jitter=light * layer.light_jitter, color_jitter=color * layer.color_jitter)
        for layer in LAYERS
    )
    return Brushwork(layers, recolor, flow_sigma=3.5, swirl=0.8, relief=0.7, gloss=0.2)


COLOR_MATCH = Preset("color_match", _match, _match_steps, needs_reference=True)
REFERENCE = brush_preset("reference", _brushwork, needs_reference=True)
