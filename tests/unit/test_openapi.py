"""The OpenAPI document, the route table, the JSON that is sent and the pages say the same.

A new route fails here until it has an `Operation` in `routes/openapi/` (a module `..._operations.py`, joined in `document.py`) and
`python docs/generate_reference.py` has written `docs/reference.md` anew.
"""

from __future__ import annotations

import importlib.util
import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from expeditor.intake.submission import FIELDS
from expeditor.intake.views import (
    Ahead,
    BulkReport,
    DepthView,
    JobListing,
    JobView,
    QueueView,
    RefusedJob,
    Verdict,
    Waiting,
)
from expeditor.intake.waiting import EstimateBasis, WaitReason
from expeditor.jobs.errors import ExpeditorError, Fault, NotFound
from expeditor.jobs.model import (
    Attempt,
    BatchSlot,
    Cause,
    Job,
    JobError,
    JobStatus,
    Output,
    Principal,
    Progress,
    Source,
)
from expeditor.routes.errors import STATUS_BY_CODE, render_error
from expeditor.routes.openapi.document import OPERATIONS, document, refusals
from expeditor.routes.openapi.job_operations import SUBMISSION
from expeditor.routes.queries import LIST_PARAMETERS
from expeditor.routes.render import Address, bulk_json, job_json, listing_json, queue_json, verdict_json
from expeditor.routes.selection import SELECTORS
from expeditor.routes.table import RouteSets, route_table
from tests.support.openapi import Conformance

ROOT = Path(__file__).resolve().parents[2]
HOW_TO = "add an Operation in routes/openapi/, then run `python docs/generate_reference.py`"


class AnyHandler:
    """Stands in for each set of routes: whatever is asked of it is a handler."""

    def __getattr__(self, name: str) -> Any:
        async def handler(request: Any) -> Any:
            raise AssertionError(name)

        return handler


def served() -> set[str]:
    anything: Any = AnyHandler()
    rows = route_table(RouteSets(**{part.name: anything for part in fields(RouteSets)}))
    return {f"{row.method} {row.path}" for row in rows}


def described() -> set[str]:
    return {f"{operation.method} {operation.path}" for operation in OPERATIONS}


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def test_the_document_is_sound() -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(document("1.2.3")).iter_errors()] == []


def test_routes_document_and_pages_are_the_same() -> None:
    assert served() - described() == set(), f"served and not described: {HOW_TO}"
    assert described() - served() == set(), (
        "described and not served: remove the Operation, or add the route to routes/table.py"
    )
    assert len(OPERATIONS) == len(described()), "described twice"
    for name, row in (
        ("reference.md", r"^\| \[`([A-Z]+ /expeditor\S*)`\]"),
        ("api.md", r"^\| \[`([A-Z]+ /expeditor\S*)`\]"),
    ):
        told = re.findall(row, page(name), re.MULTILINE)
        assert set(told) == served(), f"docs/{name} has a table of all routes"
        assert len(told) == len(set(told))


def test_the_reference_is_made_from_the_document() -> None:
    spec = importlib.util.spec_from_file_location("generate_reference", ROOT / "docs/generate_reference.py")
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    assert page("reference.md") == generator.page(document("")), "run `python docs/generate_reference.py`"


def test_path_parameters_are_those_of_the_path() -> None:
    for operation in OPERATIONS:
        named = {parameter.name for parameter in operation.parameters if parameter.where == "path"}
        assert named == set(re.findall(r"{(\w+)}", operation.path)), operation.name


def test_the_codes_are_those_of_the_error_tree() -> None:
    def codes(error: type[ExpeditorError]) -> set[str]:
        return {error.code}.union(*(codes(each) for each in error.__subclasses__()))

    named = {code for operation in OPERATIONS for several in refusals(operation).values() for code in several}
    assert named <= codes(ExpeditorError)
    reserved = {"QUOTA_EXCEEDED", "MISSING_ASSET"}
    assert codes(ExpeditorError) - named <= reserved, "no route says that it may answer this code"
    assert {code for code, status in STATUS_BY_CODE.items() if status >= 500} <= named


# -- what is sent ----------------------------------------------------------------------------------------------------

UUID = "2f0c3a52-7d0e-4f7b-9a51-2b7e6a1d9c55"
ATTEMPT = Attempt(1, 0.0, "boot", finished_at_s=1.0, outcome=JobStatus.FAILED, cause=Cause.NODE_ERROR, message="no")
OUTPUT = Output("9", "a.png", "", "output", "image", "image/png", 5, cached=True)
WAITING = Waiting(
    WaitReason.AHEAD,
    "Two stand before it.",
    3,
    Ahead({3: 2}, 1, 1, 10.0),
    15.0,
    EstimateBasis.SAME_WORKFLOW,
    until_s=1.0,
    expires_at_s=2.0,
)
BARE = Job(
    id=UUID,
    principal=Principal("grace"),
    priority=3,
    source=Source.SUBMIT,
    status=JobStatus.QUEUED,
    created_at_s=0.0,
    queued_at_s=0.0,
    number=1.0,
    seq=1,
    start_tag=0.0,
    score=0.0,
    estimated_s=5.0,
)
FULL = Job(
    **{part.name: getattr(BARE, part.name) for part in fields(Job)}
    | {
        "status": JobStatus.FAILED,
        "client_id": "grace",
        "metadata": {"a": "b"},
        "started_at_s": 1.0,
        "finished_at_s": 2.0,
        "attempts": (ATTEMPT, Attempt(2, 3.0, "boot")),
        "outputs": (OUTPUT, OUTPUT),
        "cause": Cause.NODE_ERROR,
        "error": JobError("NODE_ERROR", "no", node_id="1", class_type="A", exception_type="E", traceback="t"),
        "not_before_s": 1.0,
        "expires_at_s": 2.0,
        "max_attempts": 3,
        "models": ("m",),
        "slot": BatchSlot(UUID, 0),
    }
)
QUEUE = QueueView(
    waiting=1,
    running=0,
    work_s=None,
    by_priority={3: DepthView(1, 5.0)},
    by_principal={"grace": DepthView(1, 5.0)},
    oldest_wait_s=1.0,
)
REPORT = BulkReport(1, 0, 0, 1, (RefusedJob(UUID, "CONFLICT", "no"),), more=False)
SENT: list[tuple[str, Any]] = [
    ("Job", job_json(JobView(BARE), Address("http://host"))),
    ("Job", job_json(JobView(BARE, position=1, eta_s=5.0, waiting=WAITING), Address("http://host"))),
    ("Job", job_json(JobView(FULL, progress=Progress(0.5, 1, 2, "1", "A", 1.0, 2.0)), Address(""))),
    ("JobList", listing_json(JobListing((JobView(FULL),), "next"), Address("http://host"))),
    ("JobList", listing_json(JobListing((), None), Address("http://host"))),
    ("Queue", queue_json(QUEUE)),
    ("Verdict", verdict_json(Verdict(3, 2, ("2",), 5.0))),
    ("Canceled", bulk_json(REPORT, "canceled")),
    ("Retried", bulk_json(REPORT, "retried")),
]


@pytest.mark.parametrize(("name", "sent"), SENT, ids=[f"{number}-{name}" for number, (name, _) in enumerate(SENT)])
def test_what_is_sent_is_what_is_described(name: str, sent: Any) -> None:
    assert Conformance(document("")).faults(name, sent) == []


def test_a_field_that_is_not_described_is_found() -> None:
    conformance = Conformance(document(""))
    job = job_json(JobView(BARE), Address(""))
    assert conformance.faults("Job", {**job, "extra": 1}) != []
    assert conformance.faults("Job", {name: value for name, value in job.items() if name != "held"}) != []
    assert conformance.faults("Job", {**job, "status": "done"}) != []


def test_every_error_has_the_envelope() -> None:
    body = json.loads(render_error(NotFound("no", faults=(Fault("/a", "NOT_FOUND", "no", "look"),))).text or "")
    assert Conformance(document("")).faults("Error", body) == []


# -- what is asked ---------------------------------------------------------------------------------------------------


def test_the_fields_of_a_submit_are_described() -> None:
    assert set(SUBMISSION) == FIELDS


def test_the_parameters_of_the_list_are_described() -> None:
    (listed,) = (operation for operation in OPERATIONS if operation.name == "listJobs")
    assert {parameter.name for parameter in listed.parameters} == {*LIST_PARAMETERS, "metadata.{key}"}


def test_the_filters_of_bulk_calls_are_described() -> None:
    (bulk,) = (operation for operation in OPERATIONS if operation.name == "cancelJobs")
    assert bulk.body is not None
    assert set(bulk.body.content["application/json"]["properties"]) == {*SELECTORS, "all"}
