"""Pictures to try styles on, and measures of what a style did to them. All on `[1, H, W, 3]` float tensors."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from skimage import data
from torch import Tensor

from expeditor.nodes.style.apply import Options, apply_style
from expeditor.nodes.style.color import chroma, luma, rgb_to_oklab
from expeditor.nodes.style.filters import blur, gradients
from expeditor.nodes.style.flow import structure_flow
from expeditor.nodes.style.presets import find_preset

PHOTOS = ("astronaut", "coffee", "chelsea", "rocket")
SIDE = 256


@cache
def photo(name: str, side: int = SIDE) -> Tensor:
    """A photograph that ships with scikit-image, its shorter side reduced to `side`."""
    picture = Image.fromarray(getattr(data, name)())
    scale = side / min(picture.size)
    picture = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(picture).astype(np.float32) / 255).unsqueeze(0)


def noise(*shape: int) -> Tensor:
    """White noise 0..1, always the same."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(3))


def options(style: str, **more: Any) -> Options:
    """Options that a style can work with: those made of a reference get one."""
    if find_preset(style).needs_reference:
        more = {"reference": photo("rocket", 64), **more}
    return Options(**more)


@cache
def full_strength(name: str, style: str, side: int = SIDE) -> Tensor:
    """That photograph painted at intensity 1, seed 0; do not write into it."""
    return apply_style(photo(name, side), style, 1.0, options(style))


def planes(image: Tensor) -> Tensor:
    """`[1, H, W, C]` to `[3, H, W]`."""
    return image[0, ..., :3].permute(2, 0, 1).contiguous()


def palette_distance(lab: Tensor, cloud: Tensor, rng: torch.Generator) -> float:
    """Sliced Wasserstein-1 distance in OKLab of `[3, ...]` from a cloud `[3, m]`, along 48 directions."""
    levels = torch.linspace(0.0, 1.0, 1024)
    bases, _ = torch.linalg.qr(torch.randn((16, 3, 3), generator=rng))
    points, palette = (torch.quantile(bases @ each.reshape(3, -1), levels, dim=2) for each in (lab, cloud))
    return float((points - palette).abs().mean())


def rms(a: Tensor, b: Tensor) -> float:
    return float((a.double() - b.double()).square().mean().sqrt())


def mean_chroma(image: Tensor) -> float:
    return float(chroma(rgb_to_oklab(planes(image))).mean())


def _edges(image: Tensor) -> Tensor:
    gx, gy = gradients(blur(luma(planes(image)).unsqueeze(0), 3.0))
    return torch.hypot(gx, gy).flatten()


def edge_correlation(a: Tensor, b: Tensor) -> float:
    """Pearson correlation of gradient magnitudes at a scale of 3 pixels."""
    return float(torch.corrcoef(torch.stack((_edges(a), _edges(b))))[0, 1])


def orientation_agreement(a: Tensor, b: Tensor) -> float:
    """Mean cosine of the doubled angle between both pictures' edges, weighted by how sure `a` is of its own."""
    flow, other = structure_flow(planes(a), 3.0), structure_flow(planes(b), 3.0)
    agreement = (flow.direction * other.direction).sum(0, keepdim=True)
    return float((agreement * flow.confidence).sum() / flow.confidence.sum())


def fine_contrast(image: Tensor) -> float:
    """Mean size of luminance detail finer than 1.5 pixels."""
    grey = luma(planes(image)).unsqueeze(0)
    return float((grey - blur(grey, 1.5)).abs().mean())
