"""Round dots of strong colour on a cream ground: blue-violet shadows, warm lights."""

from __future__ import annotations

import torch
from torch import Tensor

from ..color import hex_to_rgb, rgb_to_oklab
from ..filters import blur
from ..strokes import Layer
from .base import Render
from .brush import Brushwork, brush_preset
from .recolor import enrich, recolor

_CHROMA = 1.45
_DARKEST, _LIGHTEST = 0.12, 0.98
# Below this lightness colours turn blue and violet, above it yellow.
_MIDDLE = 0.62
_TURN_A, _TURN_B = 0.03, -0.16
_CREAM, _CREAM_SHARE = "f4ead2", 0.2

_LAYERS = (
    Layer(7.2, 9.4, 8.6, light_jitter=0.03, color_jitter=0.03, dot=True),
    Layer(5.8, 6.8, 6.2, light_jitter=0.045, color_jitter=0.045, warm_jitter=0.06, dot=True),
    Layer(4.4, 4.9, 4.5, light_jitter=0.045, color_jitter=0.045, threshold=0.25, dot=True, body=0.8),
    Layer(3.0, 3.4, 3.2, light_jitter=0.03, color_jitter=0.03, threshold=0.6, dot=True, body=0.5),
    Layer(2.1, 2.6, 2.4, light_jitter=0.018, color_jitter=0.02, threshold=0.9, dot=True, body=0.3),
)


def _target(job: Render, lab: Tensor) -> Tensor:
    target = enrich(job, recolor(job, lab), _CHROMA)
    target[0] = _DARKEST + (_LIGHTEST - _DARKEST) * target[0]
    shadow = job.palette_strength * (_MIDDLE - target[0])
    target[1] += _TURN_A * shadow
    target[2] += _TURN_B * shadow
    return target


def _ground(target: Tensor, unit: float) -> Tensor:
    cream = rgb_to_oklab(hex_to_rgb(_CREAM).T.contiguous()).to(target.device)
    return torch.lerp(blur(target, 5 * unit), cream.unsqueeze(-1), _CREAM_SHARE)


PRESET = brush_preset(
    "pointillism", Brushwork(_LAYERS, _target, flow_sigma=3.5, swirl=0.0, relief=0.25, ground=_ground)
)
