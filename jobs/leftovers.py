"""Which files a job leaves behind, as names: what it made, and what of ComfyUI's input folder its prompt names.

Pure. Whether a file is there, and whether somebody else still needs it, is not known here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, cast

from .model import Job, JsonObject

INPUT = "input"
_ANNOTATION = f" [{INPUT}]"
_FOREIGN = (" [output]", " [temp]")
_LONGEST_NAME = 1024


class FileName(NamedTuple):
    """A file as ComfyUI names it: ``folder`` is ``output``, ``temp`` or ``input``."""

    folder: str
    subfolder: str
    name: str


def outputs_of(job: Job) -> frozenset[FileName]:
    """The files that the job made; no file of the input folder, should a node say that it made one."""
    return frozenset(
        FileName(one.folder, one.subfolder, one.name) for one in job.outputs if one.folder in ("output", "temp")
    )


def made_by(jobs: Iterable[Job]) -> frozenset[FileName]:
    """Every file that these jobs say that they made, whatever its folder."""
    return frozenset(FileName(one.folder, one.subfolder, one.name) for job in jobs for one in job.outputs)


def inputs_of(prompt_json: str) -> frozenset[str]:
    """Every text in the prompt's inputs that may name a file of the input folder, without ComfyUI's ``[input]`` behind it.

    Most of them name none; a prompt that cannot be read names nothing.
    """
    try:
        prompt: Any = json.loads(prompt_json)
        return frozenset(_names(prompt)) if isinstance(prompt, dict) else frozenset()
    except (ValueError, RecursionError):
        return frozenset()


def renamed_inputs(prompt: Mapping[str, Any], names: Mapping[str, str]) -> JsonObject:
    """The prompt with files of the input folder under other names, wherever ``inputs_of`` finds them; the given one is not changed."""
    spelled = {old + end: new + end for old, new in names.items() for end in ("", _ANNOTATION)}
    renamed: JsonObject = {}
    for node_id, node in prompt.items():
        fields: Any = node
        if isinstance(fields, dict) and "inputs" in fields:
            fields = cast("JsonObject", fields) | {"inputs": _replaced(cast("JsonObject", fields)["inputs"], spelled)}
        renamed[node_id] = fields
    return renamed


def texts_of(prompt_json: str) -> frozenset[str]:
    """Every text value of a prompt, wherever it stands; none of one that cannot be read."""
    try:
        return frozenset(_texts(json.loads(prompt_json)))
    except (ValueError, RecursionError):
        return frozenset()


def spellings(name: str) -> tuple[str, str]:
    """How a prompt may name a file of the input folder."""
    return name, name + _ANNOTATION


def _names(prompt: Any) -> Iterator[str]:
    for node in cast("dict[str, Any]", prompt).values():
        inputs: Any = cast("dict[str, Any]", node).get("inputs") if isinstance(node, dict) else None
        for text in _texts(inputs):
            name = text.removesuffix(_ANNOTATION)
            if 0 < len(name) <= _LONGEST_NAME and name.isprintable() and not name.endswith(_FOREIGN):
                yield name


def _replaced(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, dict):
        return {key: _replaced(each, names) for key, each in cast("JsonObject", value).items()}
    return [_replaced(each, names) for each in cast("list[Any]", value)] if isinstance(value, list) else value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in cast("dict[str, Any]", value).values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in cast("list[Any]", value):
            yield from _texts(each)
