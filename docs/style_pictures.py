"""Makes the pictures of the style documentation from photographs that ship with scikit-image.

Run it from anywhere: ``python docs/style_pictures.py``. Needs torch, Pillow and scikit-image. Writes
``docs/images/style_transfer.jpg`` and the template's picture in ``example_workflows/``.
"""

from __future__ import annotations

from style_sheet import ROOT, make_importable, photo, picture, side_by_side, styled

QUALITY = 88


def main() -> None:
    """Write all pictures."""
    make_importable()
    images = ROOT / "docs" / "images"
    images.mkdir(parents=True, exist_ok=True)
    shot = photo("astronaut")
    row = [picture(shot), styled(shot, "vangogh"), styled(shot, "sketch")]
    side_by_side(row, 400).save(images / "style_transfer.jpg", quality=QUALITY)
    template = ROOT / "example_workflows" / "style_transfer.jpg"
    side_by_side(row[:2], 300).save(template, quality=QUALITY)


if __name__ == "__main__":
    main()
