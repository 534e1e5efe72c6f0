"""Makes the gallery: ``docs/gallery.md`` and its pictures in ``docs/images/gallery/``, one row of photographs per style.

``python docs/generate_gallery.py [--only comic,oil]`` paints them (minutes on a processor), ``--page`` writes the page alone. The
photographs ship with scikit-image. Needs torch, Pillow and scikit-image; the page alone needs nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "gallery.md"
FOLDER = ROOT / "docs" / "images" / "gallery"
# What is painted has this shorter side, what is shown this height: strokes look as they do in a picture of some size.
SIDE, SHOWN, QUALITY = 440, 220, 80
PHOTOS = ("astronaut", "coffee", "rocket")

STYLES = {
    "vangogh": "Thick, turning strokes in ultramarine and yellow, lit like paint.",
    "monet": "Short soft strokes, pastel light.",
    "oil": "Broad strokes in the picture's own colours.",
    "pointillism": "Dots of pure colour, blue shadows, warm lights.",
    "watercolor": "Washes that pool at their edges, on white paper.",
    "sketch": "Graphite: lines, hatching, the grain of the paper.",
    "charcoal": "Smeared darks on rough paper.",
    "comic": "Flat tones, ink lines, dots.",
    "ukiyoe": "A woodblock print: few colours, fine lines.",
    "mosaic": "Tiles that follow the form, with grout between.",
}
BY_REFERENCE = {
    "color_match": "Only the colours of `style_image`, nothing painted.",
    "reference": "The colours of `style_image`, and strokes as coarse as it is.",
}
# Photograph and the picture it is painted after.
PAIRS = {"color_match": ("astronaut", "coffee"), "reference": ("coffee", "rocket")}

OPENING = """# Gallery

Every style of **Style transfer** at intensity 1, all other inputs as they are, on photographs that ship with
[scikit-image](https://scikit-image.org/). What each input does: the [node's help](../web/docs/StyleTransferNode.md). This page and
its pictures are made by `python docs/generate_gallery.py`.

## The photographs

![The photographs](images/gallery/originals.jpg)

"""

SOURCES = """## Where the photographs come from

All are in scikit-image's wheel, and free of copyright by what scikit-image says of each:

| picture | source | terms |
| --- | --- | --- |
| `astronaut` | Eileen Collins, NASA Great Images database | public domain |
| `coffee` | Rachel Michetti, courtesy of Pikolo Espresso Bar | CC0 |
| `rocket` | launch of DSCOVR, SpaceX | public domain |
"""


def page() -> str:
    """The whole text of ``gallery.md``."""
    parts = [OPENING, "## Styles\n\n"]
    parts += [f"### {name}\n\n{text}\n\n![{name}](images/gallery/{name}.jpg)\n\n" for name, text in STYLES.items()]
    parts.append(
        "## After a picture\n\n"
        "Photograph, `style_image`, and what comes of them. Brush styles and prints take the colours of `style_image` too.\n\n"
    )
    parts += [
        f"### {name}\n\n{text}\n\n![{name}](images/gallery/{name}.jpg)\n\n" for name, text in BY_REFERENCE.items()
    ]
    return "".join(parts) + SOURCES


def paint(wanted: set[str]) -> None:
    """Write the pictures of these styles, or all when none is named."""
    from style_sheet import make_importable, photo, picture, side_by_side, styled  # noqa: PLC0415 - needs torch

    make_importable()
    FOLDER.mkdir(parents=True, exist_ok=True)
    shots = {name: photo(name, SIDE) for name in {*PHOTOS, *chain(*PAIRS.values())}}

    def keep(name: str, pictures: Sequence[Image.Image]) -> None:
        side_by_side(pictures, SHOWN).save(FOLDER / f"{name}.jpg", quality=QUALITY, optimize=True)
        sys.stdout.write(f"{name}\n")

    if not wanted:
        keep("originals", [picture(shots[name]) for name in PHOTOS])
    for style in STYLES:
        if not wanted or style in wanted:
            keep(style, [styled(shots[name], style) for name in PHOTOS])
    for style in BY_REFERENCE:
        if not wanted or style in wanted:
            shot, model = (shots[name] for name in PAIRS[style])
            keep(style, [picture(shot), picture(model), styled(shot, style, 1.0, model)])


def main() -> None:
    """Paint and write."""
    parser = argparse.ArgumentParser(description="The gallery of styles.")
    parser.add_argument("--only", default="", help="comma-separated styles; all when left out")
    parser.add_argument("--page", action="store_true", help="write the page, paint nothing")
    asked = parser.parse_args()
    PAGE.write_text(page(), encoding="utf-8")
    if not asked.page:
        paint({name for name in asked.only.split(",") if name})


if __name__ == "__main__":
    main()
