"""What a preset is: a name, a render function and the number of steps it will report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..frame import Frame
from ..watch import Watch


@dataclass(frozen=True, slots=True)
class Render:
    """One picture to be rendered: sRGB `[3, H, W]` 0..1 float32 on `frame.device`."""

    rgb: Tensor
    frame: Frame
    seed: int
    tile: int
    watch: Watch


@dataclass(frozen=True, slots=True)
class Preset:
    """`render` returns a new sRGB `[3, H, W]` 0..1 and ticks its watch exactly `steps` times.

    `steps` takes height, width and tile size.
    """

    name: str
    render: Callable[[Render], Tensor]
    steps: Callable[[int, int, int], int]
