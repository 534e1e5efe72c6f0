"""The direction in which strokes run: structure tensor and swirling filler.

A flow is a double angle `[2, H, W]` (cos 2θ, sin 2θ) of unit length, θ in image axes (x right,
y down), because a direction and its opposite are the same and must average to themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .filters import blur, gradients, smoothstep
from .strips import in_strips
from .watch import Watch

_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Flow:
    """`direction` is the unit double angle `[2, H, W]`; `confidence` `[1, H, W]` is 0..1."""

    direction: Tensor
    confidence: Tensor


def normalized(double_angle: Tensor) -> Tensor:
    """Unit length everywhere; where there is no direction at all, along x."""
    length = torch.hypot(double_angle[0], double_angle[1])
    found = length > 1e-9
    safe = torch.where(found, length, torch.ones_like(length))
    return torch.stack(
        (
            torch.where(found, double_angle[0] / safe, torch.ones_like(length)),
            torch.where(found, double_angle[1] / safe, torch.zeros_like(length)),
        )
    )


def structure_flow(rgb: Tensor, sigma: float, watch: Watch | None = None) -> Flow:
    """Direction along edges of `rgb` `[C, H, W]`, smoothed by `sigma` pixels.

    Confidence is anisotropy times how strong the edges are here against the picture's mean.
    """
    check = (watch or Watch()).check
    tensor = torch.zeros((3, *rgb.shape[-2:]), dtype=rgb.dtype, device=rgb.device)
    for plane in rgb.split(1):
        check()
        gx, gy = gradients(plane)
        for part, product in zip(tensor.split(1), (gx * gx, gy * gy, gx * gy), strict=True):
            part.add_(product)
    for plane in tensor.split(1):
        check()
        near = blur(plane, sigma)
        torch.add(near, blur(near, 4 * sigma), alpha=0.15, out=plane)
    check()
    usual_length = torch.hypot(tensor[0] - tensor[1], 2 * tensor[2]).mean()
    check()
    usual_energy = (tensor[0] + tensor[1]).mean()

    def finish(part: Tensor) -> Tensor:
        e, g, f = part.unbind(0)
        direction = normalized(torch.stack((-(e - g), -2 * f)) / (usual_length + _TINY))
        energy = e + g
        strength = (energy / (usual_energy + _TINY)).sqrt()
        # Rounding noise of a flat picture has a direction too; it is not to be trusted.
        real = smoothstep(1e-7, 1e-6, energy)
        anisotropy = torch.hypot(e - g, 2 * f) / (energy + _TINY)
        confidence = anisotropy * (strength / 0.8).clamp(max=1.0) * real
        return torch.cat((direction, confidence.unsqueeze(0)))

    done = in_strips(tensor, 0, finish, watch or Watch())
    return Flow(done[:2], done[2:])


def contours(noise: Tensor) -> Tensor:
    """Unit double angle `[2, H, W]` of the contour lines of `noise` `[1, H, W]`."""
    gx, gy = gradients(noise)
    return normalized(torch.cat((gy * gy - gx * gx, -2 * gx * gy)) * 1e6)


def swirl(flow: Flow, turning: Tensor, amount: float, sigma: float, watch: Watch | None = None) -> Tensor:
    """Fill what has no direction of its own with that of `turning` `[2, H, W]`, as far as `amount` 0..1 goes.

    Returns a unit double angle `[2, H, W]`, smoothed by `sigma`.
    """
    check = (watch or Watch()).check
    share = amount * (1 - smoothstep(0.12, 0.5, flow.confidence))
    mixed = torch.empty_like(flow.direction)
    for i in range(2):
        check()
        mixed[i : i + 1] = blur(torch.lerp(flow.direction[i : i + 1], turning[i : i + 1], share), sigma)
    check()
    return normalized(mixed)


def tangent(double_angle: Tensor) -> Tensor:
    """Unit vector (x, y) `[2, ...]` of a double angle of any length; its sign is arbitrary."""
    length = torch.hypot(double_angle[0], double_angle[1]).clamp_min(_TINY)
    cos2 = (double_angle[0] / length).clamp(-1.0, 1.0)
    x = ((1 + cos2) / 2).sqrt()
    y = ((1 - cos2) / 2).sqrt()
    return torch.stack((x, torch.where(double_angle[1] < 0, -y, y)))
