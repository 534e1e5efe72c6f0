"""The prompt that is sent: read from a file or standard input, with inputs set and files named. Pure but for the reading."""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from .faults import BadInput
from .records import JsonObject

STANDARD_INPUT = "-"


@dataclass(frozen=True, slots=True)
class Target:
    """One input of one node."""

    node: str
    name: str

    def __str__(self) -> str:
        return f"{self.node}.{self.name}"


def read_prompt(path: str, standard_input: TextIO) -> JsonObject:
    """A workflow in API format. Raises ``BadInput`` for what cannot be read, is no JSON, or is the page's own format."""
    try:
        text = standard_input.read() if path == STANDARD_INPUT else Path(path).read_text("utf-8")
        found: JsonObject = json.loads(text)
    except OSError as fault:
        raise BadInput(f"{path} cannot be read: {fault.strerror or fault}") from fault
    except ValueError as fault:
        raise BadInput(f"{path} is not JSON: {fault}") from fault
    if isinstance(found, dict) and {"nodes", "links"} <= found.keys():  # pyright: ignore[reportUnnecessaryIsInstance] - any JSON
        raise BadInput(f"{path} is a workflow as the page saves it. Export it in API format (Workflow, Export (API)).")
    if isinstance(found, dict) and isinstance(found.get("prompt"), dict):  # pyright: ignore[reportUnnecessaryIsInstance] - any JSON
        found = found["prompt"]  # a whole body of POST /prompt
    if not isinstance(found, dict) or not found:  # pyright: ignore[reportUnnecessaryIsInstance] - any JSON
        raise BadInput(f"{path} is not a workflow in API format: it must be an object of nodes.")
    return found


def assignment(text: str) -> tuple[Target, str]:
    """``3.seed=5`` as target and text; the node's id is what stands before the first dot."""
    place, equals, value = text.partition("=")
    node, dot, name = place.partition(".")
    if not (equals and dot and node and name):
        raise BadInput(f"{text!r} must be NODE.INPUT=VALUE, for example 3.seed=5")
    return Target(node, name), value


def value_of(text: str) -> Any:
    """A value as it is written: JSON where it is JSON (``5``, ``true``, ``"5"``, ``["4", 0]``), else the text itself."""
    try:
        return json.loads(text, parse_constant=str)  # NaN and Infinity are no JSON: texts
    except ValueError:
        return text


def with_inputs(prompt: JsonObject, values: Mapping[Target, Any]) -> JsonObject:
    """A copy of the prompt with these inputs. Raises ``BadInput`` for a node that is not there, and names the nearest one."""
    changed = copy.deepcopy(prompt)
    for target, value in values.items():
        node = changed.get(target.node)
        if not isinstance(node, dict):
            raise BadInput(f"{target}: the workflow has no node {target.node}{_near(target.node, changed)}")
        node.setdefault("inputs", {})[target.name] = value  # pyright: ignore[reportUnknownMemberType] - JSON
    return changed


def misspelt(prompt: JsonObject, targets: list[Target]) -> list[str]:
    """A sentence for each target that the node had no value or link for: mostly a misspelt name, which a server would ignore."""
    said: list[str] = []
    for target in targets:
        node: Mapping[str, Any] = prompt.get(target.node) or {}
        inputs: Mapping[str, Any] = node.get("inputs") or {}
        if target.node in prompt and target.name not in inputs:
            said.append(f"{target}: node {target.node} has no input {target.name} so far{_near(target.name, inputs)}")
    return said


def _near(word: str, words: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(word, list(words), n=1) or list(words)[:8]
    if not near:
        return "."
    return f" (it has {', '.join(near)})."
