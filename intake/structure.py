"""The first stage: is this a graph in ComfyUI's API format at all?

Owns the shape of the prompt and its nodes. Values, classes and links are other stages' business. ``_meta``, further
node properties, dotted input names and ids such as ``12:3`` are normal and pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from ..jobs.errors import Fault
from .faults import pointer, short, shown

NODE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["class_type", "inputs"],
    "properties": {
        "class_type": {"type": "string"},
        "inputs": {"type": "object"},
    },
}
"""What this stage asks of a node, as JSON Schema; held equal to the code below by a test."""

_DIGITS = frozenset("0123456789")


@dataclass(frozen=True, slots=True)
class Shape:
    """The stage's findings. ``hurting`` faults make ComfyUI answer 500 or lose its worker thread; ``refused_by_core``
    ones it refuses itself, precisely (a class that is missing, null or a number)."""

    hurting: tuple[Fault, ...]
    refused_by_core: tuple[Fault, ...]

    @property
    def all(self) -> tuple[Fault, ...]:
        """Both kinds."""
        return self.hurting + self.refused_by_core


_SOUND = Shape((), ())


def shape_of(prompt: object, *, numeric_ids_only: bool) -> Shape:
    """What is wrong with the shape of ``prompt``. Without faults, every node is an object with a string ``class_type``
    and an object ``inputs``."""
    if not isinstance(prompt, dict):
        return Shape((_not_a_graph(prompt),), ())
    nodes = cast("dict[str, Any]", prompt)
    hurting: list[Fault] = []
    refused: list[Fault] = []
    for node_id, node in nodes.items():
        if numeric_ids_only and not (node_id and _DIGITS.issuperset(node_id)):
            hurting.append(_id_fault(node_id))
        if _is_sound(node):
            continue
        for fault, hurts in _node_faults(node_id, node):
            (hurting if hurts else refused).append(fault)
    return Shape(tuple(hurting), tuple(refused)) if hurting or refused else _SOUND


def _is_sound(node: object) -> bool:
    if type(node) is not dict:
        return False
    fields = cast("dict[str, object]", node)
    return type(fields.get("class_type")) is str and type(fields.get("inputs")) is dict


def _node_faults(node_id: str, node: Any) -> Iterator[tuple[Fault, bool]]:
    if not isinstance(node, dict):
        yield _fault(node_id, None, f"must be an object, not {shown(node)}"), True
        return
    fields = cast("dict[str, Any]", node)
    class_type = fields.get("class_type")
    named = class_type if isinstance(class_type, str) else None
    if "class_type" not in fields:
        yield _fault(node_id, None, "has no class_type"), False
    elif named is None:
        text = f"must have a string as class_type, not {shown(class_type)}"
        yield _fault(node_id, None, text, "class_type"), isinstance(class_type, (list, dict))
    if not isinstance(fields.get("inputs"), dict):
        text = (
            f"must have an object as inputs, not {shown(fields['inputs'])}" if "inputs" in fields else "has no inputs"
        )
        yield _fault(node_id, named, text, *(("inputs",) if "inputs" in fields else ())), True
    if named is None and "_meta" in fields and not isinstance(fields["_meta"], dict):
        # Harmless beside a class; without one, newer servers read the title out of it and answer 500.
        yield _fault(node_id, None, f"must have an object as _meta, not {shown(fields['_meta'])}", "_meta"), True


def _not_a_graph(prompt: object) -> Fault:
    return Fault("/prompt", "INVALID_PROMPT", f"prompt must be an object of nodes by id, not {shown(prompt)}.")


def _id_fault(node_id: str) -> Fault:
    return Fault(
        pointer("prompt", node_id),
        "INVALID_PROMPT",
        f"The node id {shown(node_id)} is not a number: this server takes node ids of ASCII digits only.",
    )


def _fault(node_id: str, class_type: str | None, text: str, *path: str) -> Fault:
    return Fault(
        pointer("prompt", node_id, *path),
        "INVALID_PROMPT",
        f"Node {short(node_id)} {text}.",
        node_id=node_id,
        class_type=class_type,
        core_type="invalid_prompt",
        core_details=f"Node ID '#{short(node_id)}'",
    )
