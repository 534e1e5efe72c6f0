"""The styles by name. A preset turns one sRGB picture into another at full strength.

Adding a style: write its module here and add its row to `PRESETS` (needs nothing but the picture) or
`REFERENCE_PRESETS`. Owns no node, no blending.
"""

from __future__ import annotations

from . import by_reference, charcoal, comic, monet, mosaic, oil, pointillism, sketch, ukiyoe, vangogh, watercolor
from .base import Preset, Render

PRESETS: tuple[Preset, ...] = (
    vangogh.PRESET,
    monet.PRESET,
    oil.PRESET,
    pointillism.PRESET,
    watercolor.PRESET,
    sketch.PRESET,
    charcoal.PRESET,
    comic.PRESET,
    ukiyoe.PRESET,
    mosaic.PRESET,
)
# Styles that are made of a reference picture and nothing else.
REFERENCE_PRESETS: tuple[Preset, ...] = (by_reference.COLOR_MATCH, by_reference.REFERENCE)

__all__ = ["PRESETS", "REFERENCE_PRESETS", "Preset", "Render", "find_preset"]


def find_preset(name: str) -> Preset:
    """The preset of that name; ValueError lists the names that exist."""
    known = PRESETS + REFERENCE_PRESETS
    for preset in known:
        if preset.name == name:
            return preset
    raise ValueError(f"unknown style {name!r}; known styles: {', '.join(p.name for p in known)}")
