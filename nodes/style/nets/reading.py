"""Reading a file of weights that nobody vouches for: what comes out is named float32 tensors, or an error.

No code of the file is ever run: `.safetensors` has none, pickles are read with `weights_only=True`. Owns the limits; does
not own what the names mean (`layouts`).
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from .errors import BadModelFile

# Weights by name, float32 on the CPU.
Weights = Mapping[str, Tensor]

EXTENSIONS = (".safetensors", ".pth", ".pt")
# A VGG-19 with all its layers has 80 MB; what is much larger is no style net.
LARGEST_FILE_BYTES = 512 * 1024 * 1024
# Trainers wrap the weights in one of these.
_WRAPPERS = ("state_dict", "model_state_dict", "params", "model")
_FRACTIONS = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})
_QUANTISED = frozenset({torch.int8, torch.uint8, torch.int32})


def read_weights(path: Path) -> Weights:
    """The tensors of a file; `BadModelFile` if it is too large, damaged, of another kind or holds more than tensors."""
    try:
        size_bytes = path.stat().st_size
    except OSError as error:
        raise BadModelFile(f"{path.name} cannot be read: {error.strerror or error}.") from error
    if size_bytes > LARGEST_FILE_BYTES:
        raise BadModelFile(_too_large(path, size_bytes))
    content = _read_safetensors(path) if path.suffix.lower() == ".safetensors" else _read_pickle(path)
    return _floats(path, _named(path, content))


def _too_large(path: Path, size_bytes: int) -> str:
    limit, mib = LARGEST_FILE_BYTES // 2**20, size_bytes // 2**20
    return f"{path.name} holds {mib} MiB; a style net has at most {limit} MiB."


def _read_safetensors(path: Path) -> Any:
    import safetensors.torch

    try:
        return safetensors.torch.load_file(path, device="cpu")
    except Exception as error:  # noqa: BLE001 - the file may be anything, and so may be what its reader says of it
        raise BadModelFile(f"{path.name} is no whole .safetensors file: {_first_line(error)}") from error


def _read_pickle(path: Path) -> Any:
    if zipfile.is_zipfile(path):
        _weigh_archive(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - the file may be anything, and so may be what its reader says of it
        raise BadModelFile(
            f"{path.name} is no whole file of plain weights, and nothing else is loaded (a pickle can hold code): "
            f"{_first_line(error)} Save the state dict alone, best as .safetensors."
        ) from error


def _weigh_archive(path: Path) -> None:
    """A small archive may hold much when it is unpacked."""
    try:
        with zipfile.ZipFile(path) as archive:
            size_bytes = sum(entry.file_size for entry in archive.infolist())
    except (OSError, zipfile.BadZipFile) as error:
        raise BadModelFile(f"{path.name} is a damaged archive: {_first_line(error)}") from error
    if size_bytes > LARGEST_FILE_BYTES:
        raise BadModelFile(_too_large(path, size_bytes))


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    line = lines[0][:200] if lines else type(error).__name__
    return line if line.endswith((".", "!", "?")) else f"{line}."


def _as_dict(content: Any) -> dict[Any, Any] | None:
    return cast("dict[Any, Any]", content) if isinstance(content, dict) else None


def _named(path: Path, content: Any) -> dict[Any, Any]:
    """What the file has by name, out of a trainer's wrapping."""
    outer = _as_dict(content)
    if outer is None:
        raise BadModelFile(f"{path.name} holds a {type(content).__name__}, not weights by name.")
    return next((inner for name in _WRAPPERS if (inner := _as_dict(outer.get(name))) is not None), outer)


def _floats(path: Path, content: dict[Any, Any]) -> Weights:
    """Named tensors as float32; names lose the `module.` of nets that were trained on several GPUs."""
    found = {str(key): value for key, value in content.items() if _is_tensor(value)}
    if not found:
        raise BadModelFile(f"{path.name} holds no tensors.")
    # Counted before anything is copied: an expanded tensor claims more than its file holds.
    if 4 * sum(value.numel() for value in found.values()) > LARGEST_FILE_BYTES:
        raise BadModelFile(f"{path.name}: its weights would take more than {LARGEST_FILE_BYTES // 2**20} MiB.")
    if all(key.startswith("module.") for key in found):
        found = {key.removeprefix("module."): value for key, value in found.items()}
    plain = {key: _plain(key, value, found) for key, value in found.items() if _is_weight(key, value, found)}
    for key, value in plain.items():
        if not bool(torch.isfinite(value).all()):
            raise BadModelFile(f"{path.name}: {key} has values that are infinite or no numbers.")
    return plain


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor) and value.layout == torch.strided


def _is_weight(key: str, value: Tensor, found: Weights) -> bool:
    """Fractions are, and whole numbers whose scale lies beside them; what else is counted in a file is no weight."""
    return value.dtype in _FRACTIONS or (value.dtype in _QUANTISED and f"{key}.scale" in found)


def _plain(key: str, value: Tensor, found: Weights) -> Tensor:
    """Float32 of our own; quantised weights are `(q - zero_point) * scale`, by output channel or for all alike."""
    plain = value.detach().to(torch.float32, copy=True).contiguous()
    if value.dtype in _FRACTIONS:
        return plain
    scale, zero = found[f"{key}.scale"], found.get(f"{key}.zero_point", torch.zeros(()))
    column = (-1, *(1,) * (plain.dim() - 1)) if plain.dim() else ()
    try:
        parts = [part.to(torch.float32).reshape(column if part.numel() > 1 else ()) for part in (zero, scale)]
        return (plain - parts[0]) * parts[1]
    except RuntimeError as error:
        raise BadModelFile(f"{key}.scale fits {key} neither as one number nor as one per output channel.") from error
