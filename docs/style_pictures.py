"""Makes the pictures of the style documentation from photographs that ship with scikit-image.

Run it from anywhere: ``python docs/style_pictures.py``. Needs torch, Pillow and scikit-image. Writes
``docs/images/style_transfer.jpg`` and the template's picture in ``example_workflows/``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from PIL import Image
from skimage import data

ROOT = Path(__file__).resolve().parent.parent
QUALITY = 88


def _importable() -> None:
    """Let `expeditor` be imported from this checkout, whatever its folder is called."""
    package = ModuleType("expeditor")
    package.__path__ = [str(ROOT)]
    sys.modules["expeditor"] = package


def _photo(name: str) -> torch.Tensor:
    """One photograph as a batch of one."""
    picture = Image.fromarray(getattr(data, name)())
    return torch.from_numpy(np.asarray(picture).astype(np.float32) / 255).unsqueeze(0)


def _picture(image: torch.Tensor) -> Image.Image:
    return Image.fromarray((image[0] * 255).round().to(torch.uint8).numpy())


def _side_by_side(pictures: list[Image.Image], height: int) -> Image.Image:
    scaled = [p.resize((round(p.width * height / p.height), height), Image.Resampling.LANCZOS) for p in pictures]
    sheet = Image.new("RGB", (sum(p.width for p in scaled), height))
    left = 0
    for picture in scaled:
        sheet.paste(picture, (left, 0))
        left += picture.width
    return sheet


def main() -> None:
    """Write all pictures."""
    _importable()
    from expeditor.nodes.style.apply import Options, apply_style  # noqa: PLC0415 - only now importable

    def styled(image: torch.Tensor, style: str) -> Image.Image:
        return _picture(apply_style(image, style, 1.0, Options()))

    images = ROOT / "docs" / "images"
    images.mkdir(parents=True, exist_ok=True)
    photo = _photo("astronaut")
    row = [_picture(photo), styled(photo, "vangogh"), styled(photo, "sketch")]
    _side_by_side(row, 400).save(images / "style_transfer.jpg", quality=QUALITY)
    template = ROOT / "example_workflows" / "style_transfer.jpg"
    _side_by_side(row[:2], 300).save(template, quality=QUALITY)


if __name__ == "__main__":
    main()
