"""Core's own verdict as our faults: ``error`` and ``node_errors`` of ComfyUI's validation, with JSON pointers. Pure."""

from __future__ import annotations

from typing import Any, cast

from ..jobs.errors import Fault, InputInvalid
from ..jobs.model import JsonObject
from .faults import pointer as pointer_to

_CODES = {
    "invalid_prompt": "INVALID_PROMPT",
    "prompt_no_outputs": "NO_OUTPUT",
    "missing_node_type": "UNKNOWN_NODE",
    "dependency_cycle": "CYCLE",
    "bad_linked_input": "LINK_INVALID",
    "return_type_mismatch": "LINK_INVALID",
}


def faults_of(error: JsonObject | None, node_errors: JsonObject) -> tuple[Fault, ...]:
    """One fault per error of each node; the prompt's own error when no node is to blame."""
    faults: list[Fault] = []
    for node_id, report in node_errors.items():
        fields = cast("JsonObject", report) if isinstance(report, dict) else {}
        class_type = str(fields.get("class_type", ""))
        errors = cast("list[JsonObject]", fields.get("errors") or [])
        faults.extend(_node_fault(str(node_id), class_type, entry) for entry in errors)
    if not faults and error is not None:
        core_type = str(error.get("type", ""))
        message = ": ".join(part for part in (str(error.get("message", "")), str(error.get("details", ""))) if part)
        faults.append(Fault("/prompt", _CODES.get(core_type, InputInvalid.code), message, core_type=core_type))
    return tuple(faults)


def _node_fault(node_id: str, class_type: str, entry: JsonObject) -> Fault:
    extra: Any = entry.get("extra_info")
    input_name = cast("JsonObject", extra).get("input_name") if isinstance(extra, dict) else None
    core_type = str(entry.get("type", ""))
    details = str(entry.get("details", ""))
    pointer = pointer_to("prompt", node_id, "inputs")
    if isinstance(input_name, str):
        pointer += pointer_to(input_name)
    return Fault(
        pointer=pointer,
        code=_CODES.get(core_type, InputInvalid.code),
        message=f"{entry.get('message', 'Invalid')}: {details}" if details else str(entry.get("message", "Invalid")),
        node_id=node_id,
        class_type=class_type,
        input_name=input_name if isinstance(input_name, str) else None,
        core_type=core_type,
        core_details=details,
    )
