"""The two styles made of a reference picture: its colours alone, or its colours and strokes like its own.

Owns these two; how other styles use a reference is in `recolor` and `brush`.
"""

from __future__ import annotations

import dataclasses

from torch import Tensor

from ..color import oklab_to_rgb, rgb_to_oklab
from ..frame import Rect
from ..palette import plan_move, reference_colors, thumbnail
from ..reference import Hand
from .base import Preset, Render
from .brush import Brushwork, brush_preset
from .drawing import count_steps, draw_tiles
from .recolor import recolor, reference_share
from .vangogh import LAYERS

# How much the most varied strokes of `LAYERS` vary; a reference says what that is to be instead.
_USUAL = Hand()


def _match(job: Render) -> Tensor:
    """The picture as it is, in the reference's colours."""
    assert job.reference is not None
    colors = reference_colors(job.reference)
    job.watch.check()
    move = plan_move(rgb_to_oklab(thumbnail(job.rgb)), colors, job.watch)
    size, share = (job.frame.height, job.frame.width), reference_share(job)

    def draw(rect: Rect) -> Tensor:
        rows, cols = rect.slices
        return oklab_to_rgb(move.applied(rgb_to_oklab(job.rgb[:, rows, cols]), rect, size, share))

    return draw_tiles(job, draw)


def _brushwork(_job: Render, hand: Hand | None) -> Brushwork:
    """Strokes whose colours vary as much as those of the reference."""
    hand = hand or _USUAL
    light, color = hand.light_jitter / _USUAL.light_jitter, hand.color_jitter / _USUAL.color_jitter
    layers = tuple(
        dataclasses.replace(layer, light_jitter=light * layer.light_jitter, color_jitter=color * layer.color_jitter)
        for layer in LAYERS
    )
    return Brushwork(layers, recolor, flow_sigma=3.5, swirl=0.8, relief=0.7, gloss=0.2)


COLOR_MATCH = Preset("color_match", _match, count_steps, needs_reference=True)
REFERENCE = brush_preset("reference", _brushwork, needs_reference=True)
