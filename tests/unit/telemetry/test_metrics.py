"""Names, labels and bounds of the metrics; the docs and the rules held to the registry."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from expeditor.jobs.model import JobStatus, Source
from expeditor.store.listeners import StoreObserver
from expeditor.store.records import DepthRow, QueueSummary
from expeditor.telemetry.labels import FirstSeen
from expeditor.telemetry.metrics import CLASSES_NAMED, Metrics
from tests.unit.telemetry.made import AT_S, value

ROOT = Path(__file__).resolve().parents[3]
ROW = re.compile(r"^\| `(expeditor_\w+)` \| (\w+) \| [^|]+ \|\s*([^|]*?)\s*\|", re.MULTILINE)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics(registry, clock=lambda: AT_S + 100.0)


def use_everything(metrics: Metrics) -> None:
    """Give every metric at least one sample, so that its labels show."""
    metrics.request("/jobs/{id}", "GET", 200, 0.01)
    metrics.request_error("QUEUE_FULL")
    metrics.job_submitted(3, Source.PROMPT)
    metrics.job_finished(JobStatus.SUCCEEDED, None, 3.0)
    metrics.queue_wait(3, 1.0)
    metrics.attempt_ended(None, 2.0)
    metrics.events_published("job.queued")
    metrics.webhook_delivery("delivered")
    metrics.node_ran("KSampler", 1.0)
    metrics.nodes_cached(1, 2)
    metrics.committed(0.002, 3)
    metrics.vram("cuda:0", "free", 1e9)
    metrics.gpu_utilization("cuda:0", 0.5)
    metrics.websocket_clients(lambda: 2)
    metrics.workers(lambda: {"active": 1, "gone": 2})
    metrics.event_streams(lambda: 2)
    metrics.models_loaded(lambda: 3)
    metrics.model_loads(1)
    metrics.build_info(version="1", comfyui_version="2")


def shown(metrics: Metrics) -> dict[str, tuple[str, frozenset[str]]]:
    """Every family as docs/metrics.md should name it: its type and labels."""
    found: dict[str, tuple[str, frozenset[str]]] = {}
    for family in openmetrics(metrics.render("application/openmetrics-text; version=1.0.0")[0].decode()):
        suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
        labels = frozenset(name for sample in family.samples for name in sample.labels) - {"le"}
        found[family.name + suffix] = (family.type, labels)
    return found


def test_the_docs_name_every_metric_with_its_type_and_labels(metrics: Metrics):
    use_everything(metrics)
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    documented = {name: (kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in ROW.findall(text)}
    assert documented == shown(metrics)


def test_the_rules_ask_only_for_series_that_exist(metrics: Metrics):
    use_everything(metrics)
    series = {s.name for family in plain(metrics.render("")[0].decode()) for s in family.samples}
    text = (ROOT / "deploy" / "prometheus" / "rules.yml").read_text(encoding="utf-8")
    asked = {name for name in re.findall(r"(?<![:\w])expeditor_\w+", text) if not re.search(rf"name: {name}\b", text)}
    assert asked
    assert asked <= series


@pytest.mark.parametrize("command", [["check", "rules", "rules.yml"], ["test", "rules", "rules_test.yml"]])
def test_prometheus_itself_accepts_the_rules(command: list[str]):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: prometheus)")
    run = subprocess.run(  # noqa: S603 - promtool on our own file
        [promtool, *command], cwd=ROOT / "deploy" / "prometheus", capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_no_created_series_is_shown(metrics: Metrics):
    use_everything(metrics)
    for accept in ("text/plain", "application/openmetrics-text"):
        assert b"_created" not in metrics.render(accept)[0]


def test_the_accept_header_picks_the_format(metrics: Metrics):
    assert metrics.render("application/openmetrics-text; version=1.0.0")[1].startswith("application/openmetrics-text")
    assert metrics.render("text/html, */*")[1].startswith("text/plain")


def test_class_types_beyond_the_bound_are_other(metrics: Metrics, registry: CollectorRegistry):
    for number in range(CLASSES_NAMED + 50):
        metrics.node_ran(f"Node{number}", 1.0)
    metrics.node_ran("Node0", 1.0)
    assert value(registry, "node_run_seconds_count", class_type="Node0") == 2
    assert value(registry, "node_run_seconds_count", class_type="other") == 50


def test_a_known_value_keeps_its_name_when_the_names_are_used_up():
    names = FirstSeen(2)
    assert [names.bound(value) for value in ("a", "b", "c", "a", "b")] == ["a", "b", "other", "a", "b"]


def test_a_made_up_method_is_other(metrics: Metrics, registry: CollectorRegistry):
    metrics.request("/a", "BREW", 405, 0.1)
    assert value(registry, "requests_total", route="/a", method="other", code="405") == 1


def test_the_depth_is_summed_over_principals_and_falls_to_zero(metrics: Metrics, registry: CollectorRegistry):
    rows = (
        DepthRow("ada", 7, JobStatus.QUEUED, 2, 10.0),
        DepthRow("bob", 7, JobStatus.QUEUED, 3, 15.0),
        DepthRow("bob", 3, JobStatus.CANCELING, 1, 4.0),
        DepthRow("bob", 3, JobStatus.RUNNING, 1, 4.0),
    )
    metrics.queue(QueueSummary(rows, oldest_queued_at_s=AT_S + 40.0))
    assert value(registry, "queue_depth", priority="7", status="queued") == 5
    assert value(registry, "queue_depth", priority="3", status="canceling") == 1
    assert value(registry, "queue_work_seconds") == 25.0
    assert value(registry, "queue_oldest_seconds") == 60.0
    metrics.queue(QueueSummary((), None))
    assert value(registry, "queue_depth", priority="7", status="queued") == 0
    assert value(registry, "queue_depth", priority="3", status="canceling") == 0
    assert value(registry, "queue_work_seconds") == 0
    assert value(registry, "queue_oldest_seconds") == 0


def test_an_empty_queue_is_shown_as_zero_from_the_start(metrics: Metrics, registry: CollectorRegistry):
    assert value(registry, "queue_depth", priority="10", status="queued") == 0
    assert value(registry, "queue_capacity") == math.inf
    metrics.queue_capacity(500)
    assert value(registry, "queue_capacity") == 500


def test_a_reading_that_fails_leaves_the_rest(metrics: Metrics):
    def count() -> float:
        raise RuntimeError("no server")

    metrics.websocket_clients(count)
    metrics.event_streams(count)
    body = metrics.render("")[0].decode()
    assert not re.search(r"^expeditor_websocket_clients", body, re.MULTILINE)
    assert "expeditor_worker_busy_ratio 0.0" in body


def test_commits_are_heard_as_the_store_tells_them(metrics: Metrics, registry: CollectorRegistry):
    observer: StoreObserver = metrics
    observer.committed(0.004, 12)
    assert value(registry, "store_commit_seconds_sum") == 0.004
    assert value(registry, "store_batch_size_sum") == 12


def test_two_servers_in_one_process_do_not_share_metrics():
    first, second = CollectorRegistry(), CollectorRegistry()
    Metrics(first, clock=lambda: AT_S).request_error("GONE")
    Metrics(second, clock=lambda: AT_S)
    assert value(first, "request_errors_total", code="GONE") == 1
    assert value(second, "request_errors_total", code="GONE") is None


def test_a_clock_that_was_set_back_takes_nothing_off_a_sum(metrics: Metrics) -> None:
    metrics.job_finished(JobStatus.SUCCEEDED, None, -5.0)
    assert "expeditor_job_end_to_end_seconds_sum 0.0" in metrics.render("")[0].decode()
