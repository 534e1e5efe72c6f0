"""Our refusals in the shape of ComfyUI's own ``/prompt`` answer, so that its page and its clients show them.

Owns the body only; the status is the edge's business. Linear in the number of faults.
"""

from __future__ import annotations

from typing import Any

from ..jobs.errors import ExpeditorError, Fault
from .faults import short

_TYPES = {
    "INVALID_JSON": "invalid_json",
    "INVALID_PROMPT": "invalid_prompt",
    "INVALID_PROMPT_ID": "invalid_prompt_id",
    "UNKNOWN_NODE": "missing_node_type",
    "NO_OUTPUT": "prompt_no_outputs",
    "INPUT_INVALID": "prompt_outputs_failed_validation",
    "LINK_INVALID": "prompt_outputs_failed_validation",
    "CYCLE": "prompt_outputs_failed_validation",
    "QUEUE_FULL": "QUEUE_LIMIT",
}


def core_error(error: ExpeditorError) -> dict[str, Any]:
    """``{"error": {type, message, details, extra_info}, "node_errors": {id: {errors, dependent_outputs, class_type}}}``.

    ``extra_info`` carries ``code``, the error's details and, under ``errors``, the faults that belong to no node;
    every other fault stands at its node, with ``pointer``, ``code`` and ``hint`` in its ``extra_info``.
    """
    loose = [fault for fault in error.faults if fault.node_id is None]
    kind = _TYPES.get(error.code, error.code.lower())
    if error.faults and error.faults[0].core_type == "no_prompt":
        kind = "no_prompt"
    extra: dict[str, Any] = {"code": error.code, **error.details}
    if loose:
        extra["errors"] = [_loose(fault) for fault in loose]
    return {
        "error": {
            "type": kind,
            "message": f"{error.code}: {error.message}",
            "details": _details(error),
            "extra_info": extra,
        },
        "node_errors": _node_errors(error.faults),
    }


def _details(error: ExpeditorError) -> str:
    first = error.faults[0] if error.faults else None
    if first is None:
        return ""
    return f"{first.pointer}: {first.hint}" if first.hint else first.pointer


def _loose(fault: Fault) -> dict[str, Any]:
    return {"pointer": fault.pointer, "code": fault.code, "message": fault.message, "hint": fault.hint}


def _node_errors(faults: tuple[Fault, ...]) -> dict[str, Any]:
    nodes: dict[str, Any] = {}
    for fault in faults:
        if fault.node_id is None:
            continue
        node = nodes.setdefault(
            fault.node_id, {"errors": [], "dependent_outputs": [], "class_type": short(fault.class_type or "")}
        )
        node["errors"].append(_node_error(fault))
    return nodes


def _node_error(fault: Fault) -> dict[str, Any]:
    extra: dict[str, Any] = {"code": fault.code, "pointer": fault.pointer, **fault.extra}
    if fault.input_name is not None:
        extra["input_name"] = fault.input_name
    if fault.hint is not None:
        extra["hint"] = fault.hint
    return {
        "type": fault.core_type or fault.code.lower(),
        "message": fault.message,
        "details": fault.core_details or "",
        "extra_info": extra,
    }
