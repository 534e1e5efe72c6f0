"""Thick, turning brush strokes in ultramarine and yellow, lit like paint."""

from __future__ import annotations

from torch import Tensor

from ..palette import Palette
from ..strokes import Layer
from .base import Render
from .brush import Brushwork, brush_preset
from .recolor import enrich, recolor

PALETTE = Palette(
    "0b1f4b 16398f 2f63b8 5f9bc9 9cc3c0 24584f 5c7f3a d9a521 f2cf3f f6e7a0 8a5a24 c9d6c2 b5502a",
    (1.2, 1.6, 1.6, 1.3, 0.8, 0.8, 0.6, 1.1, 1.1, 0.9, 0.6, 0.6, 0.4),
)
_PALETTE_MOVE = (0.275, 0.55)
_CHROMA = 1.15

# The finest layers are drawn only where there is detail: they are what saves faces.
LAYERS = (
    Layer(12, 42, 15, 1.0, light_jitter=0.035, color_jitter=0.022, angle_jitter=0.12),
    Layer(8, 29, 9, 1.0, light_jitter=0.036, color_jitter=0.024, angle_jitter=0.10),
    Layer(5, 17, 5.2, 0.95, light_jitter=0.022, color_jitter=0.014, angle_jitter=0.06, threshold=0.26, body=0.9),
    Layer(3.2, 10, 3.1, 0.95, light_jitter=0.013, color_jitter=0.008, angle_jitter=0.05, threshold=0.45, body=0.55),
    Layer(2.2, 6.5, 2.0, 0.9, light_jitter=0.008, color_jitter=0.005, angle_jitter=0.04, threshold=0.7, body=0.35),
    Layer(1.5, 4.6, 1.4, 0.9, light_jitter=0.005, color_jitter=0.003, angle_jitter=0.03, threshold=1.0, body=0.2),
)


def _target(job: Render, lab: Tensor) -> Tensor:
    return enrich(job, recolor(job, lab, PALETTE, _PALETTE_MOVE), _CHROMA)


PRESET = brush_preset("vangogh", Brushwork(LAYERS, _target, flow_sigma=3.5, swirl=1.0, relief=0.9, gloss=0.3))
