"""Marks that run with the form: averaging along a flow, and drawn lines made of it.

Owns no direction (that is `flow`) and no ink. A smear is a few passes with doubled steps instead of
one long walk: the same reach for a fraction of the samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .filters import blur, gradients
from .flow import tangent
from .watch import Watch

# No path turns aside by more than this share of its length: where the flow is torn, curvature means nothing.
_STEEPEST = 0.5


@dataclass(frozen=True, slots=True)
class Paths:
    """Where one comes to from each pixel by following the flow; points are `[H, W, 2]` for `grid_sample`.

    At distance s: `here + s * heading + s * s * sagitta * normal`; the sign of s is arbitrary.
    """

    here: Tensor
    heading: Tensor
    normal: Tensor
    sagitta: Tensor

    @classmethod
    def of(cls, direction: Tensor) -> Paths:
        """Paths along a unit double angle `[2, H, W]`."""
        height, width = direction.shape[-2:]
        heading = tangent(direction)
        across, down = gradients(direction)
        along = heading[:1] * across + heading[1:] * down
        # Half the turn of the doubled angle per pixel is the curvature, half of that the sagitta.
        sagitta = 0.25 * (direction[0] * along[1] - direction[1] * along[0])
        y = (2 * torch.arange(height, device=direction.device) + 1) / height - 1
        x = (2 * torch.arange(width, device=direction.device) + 1) / width - 1
        here = torch.stack((x.expand(height, width), y.unsqueeze(1).expand(height, width)), dim=-1)
        to_grid = torch.tensor((2 / width, 2 / height), device=direction.device)
        normal = torch.stack((-heading[1], heading[0]), dim=-1) * to_grid
        return cls(here, heading.permute(1, 2, 0) * to_grid, normal, sagitta.unsqueeze(-1))

    def at(self, distance: float) -> Tensor:
        """The points that far along, `[1, H, W, 2]`."""
        aside = (self.sagitta * abs(distance)).clamp(-_STEEPEST, _STEEPEST) * self.normal
        return (self.here + distance * self.heading + abs(distance) * aside).unsqueeze(0)


def smear(x: Tensor, paths: Paths, reach: float, step: float, watch: Watch) -> Tensor:
    """Average `x` `[C, H, W]` along the flow, `reach` pixels each way (two standard deviations).

    The first pass steps at most `step` pixels, which is to be no more than the finest feature.
    """
    if reach < 0.5:
        return x
    # Passes of weights 1/4 1/2 1/4 at distances s, 2s, 4s ... add up to a variance of s^2 (4^n - 1) / 6.
    wanted = 6 * (reach / 2) ** 2
    passes = max(1, math.ceil(math.log(wanted / step**2 + 1, 4)))
    distance = math.sqrt(wanted / (4**passes - 1))
    for _ in range(passes):
        watch.check()
        ends = torch.zeros_like(x)
        for sign in (1.0, -1.0):
            ends += F.grid_sample(
                x.unsqueeze(0), paths.at(sign * distance), padding_mode="border", align_corners=False
            )[0]
        x = 0.5 * x + 0.25 * ends
        distance *= 2
    return x


def drawn_lines(grey: Tensor, paths: Paths, sigma: float, reach: float, watch: Watch) -> Tensor:
    """Lines of `grey` `[1, H, W]` at a scale of `sigma`, unbroken along the flow: positive is ink.

    A difference of Gaussians, so that a line lies on the dark side of every edge.
    """
    difference = blur(grey, 1.6 * sigma) - blur(grey, sigma)
    return smear(difference, paths, reach, max(1.0, 0.8 * sigma), watch)
