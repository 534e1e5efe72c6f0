"""Short, soft dabs in pastel colours: broken light, with blue and violet in the shadows."""

from __future__ import annotations

from torch import Tensor

from ..palette import Palette
from ..strokes import Layer
from .base import Render
from .brush import Brushwork, brush_preset
from .recolor import enrich, recolor

PALETTE = Palette(
    "8fa6cf b7c4e4 c9b3d9 e9d8e0 7fae9b a9c88f 5d7fa8 f2d9b0 eab6a0 4d6a78 6b5a86 dfe8e6 d77f73",
    (1.3, 1.2, 1.0, 0.9, 1.1, 0.9, 0.9, 0.8, 0.7, 0.7, 0.6, 0.9, 0.3),
)
_PALETTE_MOVE = (0.275, 0.5)
_CHROMA = 1.15
# There is no black in the open air.
_DARKEST, _LIGHTEST = 0.10, 0.98

_SOFT = 0.3
_LAYERS = (
    Layer(9, 22, 13, 1.0, light_jitter=0.022, color_jitter=0.022, angle_jitter=0.30, edge=_SOFT),
    Layer(6, 14, 6.5, 0.9, light_jitter=0.032, color_jitter=0.030, angle_jitter=0.40, edge=_SOFT),
    Layer(4, 9.5, 4.2, 0.85, light_jitter=0.025, color_jitter=0.022, angle_jitter=0.35, threshold=0.25, edge=_SOFT),
    Layer(2.8, 6.5, 2.7, 0.85, light_jitter=0.016, color_jitter=0.014, angle_jitter=0.2, threshold=0.55, edge=_SOFT),
    Layer(1.9, 4.8, 1.8, 0.85, light_jitter=0.008, color_jitter=0.007, angle_jitter=0.1, threshold=0.9, edge=_SOFT),
)


def _target(job: Render, lab: Tensor) -> Tensor:
    target = enrich(job, recolor(job, lab, PALETTE, _PALETTE_MOVE), _CHROMA)
    target[0] = _DARKEST + (_LIGHTEST - _DARKEST) * target[0]
    return target


PRESET = brush_preset("monet", Brushwork(_LAYERS, _target, flow_sigma=4.0, swirl=0.35, relief=0.35))
