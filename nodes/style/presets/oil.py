"""Broad, calm brush strokes in the picture's own colours, deeper and richer."""

from __future__ import annotations

from torch import Tensor

from ..filters import local_contrast
from ..strokes import Layer
from .base import Render
from .brush import Brushwork, brush_preset
from .recolor import enrich, recolor

_CHROMA = 1.18
_CONTRAST, _CONTRAST_REACH = 0.12, 12

_LAYERS = (
    Layer(12, 44, 17, 1.0, light_jitter=0.024, color_jitter=0.010, angle_jitter=0.20, hairs=2.3),
    Layer(8, 27, 11, 0.97, light_jitter=0.026, color_jitter=0.011, angle_jitter=0.15, threshold=0.16, hairs=1.6),
    Layer(5, 17, 6.2, 0.95, light_jitter=0.015, color_jitter=0.007, angle_jitter=0.08, threshold=0.38, body=0.8),
    Layer(3, 10, 3.2, 0.95, light_jitter=0.008, color_jitter=0.005, angle_jitter=0.05, threshold=0.66, body=0.5),
    Layer(1.9, 6.0, 1.8, 0.9, light_jitter=0.004, color_jitter=0.003, angle_jitter=0.04, threshold=1.0, body=0.3),
)


def _target(job: Render, lab: Tensor) -> Tensor:
    target = enrich(job, recolor(job, lab), _CHROMA)
    target[:1] = local_contrast(target[:1], _CONTRAST_REACH * job.frame.map_unit, _CONTRAST)
    return target


PRESET = brush_preset("oil", Brushwork(_LAYERS, _target, flow_sigma=3.5, swirl=0.25, relief=0.6, gloss=0.1))
