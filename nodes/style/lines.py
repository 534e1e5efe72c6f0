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
from .strips import in_strips, strips
from .watch import Watch

# No path turns aside by more than this share of its length: where the flow is torn, curvature means nothing.
_STEEPEST = 0.5


@dataclass(frozen=True, slots=True)
class Paths:
    """Where one comes to from each pixel by following the flow.

    `course` `[3, H, W]`: heading x and y, and the sagitta, in pixels. At distance s, whose sign is
    arbitrary, one is at `here + s * heading + s * s * sagitta * normal`.
    """

    course: Tensor

    @classmethod
    def of(cls, direction: Tensor, watch: Watch | None = None) -> Paths:
        """Paths along a unit double angle `[2, H, W]`."""
        return cls(in_strips(direction, 1, _course, watch or Watch()))

    def at(self, distance: float, rows: slice) -> Tensor:
        """The points that far along from the pixels of these rows, `[1, h, W, 2]` for `grid_sample`."""
        height, width = self.course.shape[-2:]
        across, down, sagitta = self.course[:, rows].unbind(0)
        aside = (sagitta * abs(distance)).clamp_(-_STEEPEST, _STEEPEST).mul_(abs(distance))
        device = across.device
        x = torch.arange(width, device=device) + distance * across - aside * down
        y = torch.arange(rows.start, rows.stop, device=device).unsqueeze(1) + distance * down + aside * across
        points = torch.stack((x, y), dim=-1)
        size = torch.tensor((width, height), device=device)
        return ((2 * points + 1) / size - 1).unsqueeze(0)


def _course(direction: Tensor) -> Tensor:
    heading = tangent(direction)
    across, down = gradients(direction)
    along = heading[:1] * across + heading[1:] * down
    # Half the turn of the doubled angle per pixel is the curvature, half of that the sagitta.
    sagitta = 0.25 * (direction[0] * along[1] - direction[1] * along[0])
    return torch.cat((heading, sagitta.unsqueeze(0)))


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
        x = _one_pass(x, paths, distance, watch)
        distance *= 2
    return x


def _one_pass(x: Tensor, paths: Paths, distance: float, watch: Watch) -> Tensor:
    out = torch.empty_like(x)
    for rows in strips(x.shape[-2], x.device):
        watch.check()
        mean = 0.5 * x[:, rows]
        for sign in (1.0, -1.0):
            points = paths.at(sign * distance, rows)
            mean += 0.25 * F.grid_sample(x.unsqueeze(0), points, padding_mode="border", align_corners=False)[0]
        out[:, rows] = mean
    return out


def drawn_lines(grey: Tensor, paths: Paths, sigma: float, reach: float, watch: Watch) -> Tensor:
    """Lines of `grey` `[1, H, W]` at a scale of `sigma`, unbroken along the flow: positive is ink.

    A difference of Gaussians, so that a line lies on the dark side of every edge.
    """
    difference = blur(grey, 1.6 * sigma) - blur(grey, sigma)
    return smear(difference, paths, reach, max(1.0, 0.8 * sigma), watch)
