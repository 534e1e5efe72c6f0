"""What a reference picture says besides its colours: how coarse its strokes are, how much colours vary.

Owns these measures only; its colours are `palette.reference_colors`, who uses both is `presets`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from .color import rgb_to_oklab
from .filters import blur, resize

# Pictures are measured at about this many pixels a side, whatever their own size.
_SIDE = 512
_BANDS = (1.0, 2.0, 4.0, 8.0)
# Mean band of a picture that is painted with strokes of the usual size, and how much more strokes differ than it does.
_USUAL_BAND = 3.1
_CONTRAST = 2.0
_SCALES = (0.7, 1.5)
_JITTERS = (0.008, 0.06)
_JITTER_REACH = 6.0
_JITTER_SHARE = 0.45
# Pictures whose bands are weaker than this are flat: they say nothing of strokes.
_FLAT = 1e-4


@dataclass(frozen=True, slots=True)
class Hand:
    """`scale` multiplies stroke sizes; jitters are deviations of L, and of a and b, between strokes."""

    scale: float = 1.0
    light_jitter: float = 0.036
    color_jitter: float = 0.024


def _within(value: float, limits: tuple[float, float]) -> float:
    return min(limits[1], max(limits[0], value))


def _stroke_scale(bands: list[float]) -> float:
    """Size of strokes by how strong the detail of each size is."""
    if sum(bands) < _FLAT:
        return 1.0
    mean = sum(math.log(sigma) * band for sigma, band in zip(_BANDS, bands, strict=True)) / sum(bands)
    return _within((math.exp(mean) / _USUAL_BAND) ** _CONTRAST, _SCALES)


def measure_hand(rgb: Tensor) -> Hand:
    """Measure a picture, sRGB `[3, h, w]` of any size. Asks the device once."""
    height, width = rgb.shape[-2:]
    factor = _SIDE / math.sqrt(height * width)
    lab = rgb_to_oklab(resize(rgb, max(1, round(height * factor)), max(1, round(width * factor))))
    smooth = [lab[:1], *(blur(lab[:1], sigma) for sigma in _BANDS)]
    # The median: strokes are everywhere, hard edges of what is painted are not.
    strengths = [(fine - coarse).abs().median() for fine, coarse in pairwise(smooth)]
    rest = (lab - blur(lab, _JITTER_REACH)).flatten(1).std(dim=1, correction=0)
    *bands, light, a, b = torch.stack((*strengths, *rest)).tolist()
    return Hand(
        _stroke_scale(bands),
        _within(_JITTER_SHARE * light, _JITTERS),
        _within(_JITTER_SHARE * (a + b) / 2, _JITTERS),
    )
