"""The styles by name. A preset turns one sRGB picture into another at full strength.

Adding a style: write its module here and add its row to `PRESETS`. Owns no node, no blending.
"""

from __future__ import annotations

from . import sketch, vangogh
from .base import Preset, Render

PRESETS: tuple[Preset, ...] = (vangogh.PRESET, sketch.PRESET)

__all__ = ["PRESETS", "Preset", "Render", "find_preset"]


def find_preset(name: str) -> Preset:
    """The preset of that name; ValueError lists the names that exist."""
    for preset in PRESETS:
        if preset.name == name:
            return preset
    raise ValueError(f"unknown style {name!r}; known styles: {', '.join(p.name for p in PRESETS)}")
