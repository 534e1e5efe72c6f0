"""What a preset is: a name, a render function and the number of steps it will report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..frame import Frame
from ..watch import Watch


@dataclass(frozen=True, slots=True)
class Render:
    """One picture to be rendered: sRGB `[3, H, W]` 0..1 float32 on `frame.device`.

    `palette_strength` (0 and up; not NaN) scales how far a preset changes the picture's colours: 0
    leaves hue and chroma as they are, 1 is the preset's own look. It never changes the drawing.

    `reference` is a picture to take colours from, sRGB `[3, h, w]` 0..1 float32 on `frame.device`, of
    any size from 1x1; what lies where in it does not matter. A preset in colour then takes
    the reference's colours in place of its own palette (all the way at strength 1); the stroke presets
    also scale their strokes by how coarse the reference is. Drawings without colour (sketch,
    charcoal) ignore it.
    """

    rgb: Tensor
    frame: Frame
    seed: int
    tile: int
    watch: Watch
    palette_strength: float = 1.0
    reference: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Preset:
    """`render` returns a new sRGB `[3, H, W]` 0..1 and ticks its watch exactly `steps` times.

    `steps` takes height, width and tile size. One that `needs_reference` is never rendered without:
    `apply` refuses that.
    """

    name: str
    render: Callable[[Render], Tensor]
    steps: Callable[[int, int, int], int]
    needs_reference: bool = False
