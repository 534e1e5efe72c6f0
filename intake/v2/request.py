"""What a client asks for with ``POST /jobs`` of the contract, parsed from the body. Pure; the graph itself is not judged here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from ...jobs.errors import Fault, InvalidPrompt
from ...jobs.model import JsonObject
from ..faults import pointer, refusal, short
from ..lift import take
from .labels import label_pool, label_priority, labels_of
from .refusals import INVALID_REQUEST, WORKFLOW_FORMAT_UI, ContractRefusal

FIELDS = frozenset({"workflow", "extra_data", "metadata"})
RESERVED = frozenset({"webhook_url", "inputs"})
SECRET = "api_key_comfy_org"  # noqa: S105 - the name of a field
MAX_FAULTS = 100


@dataclass(frozen=True, slots=True)
class V2Request:
    """A well-formed request. ``workflow`` is without priorities and not judged yet; ``priority`` None: the request names none.

    ``extra_data`` holds a partner's key at most, which is never stored.
    """

    workflow: Any
    labels: dict[str, str]
    priority: int | None
    extra_data: JsonObject
    pool: str | None = None


def parse_request(body: JsonObject) -> V2Request:
    """Raises ``ContractRefusal`` or ``Refused``, each with every fault of its kind."""
    _check_fields(body)
    workflow, priority = _workflow(body)
    labels = labels_of(body.get("metadata"))
    named = label_priority(labels)
    extra_data = dict(body.get("extra_data") or {})
    return V2Request(workflow, labels, named if priority is None else priority, extra_data, label_pool(labels))


def _check_fields(body: JsonObject) -> None:
    faults: list[Fault] = []
    for name in body:
        if name in RESERVED:
            faults.append(_fault(name, f"{name} is reserved by the contract and not accepted yet."))
        elif name not in FIELDS:
            faults.append(_fault(short(name), f"Unknown field {short(name)}; there are {', '.join(sorted(FIELDS))}."))
        if len(faults) == MAX_FAULTS:
            break
    faults.extend(_extra_data(body.get("extra_data")))
    if faults:
        raise ContractRefusal(INVALID_REQUEST, faults[0].message, faults=tuple(faults))


def _extra_data(extra_data: object) -> list[Fault]:
    if extra_data is None:
        return []
    if not isinstance(extra_data, dict):
        return [_fault("extra_data", "extra_data must be an object.")]
    given = cast("JsonObject", extra_data)
    other = next((name for name in given if name != SECRET), None)
    if other is not None:
        text = f"extra_data may hold {SECRET} and nothing else, so no {short(other)}."
        return [Fault(pointer("extra_data", short(other)), INVALID_REQUEST, text)]
    if not isinstance(given.get(SECRET, ""), str):
        return [Fault(pointer("extra_data", SECRET), INVALID_REQUEST, f"{SECRET} must be a text.")]
    return []


def _workflow(body: JsonObject) -> tuple[Any, int | None]:
    if "workflow" not in body:
        raise InvalidPrompt(
            "workflow is missing.", faults=(_fault("workflow", "Send the graph in API format as workflow."),)
        )
    if _is_drawn(body["workflow"]):
        raise ContractRefusal(
            WORKFLOW_FORMAT_UI,
            "This is a workflow as the editor saves it. Export it in API format (File, Export (API)).",
        )
    lifted = take({"prompt": body["workflow"]})
    if lifted.faults:
        raise refusal(lifted.faults, MAX_FAULTS)
    return lifted.body["prompt"], lifted.priority


def _is_drawn(workflow: object) -> bool:
    """Whether it is the editor's own format: a list of nodes with their places on the canvas."""
    return isinstance(workflow, dict) and isinstance(cast("JsonObject", workflow).get("nodes"), list)


def _fault(name: str, message: str) -> Fault:
    return Fault(pointer(name), INVALID_REQUEST, message, input_name=name)
