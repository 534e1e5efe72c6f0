"""Which model files a prompt names: what affinity compares with the files in memory. Pure.

A file is known by its name as the loader's input gives it, with forward slashes. Not owned: whether there is such a file
(validation) and whether it is in memory (``host.residents``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

MODELS_MAX = 64
"""A prompt that names more is cut to the first of them by name: its job is seen as one that needs these."""

NAME_LENGTH_MAX = 512
"""Longer text is no file name."""

_ENDINGS = (
    ".safetensors",
    ".sft",
    ".ckpt",
    ".pt",
    ".pt2",
    ".pth",
    ".pkl",
    ".bin",
    ".gguf",
    ".onnx",
    ".engine",
    ".trt",
)
_LONGEST_ENDING = max(map(len, _ENDINGS))
_NO_FILE = frozenset({"", "none", "default", "auto", "disabled", "baked vae"})


def models_named(prompt: Mapping[str, Any]) -> tuple[str, ...]:
    """The model files that the nodes of a prompt name, sorted, each once. Never raises; names that UTF-8 cannot hold are left out."""
    found: set[str] = set()
    for node in prompt.values():
        _collect(node, found)
    return tuple(sorted(filter(_storable, found))[:MODELS_MAX]) if found else ()


def classes_of(prompt_json: str) -> frozenset[str]:
    """The node classes of a stored prompt; none of one that cannot be read."""
    try:
        prompt: object = json.loads(prompt_json)
    except (ValueError, RecursionError):
        return frozenset()
    return classes_in(prompt)


def classes_in(prompt: object) -> frozenset[str]:
    """The node classes of a prompt, whatever it is. Never raises."""
    nodes = cast("dict[str, object]", prompt).values() if isinstance(prompt, dict) else ()
    named = (cast("dict[str, object]", node).get("class_type") for node in nodes if isinstance(node, dict))
    return frozenset(name for name in named if isinstance(name, str))


def models_of(node: object) -> frozenset[str]:
    """The model files that one node names: text that ends as a model file does, and what a loader's ``*_name`` inputs say."""
    found: set[str] = set()
    _collect(node, found)
    return frozenset(found)


def ends_as_model(name: str) -> bool:
    """Whether a name ends as those of model files do."""
    return name.lower().endswith(_ENDINGS)


def _collect(node: object, found: set[str]) -> None:
    # On the way of every submit: one look at the end of each text, no call for inputs that are none.
    if not isinstance(node, dict):
        return
    fields = cast("dict[str, Any]", node)
    inputs = fields.get("inputs")
    if not isinstance(inputs, dict):
        return
    for name, value in cast("dict[Any, Any]", inputs).items():
        if type(value) is not str or len(value) > NAME_LENGTH_MAX:
            continue
        end = value[-_LONGEST_ENDING:]
        if ("." in end and end.lower().endswith(_ENDINGS)) or (
            _names_a_file(name) and _loads(fields.get("class_type")) and value.strip().lower() not in _NO_FILE
        ):
            found.add(_normal(value))


def _storable(name: str) -> bool:
    return name.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in name)


def _normal(value: str) -> str:
    return value.strip().replace("\\", "/")


@lru_cache(maxsize=4096)
def _names_a_file(input_name: object) -> bool:
    # Names may be anything that in-process code puts; kept, since every submit asks the same ones.
    return isinstance(input_name, str) and input_name.rstrip("0123456789").endswith("_name")


def _loads(class_type: object) -> bool:
    return isinstance(class_type, str) and "loader" in class_type.lower()
