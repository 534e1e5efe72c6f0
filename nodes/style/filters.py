"""Linear and edge-keeping filters on channel-first tensors.

Owns no style and no colour science. Pictures are `[C, H, W]` float32 of any size from 1x1; edges
repeat the border pixel (reflection fails where the padding is larger than the picture).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .strips import in_strips, strips
from .watch import Watch

_WIDEST_DIRECT_SIGMA = 3.0
_NARROWEST_SIGMA = 0.2


def smoothstep(low: float, high: float, x: Tensor) -> Tensor:
    """0 below `low`, 1 above `high`, a smooth cubic between."""
    t = ((x - low) / (high - low)).clamp(0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def resize(x: Tensor, height: int, width: int) -> Tensor:
    """Area average when smaller, bilinear when larger."""
    if (height, width) == tuple(x.shape[-2:]):
        return x
    if height <= x.shape[-2] and width <= x.shape[-1]:
        return F.interpolate(x.unsqueeze(0), size=(height, width), mode="area")[0]
    return F.interpolate(x.unsqueeze(0), size=(height, width), mode="bilinear", align_corners=False)[0]


def _weighted(x: Tensor, weights: list[float], dim: int) -> Tensor:
    """Correlate along one axis with an odd, symmetric kernel given as its half from the centre out.

    Shifted sums: for one channel and a short kernel many times faster than a general convolution.
    """
    radius = len(weights) - 1
    size = x.shape[dim] - 2 * radius
    out = x.narrow(dim, radius, size) * weights[0]
    for offset in range(1, radius + 1):
        pair = x.narrow(dim, radius - offset, size) + x.narrow(dim, radius + offset, size)
        out.add_(pair, alpha=weights[offset])
    return out


def _padded(x: Tensor, by: int) -> Tensor:
    return F.pad(x.unsqueeze(1), (by, by, by, by), mode="replicate")[:, 0]


def _gaussian(x: Tensor, sigma: float) -> Tensor:
    radius = max(1, math.ceil(3 * sigma))
    half = [math.exp(-0.5 * (i / sigma) ** 2) for i in range(radius + 1)]
    total = 2 * sum(half) - half[0]
    half = [weight / total for weight in half]
    # One channel and a few rows at a time stay in the processor's cache.
    out = torch.empty_like(x)
    height = x.shape[-2]
    for plane, blurred in zip(x.split(1), out.split(1), strict=True):
        for rows in strips(height, x.device):
            first, last = max(0, rows.start - radius), min(height, rows.stop + radius)
            above, below = radius - (rows.start - first), radius - (last - rows.stop)
            part = F.pad(plane[:, first:last].unsqueeze(1), (radius, radius, above, below), mode="replicate")[:, 0]
            blurred[:, rows] = _weighted(_weighted(part, half, -2), half, -1)
    return out


def blur(x: Tensor, sigma: float) -> Tensor:
    """Gaussian blur; wide ones are done on a reduced grid, which costs no visible accuracy."""
    if sigma < _NARROWEST_SIGMA:
        return x
    if sigma <= _WIDEST_DIRECT_SIGMA:
        return _gaussian(x, sigma)
    height, width = x.shape[-2:]
    factor = 2 ** int(math.log2(sigma / (_WIDEST_DIRECT_SIGMA / 2)))
    more = (0, -width % factor, 0, -height % factor)
    whole = F.pad(x.unsqueeze(1), more, mode="replicate") if any(more) else x.unsqueeze(1)
    small = F.avg_pool2d(whole, factor)[:, 0]
    # The averaging has blurred already, by the deviation of a box and of the tent that enlarges it.
    rest = math.sqrt(sigma**2 - (factor**2 - 1) / 4) / factor
    return resize(_gaussian(small, rest), *whole.shape[-2:])[:, :height, :width]


def gradients(x: Tensor) -> tuple[Tensor, Tensor]:
    """Scharr derivatives per pixel (d/dx, d/dy), each of the shape of `x`."""
    padded = _padded(x, 1)
    side = [10 / 32, 3 / 32]
    down, across = _weighted(padded, side, -2), _weighted(padded, side, -1)
    return down[:, :, 2:] - down[:, :, :-2], across[:, 2:] - across[:, :-2]


def guided_coefficients(guide: Tensor, x: Tensor, sigma: float, eps: float) -> tuple[Tensor, Tensor]:
    """Coefficients `(a, b)` such that `a * guide + b` is `x` smoothed along the guide's edges.

    guide `[1, H, W]`, x `[C, H, W]`; a and b `[C, H, W]`. They may be enlarged and applied to a
    larger guide.
    """
    mean_g, mean_x = blur(guide, sigma), blur(x, sigma)
    variance = blur(guide * guide, sigma) - mean_g * mean_g
    covariance = blur(guide * x, sigma) - mean_g * mean_x
    a = covariance / (variance.clamp_min(0.0) + eps)
    b = mean_x - a * mean_g
    return blur(a, sigma), blur(b, sigma)


def guided(x: Tensor, sigma: float, eps: float) -> Tensor:
    """Self-guided smoothing of `[1, H, W]` that keeps its edges."""
    a, b = guided_coefficients(x, x, sigma, eps)
    return a * x + b


def local_contrast(x: Tensor, sigma: float, amount: float) -> Tensor:
    """Push `x` away from its surroundings' mean by `amount` times the difference."""
    return x + amount * (x - blur(x, sigma))


def stretched(x: Tensor, low: float, high: float) -> Tensor:
    """`x` with its quantiles `low` and `high` (of a thumbnail) moved to 0 and 1, clamped.

    Flat pictures are not stretched: as the range falls below 0.4 the limits relax to 0 and 1.
    """
    small = resize(x, min(x.shape[-2], 256), min(x.shape[-1], 256)).flatten()
    dark, light = torch.quantile(small, torch.tensor((low, high), device=x.device, dtype=x.dtype))
    trust = ((light - dark) / 0.4).clamp(0.0, 1.0)
    dark, light = dark * trust, 1.0 + (light - 1.0) * trust
    return ((x - dark) / (light - dark)).clamp(0.0, 1.0)


def lifted(x: Tensor, mean: float, least: float) -> Tensor:
    """Raise dark pictures (0..1) towards this mean by a power, no smaller than `least`; bright ones stay."""
    now = x.mean().clamp(0.05, mean)
    return x.pow((math.log(mean) / now.log()).clamp_min(least))


_RING = tuple((math.cos(i * math.pi / 4), math.sin(i * math.pi / 4)) for i in range(8))


def _even_means(x: Tensor, radius: float) -> Tensor:
    """One round of `kuwahara` on a whole picture."""
    means = _gaussian(torch.cat((x, (x * x).sum(0, keepdim=True))), max(0.3, 0.3 * radius))
    variance = (means[-1:] - (means[:-1] ** 2).sum(0, keepdim=True)).clamp_min(0.0) / x.shape[0]
    # Evenness falls with the 8th power of the deviation, counted in steps of an 8-bit picture.
    weight = 1.0 / (1.0 + (255.0**2 * variance) ** 4) + 1e-12
    reach = max(1, round(0.6 * radius))
    laden = _padded(torch.cat((means[:-1] * weight, weight)), reach)
    height, width = x.shape[-2:]
    total = torch.zeros((x.shape[0] + 1, height, width), device=x.device)
    for across, down in _RING:
        top, left = reach + round(0.6 * radius * down), reach + round(0.6 * radius * across)
        total += laden[:, top : top + height, left : left + width]
    return total[:-1] / total[-1:]


def kuwahara(x: Tensor, radius: float, watch: Watch) -> Tensor:
    """Flat patches with sharp borders: every pixel takes the mean of its most even surroundings.

    Eight round surroundings, centred 0.6 `radius` away. As their means do not depend on who asks,
    two blurs serve all eight.
    """
    if radius < 1.0:
        return x
    halo = 2 + math.ceil(0.6 * radius) + math.ceil(0.9 * radius)
    return in_strips(x, halo, lambda part: _even_means(part, radius), watch)
