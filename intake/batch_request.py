"""What a client may ask for in one batch, parsed from plain fields. Pure; knows nothing of HTTP or storage.

A batch is a list of submits (``jobs``), or one ``prompt`` with a ``sweep``. The fields beside them hold for every job that does not
say otherwise; ``metadata`` is joined. Owns the shape of the body and where the faults of a job stand in it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

from ..jobs.errors import ExpeditorError, Fault, InputInvalid
from ..jobs.model import JsonObject
from .faults import field_fault, pointer, refusal, shown, unknown_field
from .lift import KEY
from .structure import shape_of
from .submission import FIELDS as SUBMIT_FIELDS
from .submission import JSON_FIELDS as SUBMIT_JSON_FIELDS
from .submission import SubmitRequest, parse_submission
from .sweep import ROOT, Declared, PromptSweep, aim, check_count, read_sweep

JOBS, PREVIEW, PARTIAL = "jobs", "preview", "partial"
OWN_FIELDS = frozenset({JOBS, ROOT, PREVIEW, PARTIAL})
NOT_IN_BATCHES = frozenset({"prompt_id", "front", "number"})
"""Fields of a submit that say something of one job alone: its id, and a place before or among others."""
COMMON_FIELDS = SUBMIT_FIELDS - NOT_IN_BATCHES
ITEM_FIELDS = COMMON_FIELDS - {"client_id"}
FIELDS = COMMON_FIELDS | OWN_FIELDS
JSON_FIELDS = (SUBMIT_JSON_FIELDS - NOT_IN_BATCHES) | OWN_FIELDS
MAX_FAULTS = 100
_OF_THE_WHOLE = frozenset({"NO_OUTPUT", "INVALID_PROMPT", "LIMIT_EXCEEDED"})
"""Faults without a node that no value of an input mends."""
_PRIORITIES = ("priority", KEY)


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """A well-formed request. ``common``: what holds for every job; its prompt is the swept one, or empty.

    ``items`` are the jobs as they were sent, ``swept`` the sweep; one of them is there. ``sweep`` is the latter as it was sent.
    """

    common: SubmitRequest
    items: tuple[Any, ...] | None
    swept: PromptSweep | None
    sweep: Any
    fields: JsonObject
    preview: bool
    partial: bool

    @property
    def count(self) -> int:
        """How many jobs it asks for."""
        if self.swept is not None:
            return self.swept.sweep.count
        return len(self.items or ())

    @property
    def inputs(self) -> tuple[str, ...]:
        """The swept inputs, in their order."""
        return () if self.swept is None else self.swept.sweep.keys

    def item(self, index: int) -> SubmitRequest:
        """The job of this index. Raises a ``Refused`` that points into the job as ``parse_submission`` does."""
        if self.swept is not None:
            return replace(self.common, prompt=self.swept.item(index))
        item: Any = (self.items or ())[index]
        if not isinstance(item, dict):
            raise InputInvalid(faults=(Fault("", InputInvalid.code, f"A job is an object, not {shown(item)}."),))
        own = cast("JsonObject", item)
        faults = _unknown(own, ITEM_FIELDS, "a job of a batch")
        if faults:
            raise refusal(faults, MAX_FAULTS)
        request = parse_submission(self._joined(own))
        if request.priority_given:
            return request
        return replace(request, priority=self.common.priority, priority_given=self.common.priority_given)

    def placed(self, index: int, error: ExpeditorError) -> tuple[Fault, ...]:
        """The faults of a job's refusal, pointing into the whole request, each with the job's index in its message."""
        faults = error.faults or (Fault("", error.code, error.message),)
        if self.swept is not None:
            where = self.swept.pointers(index)
            return tuple(_of_job(index, each, where.get(each.pointer, each.pointer)) for each in faults)
        return tuple(_of_job(index, each, pointer(JOBS, index) + each.pointer) for each in faults)

    def concerns_all(self, error: ExpeditorError) -> bool:
        """Whether the refusal of one job of a sweep is that of all: it names nothing that the sweep changes."""
        if self.swept is None or not error.faults:
            return False
        changed = {node_id for node_id, _ in self.swept.places.values()}
        return all(
            fault.code in _OF_THE_WHOLE if fault.node_id is None else fault.node_id not in changed
            for fault in error.faults
        )

    def _joined(self, own: JsonObject) -> JsonObject:
        joined = {**self.fields, **own}
        ours, theirs = self.fields.get("metadata"), own.get("metadata")
        if isinstance(ours, dict) and isinstance(theirs, dict):
            joined["metadata"] = {**cast("JsonObject", ours), **cast("JsonObject", theirs)}
        return joined


def parse_batch(fields: JsonObject, most_jobs: int, declared: Declared) -> BatchRequest:
    """Check what does not depend on the single jobs; all faults of a step at once. Raises a ``Refused``."""
    faults = _unknown(fields, FIELDS, "a batch")
    for name in (PREVIEW, PARTIAL):
        if not isinstance(fields.get(name, False), bool):
            faults.append(field_fault(name, f"{name} must be true or false."))
    faults += _either(fields)
    if faults:
        raise refusal(faults, MAX_FAULTS)
    beside = {name: value for name, value in fields.items() if name not in OWN_FIELDS}
    common = parse_submission({"prompt": {}, **beside})
    items = fields.get(JOBS)
    if items is not None:
        check_count(len(items), most_jobs, pointer(JOBS))
    swept = None if items is not None else _swept(fields[ROOT], common.prompt, most_jobs, declared)
    return BatchRequest(
        common=common,
        items=None if items is None else tuple(items),
        swept=swept,
        sweep=fields.get(ROOT),
        fields={name: value for name, value in beside.items() if name not in _PRIORITIES},
        preview=bool(fields.get(PREVIEW)),
        partial=bool(fields.get(PARTIAL)),
    )


def _swept(raw: object, prompt: Any, most_jobs: int, declared: Declared) -> PromptSweep:
    sweep = read_sweep(raw)
    check_count(sweep.count, most_jobs, pointer(ROOT))
    shape = shape_of(prompt, numeric_ids_only=False)
    if shape.all:
        raise refusal(shape.all, MAX_FAULTS)
    return aim(sweep, prompt, declared)


def _either(fields: JsonObject) -> list[Fault]:
    items, hint = fields.get(JOBS), "Send jobs (a list of prompts with their fields), or prompt and sweep."
    if (items is None) == (fields.get(ROOT) is None):
        given = "Neither jobs nor sweep is given." if items is None else "jobs and sweep exclude each other."
        return [field_fault(JOBS if items is None else ROOT, given, hint)]
    if items is None:
        missing = fields.get("prompt") is None
        return [field_fault("prompt", "prompt is missing: a sweep needs one.", hint)] if missing else []
    if fields.get("prompt") is not None:
        return [field_fault("prompt", "prompt stands in each of jobs, not beside them.", hint)]
    if not isinstance(items, list) or not items:
        return [field_fault(JOBS, f"jobs is a list, with one job at least; got {shown(cast('object', items))}.", hint)]
    return []


def _unknown(given: JsonObject, known: frozenset[str], where: str) -> list[Fault]:
    faults: list[Fault] = []
    for name in given:
        if name in known:
            continue
        if name in NOT_IN_BATCHES:
            faults.append(field_fault(name, f"{name} does not go with {where}.", "Leave it out; use priority."))
        elif name in FIELDS:
            faults.append(field_fault(name, f"{name} stands beside jobs, not in {where}.", "Send it once for all."))
        else:
            faults.append(unknown_field(name, known))
        if len(faults) == MAX_FAULTS:
            break
    return faults


def _of_job(index: int, fault: Fault, where: str) -> Fault:
    return replace(fault, pointer=where, message=f"Job {index}: {fault.message}")
