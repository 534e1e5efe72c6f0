"""The gallery shows every style, is what its script writes, and stays small."""

from __future__ import annotations

from PIL import Image

from expeditor.docs import generate_gallery as gallery
from expeditor.nodes.style.presets import PRESETS, REFERENCE_PRESETS

MOST_BYTES = 1_500_000


def test_every_style_is_in_it() -> None:
    assert list(gallery.STYLES) == [preset.name for preset in PRESETS]
    assert list(gallery.BY_REFERENCE) == [preset.name for preset in REFERENCE_PRESETS]


def test_the_page_is_what_the_script_writes() -> None:
    assert gallery.PAGE.read_text("utf-8") == gallery.page()


def test_its_pictures_are_there_and_small() -> None:
    names = {"originals", *gallery.STYLES, *gallery.BY_REFERENCE}
    pictures = {path.stem: path for path in gallery.FOLDER.glob("*.jpg")}
    assert pictures.keys() == names
    for path in pictures.values():
        with Image.open(path) as picture:
            assert picture.height == gallery.SHOWN
    assert sum(path.stat().st_size for path in pictures.values()) < MOST_BYTES
