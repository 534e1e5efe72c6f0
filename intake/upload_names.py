"""Files that come with a submit, as names: under which name each is stored, and how the prompt comes to use it. Pure.

A part ``files`` is a file that the prompt names: every input whose text is the file's own name gets the stored name instead. A part
``file:<node id>.<input>`` is the value of that input, whatever stands there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from ..jobs.errors import Fault, InputInvalid
from ..jobs.leftovers import spellings
from ..jobs.model import JsonObject
from .faults import pointer, short

FILES = "files"
FILE = "file:"
STORED = re.compile(r"expeditor-[0-9a-f]{16}-[A-Za-z0-9._-]+", re.ASCII)
"""The names of stored uploads, and of nothing else in the input folder."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+", re.ASCII)
_STEM_MAX = 80
_SUFFIX_MAX = 16


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A file that was received: the name of its part, its own name and the one under which ComfyUI finds it."""

    part: str
    filename: str
    stored: str


def is_file_part(name: str) -> bool:
    """Whether a part of this name is a file, not a field."""
    return name == FILES or name.startswith(FILE)


def stored_name(filename: str, digest: str) -> str:
    """The name in ComfyUI's input folder: the same for the same bytes and name, so that ComfyUI's cache knows a file again.

    ``digest`` is hexadecimal. Of the client's name only what is harmless in any file system is left; no folder.
    """
    plain = _UNSAFE.sub("_", filename.replace("\\", "/").rpartition("/")[2]).strip("._") or "file"
    stem, dot, suffix = plain.rpartition(".")
    if not dot:
        stem, suffix = plain, ""
    return f"expeditor-{digest[:16]}-{stem[:_STEM_MAX]}{dot}{suffix[:_SUFFIX_MAX]}"


def with_files(fields: JsonObject, files: Sequence[Uploaded]) -> JsonObject:
    """The fields with the stored names in their prompt. Raises ``InputInvalid`` for files that the prompt has no use for.

    A ``prompt`` that is no graph is left alone: it is refused as such later.
    """
    prompt = fields.get("prompt")
    if not files or not isinstance(prompt, dict):
        return fields
    graph = {node_id: _copied(node) for node_id, node in cast("JsonObject", prompt).items()}
    faults = [*_twice(files)] or [fault for file in files if (fault := _placed(graph, file)) is not None]
    if faults:
        raise InputInvalid(faults[0].message, faults=tuple(faults))
    return {**fields, "prompt": graph}


def _twice(files: Sequence[Uploaded]) -> Iterator[Fault]:
    seen: set[tuple[str, str]] = set()
    for file in files:
        place = (file.part, file.filename if file.part == FILES else "")
        if place in seen:
            yield _fault(file, f"{short(file.filename)} is sent twice.", "Give the files names of their own.")
        seen.add(place)


def _placed(graph: JsonObject, file: Uploaded) -> Fault | None:
    if file.part == FILES:
        if not _renamed(graph, file):
            return _fault(
                file,
                f"No input of the prompt names the file {short(file.filename)}.",
                f"Give an input the value {short(file.filename)!r}, or send the file as file:<node id>.<input>.",
            )
        return None
    inputs, name = _target(graph, file.part[len(FILE) :])
    if inputs is None:
        return _fault(
            file,
            f"{short(file.part)} names no node of the prompt.",
            "Name the part file:<node id>.<input>, such as file:10.image.",
        )
    inputs[name] = file.stored
    return None


def _target(graph: JsonObject, path: str) -> tuple[JsonObject | None, str]:
    """The inputs of the node that a path begins with, and the rest of it; both may have dots: the longest node id wins."""
    for cut in sorted((place for place, sign in enumerate(path) if sign == "."), reverse=True):
        node, name = graph.get(path[:cut]), path[cut + 1 :]
        if isinstance(node, dict) and name:
            inputs = cast("JsonObject", node).setdefault("inputs", {})
            if isinstance(inputs, dict):
                return cast("JsonObject", inputs), name
    return None, ""


def _renamed(graph: JsonObject, file: Uploaded) -> bool:
    names, found = spellings(file.filename), False
    for node in graph.values():
        inputs: Any = cast("JsonObject", node).get("inputs") if isinstance(node, dict) else None
        if not isinstance(inputs, dict):
            continue
        for name, value in cast("JsonObject", inputs).items():
            if isinstance(value, str) and value in names:
                inputs[name], found = file.stored, True
    return found


def _copied(node: Any) -> Any:
    """A node whose inputs may be changed."""
    if not isinstance(node, dict):
        return node
    fields = dict(cast("JsonObject", node))
    if isinstance(fields.get("inputs"), dict):
        fields["inputs"] = dict(fields["inputs"])
    return fields


def _fault(file: Uploaded, message: str, hint: str) -> Fault:
    return Fault(pointer(short(file.part)), InputInvalid.code, message, hint, input_name=file.part)
