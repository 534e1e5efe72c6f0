"""Colour spaces: sRGB, linear light and OKLab, and simple colour measures.

Owns no picture geometry. Every function takes channel-first float32 tensors `[3, ...]` and returns
a new tensor of the same shape, or `[...]` where it says so.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Björn Ottosson's published matrices: linear sRGB to cone response, cone response to OKLab.
_RGB_TO_LMS = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
_LMS_TO_LAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
_LAB_TO_LMS = (
    (1.0, 0.3963377774, 0.2158037573),
    (1.0, -0.1055613458, -0.0638541728),
    (1.0, -0.0894841775, -1.2914855480),
)
_LMS_TO_RGB = (
    (4.0767416621, -3.3077115913, 0.2309699292),
    (-1.2684380046, 2.6097574011, -0.3413193965),
    (-0.0041960863, -0.7034186147, 1.7076147010),
)

_Matrix = tuple[tuple[float, float, float], ...]


def _mix(matrix: _Matrix, x: Tensor) -> Tensor:
    weights = torch.tensor(matrix, dtype=x.dtype, device=x.device)
    return (weights @ x.reshape(3, -1)).reshape(x.shape)


def srgb_to_linear(x: Tensor) -> Tensor:
    """Undo the sRGB transfer curve; input 0..1."""
    return torch.where(x <= 0.04045, x / 12.92, ((x.clamp_min(0.0) + 0.055) / 1.055).pow(2.4))


def linear_to_srgb(x: Tensor) -> Tensor:
    """Apply the sRGB transfer curve; values outside 0..1 are clamped first."""
    x = x.clamp(0.0, 1.0)
    return torch.where(x <= 0.0031308, x * 12.92, 1.055 * x.clamp_min(1e-8).pow(1 / 2.4) - 0.055)


def rgb_to_oklab(rgb: Tensor) -> Tensor:
    """sRGB 0..1 to OKLab: L 0..1, a and b about -0.4..0.4."""
    lms = _mix(_RGB_TO_LMS, srgb_to_linear(rgb))
    return _mix(_LMS_TO_LAB, lms.clamp_min(0.0).pow(1 / 3))


def oklab_to_rgb(lab: Tensor) -> Tensor:
    """OKLab to sRGB, clamped to 0..1."""
    lms = _mix(_LAB_TO_LMS, lab)
    return linear_to_srgb(_mix(_LMS_TO_RGB, lms * lms * lms))


def luma(rgb: Tensor) -> Tensor:
    """Rec. 709 luma of sRGB values, `[...]`."""
    return 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2]


def chroma(lab: Tensor) -> Tensor:
    """Distance from grey in OKLab, `[...]`."""
    return torch.hypot(lab[1], lab[2])


def hex_to_rgb(colors: str) -> Tensor:
    """Space-separated `rrggbb` words to an `[N, 3]` tensor of sRGB 0..1."""
    rows = [[int(word[i : i + 2], 16) / 255 for i in (0, 2, 4)] for word in colors.split()]
    return torch.tensor(rows, dtype=torch.float32)
