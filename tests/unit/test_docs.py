"""The documentation keeps step with the code: links lead somewhere, every route, field and code of the API is told, none is made up."""

from __future__ import annotations

import re
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from expeditor.intake.batch_preview import BatchPreview
from expeditor.intake.batch_request import FIELDS as BATCH_FIELDS
from expeditor.intake.batch_views import About, BatchResults, BatchView, ItemResult
from expeditor.intake.submission import FIELDS
from expeditor.intake.views import DepthView, JobView, QueueView
from expeditor.jobs.errors import ExpeditorError
from expeditor.jobs.model import Attempt, JobStatus, Output, Progress
from expeditor.routes.errors import STATUS_BY_CODE
from expeditor.routes.render import Address, job_json, queue_json
from expeditor.routes.render_batches import batch_json, preview_json, results_json
from expeditor.routes.table import RouteSets, route_table
from expeditor.store.batches import Batch
from tests.support.jobs import a_job

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


@cache
def text_of(page: Path) -> str:
    """A page without its code blocks."""
    return FENCED.sub("", page.read_text(encoding="utf-8"))


@cache
def anchors_of(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    """The relative links of a page that lead nowhere."""
    broken = []
    for link in LINK.findall(text_of(page)):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Here\n[a](#here) [b](#there) [c](nowhere.md) [d](page.md)", encoding="utf-8")
    assert broken_links(page) == ["#there", "nowhere.md"]


@pytest.mark.parametrize(
    "name",
    [
        "clients.md",
        "cli.md",
        "batching.md",
        "one_call.md",
        "reference.md",
        "events.md",
        "api.md",
        "settings.md",
        "metrics.md",
        "page.md",
        "development.md",
        "retries.md",
        "causes.md",
        "tokens.md",
        "webhooks.md",
        "cluster.md",
        "cluster_failures.md",
        "cluster_deploy.md",
    ],
)
def test_the_index_names_every_page(name: str) -> None:
    assert f"]({name})" in text_of(ROOT / "docs/index.md")


# -- docs/api.md ---------------------------------------------------------------------------------------------------------


@cache
def api() -> str:
    return text_of(ROOT / "docs/api.md")


def section(title: str) -> str:
    """One section of the page."""
    return api().split(f"\n## {title}\n")[1].split("\n## ")[0]


def first_column(text: str) -> set[str]:
    """The words in code marks that open the rows of a section's tables."""
    rows = re.findall(r"^\| (`.+?`) \|", text, re.MULTILINE)
    return {word for row in rows for word in re.findall(r"`([^`]+)`", row)}


class AnyHandler:
    """Stands in for each set of routes: whatever is asked of it is a handler."""

    def __getattr__(self, name: str) -> Any:
        async def handler(request: Any) -> Any:
            raise AssertionError(name)

        return handler


def test_the_routes_are_those_of_the_route_table() -> None:
    anything: Any = AnyHandler()
    sets = RouteSets(**{part.name: anything for part in fields(RouteSets)})
    served = {f"{route.method} {route.path}" for route in route_table(sets)}
    told = re.findall(r"^\| \[`((?:GET|POST) /expeditor/\S+)`\]", api(), re.MULTILINE)
    assert set(told) == served
    assert len(told) == len(served)


def test_the_codes_are_those_of_the_error_tree_with_their_status() -> None:
    def codes(error: type[ExpeditorError]) -> set[str]:
        return {error.code}.union(*(codes(each) for each in error.__subclasses__()))

    told = dict(re.findall(r"^\| `([A-Z_]+)` \| ([\d, ]+) \|", section("Errors"), re.MULTILINE))
    assert set(told) == codes(ExpeditorError) == set(STATUS_BY_CODE)
    assert {code: statuses for code, statuses in told.items() if str(STATUS_BY_CODE[code]) not in statuses} == {}


def test_the_fields_of_submit_are_told() -> None:
    assert first_column(section("Submit")) | {"_priority"} == FIELDS


def made_job() -> dict[str, Any]:
    """A job that has everything, as the wire has it."""
    image = Output("9", "a.png", "", "output", "image", "image/png")
    job = a_job(status=JobStatus.RUNNING, attempts=(Attempt(1, 0.0, "boot"),), outputs=(image,))
    return job_json(JobView(job=job, progress=Progress(0.5, 1, 2)), Address("http://host"))


def test_the_fields_of_a_job_are_told() -> None:
    told = section("Jobs")
    fields = made_job()
    assert first_column(told) >= set(fields)
    inner = {*fields["attempts"][0], *fields["outputs"][0], *fields["progress"], *fields["links"]}
    assert {name for name in inner if not re.search(rf"[{{ `]{name}[,}}`]", told)} == set()


def test_the_fields_of_the_queue_are_told() -> None:
    depth = {3: DepthView(1, 5.0)}
    fields = queue_json(
        QueueView(waiting=1, running=0, work_s=5.0, by_priority=depth, by_principal={}, oldest_wait_s=1.0)
    )
    assert {name for name in fields if f"`{name}`" not in section("Queue")} == set()


def test_the_fields_of_a_batch_are_told() -> None:
    page = text_of(ROOT / "docs/batches.md")
    batch = Batch("b", "ada", 0.0, 2, {}, {JobStatus.QUEUED: 1, JobStatus.FAILED: 1})
    view = BatchView(batch, About(2))
    fields = {
        **batch_json(view),
        **results_json(BatchResults(batch, About(2), (ItemResult(0, {}, None),)), Address("")),
    }
    fields |= {**fields["items"][0], **preview_json(BatchPreview(1, 0, (), (), 1.0, 1.0, 2.0, None)), **fields["links"]}
    untold = {name for name in fields if not re.search(rf"[{{ `]{name}[,}}`]", page)}
    assert untold == set()
    told = first_column(page.split("## The fields")[1].split("\n## ")[0])
    assert told == (BATCH_FIELDS | {"client_id"}) - {"_priority"}


def modules_untold(page: str, modules: list[str]) -> list[str]:
    """The modules whose file name a page does not mention."""
    return [module for module in modules if f"`{module.rpartition('/')[2]}`" not in page]


def test_the_architecture_names_every_module() -> None:
    rooms = ("routes", "intake", "store", "dispatch", "host", "events", "jobs", "telemetry", "runtime", "client")
    modules = [
        path.relative_to(ROOT).as_posix()
        for room in rooms
        for path in sorted((ROOT / room).rglob("*.py"))
        if path.name != "__init__.py"
    ]
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    assert modules_untold(page, modules) == []
    assert modules_untold(page, ["host/of_nobody.py"]) == ["host/of_nobody.py"]
