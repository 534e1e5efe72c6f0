"""Contact sheets of the styles, from photographs that ship with scikit-image: a build artefact to be looked at.

``python docs/style_sheet.py [FOLDER] [--side 512] [--only comic,oil]`` writes a sheet of all styles for each
photograph, one of intensities and one of reference pictures, as PNG into ``build/style``. Needs torch, Pillow and
scikit-image. Other scripts that make pictures of styles import its functions.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from PIL import Image, ImageDraw
from skimage import data

ROOT = Path(__file__).resolve().parent.parent
PHOTOS = ("astronaut", "coffee", "chelsea", "rocket")
INTENSITIES = (0.35, 0.7, 1.0)
REFERENCES = (("coffee", "rocket"), ("astronaut", "coffee"), ("chelsea", "immunohistochemistry"))
COLUMNS = 4
MARGIN, LABEL = 4, 16

Cell = tuple[str, Image.Image]


def make_importable() -> None:
    """Let `expeditor` be imported from this checkout, whatever its folder is called."""
    package = ModuleType("expeditor")
    package.__path__ = [str(ROOT)]
    sys.modules["expeditor"] = package


def photo(name: str, side: int | None = None) -> torch.Tensor:
    """One photograph as a batch of one, its shorter side scaled to `side` pixels; as it is when None."""
    shot = Image.fromarray(getattr(data, name)())
    if side is not None:
        scale = side / min(shot.size)
        shot = shot.resize((round(shot.width * scale), round(shot.height * scale)), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(shot).astype(np.float32) / 255).unsqueeze(0)


def picture(image: torch.Tensor) -> Image.Image:
    """The first of a batch."""
    return Image.fromarray((image[0] * 255).round().to(torch.uint8).numpy())


def styled(
    image: torch.Tensor, style: str, intensity: float = 1.0, reference: torch.Tensor | None = None
) -> Image.Image:
    """That image in a style, as the node paints it with its other inputs left alone."""
    from expeditor.nodes.style.apply import Options, apply_style  # noqa: PLC0415 - only now importable

    return picture(apply_style(image, style, intensity, Options(reference=reference)))


def side_by_side(pictures: Sequence[Image.Image], height: int) -> Image.Image:
    """In a row, all of one height, without gaps."""
    scaled = [p.resize((round(p.width * height / p.height), height), Image.Resampling.LANCZOS) for p in pictures]
    row = Image.new("RGB", (sum(p.width for p in scaled), height))
    left = 0
    for shot in scaled:
        row.paste(shot, (left, 0))
        left += shot.width
    return row


def sheet(cells: Sequence[Cell], columns: int = COLUMNS) -> Image.Image:
    """Labelled pictures in rows, each at its full size."""
    width = max(shot.width for _, shot in cells) + MARGIN
    height = max(shot.height for _, shot in cells) + MARGIN + LABEL
    rows = -(-len(cells) // columns)
    paper = Image.new("RGB", (columns * width + MARGIN, rows * height + MARGIN), "white")
    pen = ImageDraw.Draw(paper)
    for i, (label, shot) in enumerate(cells):
        left, top = MARGIN + i % columns * width, MARGIN + i // columns * height
        pen.text((left, top), label, fill="black")
        paper.paste(shot, (left, top + LABEL))
    return paper


def style_names() -> tuple[list[str], list[str]]:
    """Styles that need nothing but the picture, and those made of a reference."""
    from expeditor.nodes.style.presets import PRESETS, REFERENCE_PRESETS  # noqa: PLC0415 - only now importable

    return [preset.name for preset in PRESETS], [preset.name for preset in REFERENCE_PRESETS]


def all_styles(name: str, side: int, styles: Sequence[str]) -> list[Cell]:
    """A photograph and what every style makes of it."""
    shot = photo(name, side)
    return [(name, picture(shot)), *((style, styled(shot, style)) for style in styles)]


def intensities(side: int, styles: Sequence[str]) -> list[Cell]:
    """Each style on one of the photographs, growing stronger."""
    cells: list[Cell] = []
    for i, style in enumerate(styles):
        shot = photo(PHOTOS[i % len(PHOTOS)], side)
        cells += [(f"{style} {share:g}", styled(shot, style, share)) for share in INTENSITIES]
    return cells


def references(side: int, styles: Sequence[str]) -> list[Cell]:
    """Photographs painted after others: the picture, the reference, then each style."""
    cells: list[Cell] = []
    for name, model in REFERENCES:
        shot, reference = photo(name, side), photo(model, side)
        cells += [(name, picture(shot)), (f"style_image: {model}", picture(reference))]
        cells += [(style, styled(shot, style, 1.0, reference)) for style in styles]
    return cells


def main() -> None:
    """Write all sheets."""
    parser = argparse.ArgumentParser(description="Contact sheets of the styles.")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "build" / "style")
    parser.add_argument("--side", type=int, default=512, help="shorter side of each picture, pixels")
    parser.add_argument("--only", default="", help="comma-separated styles; all when left out")
    wanted = parser.parse_args()
    make_importable()
    plain, made_of_reference = style_names()
    plain = [name for name in plain if not wanted.only or name in wanted.only.split(",")]
    wanted.folder.mkdir(parents=True, exist_ok=True)
    for name in PHOTOS:
        sheet(all_styles(name, wanted.side, plain)).save(wanted.folder / f"styles_{name}.png")
    sheet(intensities(wanted.side // 2, plain), len(INTENSITIES)).save(wanted.folder / "intensities.png")
    with_reference = [*made_of_reference, *(name for name in plain if name in ("vangogh", "oil", "comic", "ukiyoe"))]
    cells = references(wanted.side // 2, with_reference)
    sheet(cells, 2 + len(with_reference)).save(wanted.folder / "references.png")
    sys.stdout.write(f"{wanted.folder}\n")


if __name__ == "__main__":
    main()
