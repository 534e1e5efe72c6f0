"""Whether a job of an earlier start can still run here: node classes and models may have gone meanwhile.

Asks ComfyUI's own validation, on the server's loop as for every prompt, and says what is wrong in our words. Jobs of this
start were validated when they came.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

from ..jobs.entry import CoreVerdict
from ..jobs.model import Cause, JobError, JsonObject
from .native import NativeItem, item_id

log = logging.getLogger("expeditor.host")

DEADLINE_S = 30.0
"""How long the worker waits for the verdict; then the job runs unproven, as it would without us."""


class Validator(Protocol):
    """Core's validation; ``validator`` fits."""

    async def validate(self, prompt_id: str, prompt: dict[str, Any], targets: list[str] | None) -> CoreVerdict:
        """Core's verdict; never raises."""
        ...


class ItemProof:
    """Fits ``wiring.Proof``."""

    def __init__(self, validator: Validator, server: Any, classes: Callable[[], Mapping[str, Any]]) -> None:
        """``server`` has the loop on which ComfyUI validates; ``classes`` gives the installed node classes by name."""
        self._validator = validator
        self._server = server
        self._classes = classes

    def __call__(self, item: NativeItem) -> JobError | None:
        """Why the item can no longer run, or None."""
        prompt: Any = item[2]
        if not isinstance(prompt, dict) or not prompt:
            return JobError(
                Cause.NODE_ERROR.value, "What the job was to run cannot be read from the database. Submit it again."
            )
        nodes = cast("dict[str, Any]", prompt)
        gone = missing_class(nodes, self._classes())
        if gone is not None:
            return gone
        targets = [str(node) for node in item[4]]
        verdict = self._verdict(item_id(item), nodes, targets)
        return None if verdict is None else invalid(verdict, targets)

    def _verdict(self, job_id: str, prompt: JsonObject, targets: list[str]) -> CoreVerdict | None:
        asked = asyncio.run_coroutine_threadsafe(self._validator.validate(job_id, prompt, targets), self._server.loop)
        try:
            return asked.result(DEADLINE_S)
        except Exception:  # noqa: BLE001 - a loop that is stuck or gone must not cost the worker thread
            log.warning(
                "A recovered job could not be validated again; it runs as it is",
                exc_info=True,
                extra={"event": "proof.failed", "job_id": job_id},
            )
            return None


def missing_class(prompt: Mapping[str, Any], classes: Mapping[str, Any]) -> JobError | None:
    """The first node whose class is not installed any more."""
    for node_id, node in prompt.items():
        kind = cast("JsonObject", node).get("class_type") if isinstance(node, dict) else None
        if not isinstance(kind, str) or kind not in classes:
            name = kind if isinstance(kind, str) else None
            text = f"The node class {name} is no longer installed; install its node pack again, then retry the job."
            return JobError(Cause.NODE_ERROR.value, text, node_id=str(node_id), class_type=name)
    return None


def invalid(verdict: CoreVerdict, targets: list[str]) -> JobError | None:
    """What core's verdict says, if one of the job's outputs cannot run any more."""
    if verdict.valid and set(targets) <= set(verdict.outputs_to_execute):
        return None
    for node_id, report in verdict.node_errors.items():
        fields = cast("JsonObject", report) if isinstance(report, dict) else {}
        kind = fields.get("class_type")
        class_type = kind if isinstance(kind, str) else None
        for error in cast("list[Any]", fields.get("errors") or []):
            if isinstance(error, dict):
                return _of_node(str(node_id), class_type, cast("JsonObject", error))
    words = verdict.error or {}
    text = (
        f"The prompt is no longer valid here: {words.get('message', 'ComfyUI refuses it')} {words.get('details', '')}"
    )
    return JobError(Cause.NODE_ERROR.value, text.strip())


def _of_node(node_id: str, class_type: str | None, error: JsonObject) -> JobError:
    where = f"node {node_id} ({class_type})"
    extra: Any = error.get("extra_info")
    facts = cast("JsonObject", extra) if isinstance(extra, dict) else {}
    if error.get("type") == "value_not_in_list":
        name, value = facts.get("input_name"), facts.get("received_value")
        text = f"{value!r} is no longer available for {name} of {where}."
        return JobError(Cause.MODEL_MISSING.value, text, node_id=node_id, class_type=class_type)
    text = f"The prompt is no longer valid here: {where}: {error.get('message')} {error.get('details')}"
    return JobError(Cause.NODE_ERROR.value, text.strip(), node_id=node_id, class_type=class_type)
