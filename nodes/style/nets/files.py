"""Which model files there are to choose from, and which two belong together. Paths and names only; reads no file.

A name is that of a file directly in one of the folders: whatever else comes in a prompt names nothing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from .errors import BadModelFile
from .layouts import is_decoder_alone, recognise
from .net import StyleNet
from .reading import EXTENSIONS, read_weights

# The encoder that many AdaIN decoders share, as its authors call the file.
SHARED_ENCODER = "vgg_normalised"


def style_files(folders: Sequence[str]) -> dict[str, Path]:
    """Files to choose from by name, in the order of their names; of two folders with one name the first counts."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in _model_files(folder):
            if not _is_encoder(path):
                found.setdefault(path.name, path)
    return dict(sorted(found.items()))


def find_file(name: str, folders: Sequence[str]) -> Path:
    """The file of that name; `BadModelFile` says which there are."""
    files = style_files(folders)
    if name not in files:
        there = ", ".join(files) or "none"
        raise BadModelFile(f"There is no model file {name!r} in models/style_transfer; there: {there}.")
    return files[name]


def load_net(path: Path) -> StyleNet:
    """The net of a file, together with the file its encoder lies in if it needs one. `BadModelFile` says what is wrong."""
    weights = read_weights(path)
    if is_decoder_alone(weights):
        encoder = _encoder_of(path)
        both = {f"decoder.{key}": value for key, value in weights.items()}
        both |= {f"encoder.{key}": value for key, value in read_weights(encoder).items()}
        return recognise(f"{path.name} with {encoder.name}", both)
    return recognise(path.name, weights)


def stamp(path: Path) -> tuple[tuple[str, int, int], ...]:
    """Changes whenever what `load_net` would read has changed: names, times and sizes of the file and its encoders."""
    there: list[tuple[str, int, int]] = []
    for each in (path, *_encoders_of(path)):
        try:
            facts = each.stat()
        except OSError:
            continue
        there.append((each.name, facts.st_mtime_ns, facts.st_size))
    return tuple(there)


def _model_files(folder: str) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_file() and not entry.name.startswith(".")]
    except OSError:  # a folder that is not there, or not ours to read, has none
        return []
    return [Path(folder, name) for name in sorted(names) if name.lower().endswith(EXTENSIONS)]


def _is_encoder(path: Path) -> bool:
    return path.stem == SHARED_ENCODER or path.stem.endswith(".encoder")


def _encoders_of(path: Path) -> list[Path]:
    """Where the encoder of a decoder may lie: under its own name first, else the shared one; `.safetensors` first."""
    stems = (f"{path.stem}.encoder", SHARED_ENCODER)
    return [path.with_name(f"{stem}{extension}") for stem in stems for extension in EXTENSIONS]


def _encoder_of(path: Path) -> Path:
    candidates = _encoders_of(path)
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise BadModelFile(
        f"{path.name} is the decoder of an AdaIN pair and its encoder is not there: "
        f"expected {candidates[0].name} (or .pth) or {SHARED_ENCODER}.pth (or .safetensors) beside it."
    )
