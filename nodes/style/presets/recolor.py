"""Which colours a style's picture has: its own palette's, those of a reference picture, or the picture's.

Owns the meaning of `palette_strength` and `reference` for colours; the moving itself is `palette`.
"""

from __future__ import annotations

from torch import Tensor

from ..palette import Colors, Palette, move_colors, reference_colors
from .base import Render

_WHOLE = (1.0, 1.0)


def recolor(job: Render, lab: Tensor, palette: Palette | None = None, strength: tuple[float, float] = _WHOLE) -> Tensor:
    """A new `[3, h, w]` OKLab picture with the colours the job asks for.

    With a reference: its colours, all the way at `palette_strength` 1. Else those of `palette`, moved
    by `strength` (0..1, of L and of a, b) times `palette_strength`. Else unchanged.
    """
    if job.reference is not None:
        return move_colors(lab, reference_colors(job.reference), reference_share(job), job.watch)
    if palette is None:
        return lab.clone()
    return move_colors(lab, palette.colors_on(lab.device), _scaled(strength, job), job.watch)


def wanted_colors(job: Render, palette: Palette) -> Colors:
    """The reference's colours if there is one, else the palette's."""
    return palette.colors_on(job.frame.device) if job.reference is None else reference_colors(job.reference)


def reference_share(job: Render) -> tuple[float, float]:
    """How far a job's L, and its a and b, go towards those of its reference, 0..1."""
    return _scaled(_WHOLE, job)


def _scaled(strength: tuple[float, float], job: Render) -> tuple[float, float]:
    light, color = (min(1.0, share * job.palette_strength) for share in strength)
    return light, color


def enrich(job: Render, lab: Tensor, factor: float) -> Tensor:
    """Chroma times `factor`, as far as `palette_strength` goes; `lab` itself, changed in place."""
    lab[1:] *= 1 + (factor - 1) * job.palette_strength
    return lab
