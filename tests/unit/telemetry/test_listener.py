"""Committed events as numbers and lines: each way through a job's life counts once and says what happened."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from expeditor.jobs.events import JobEvent
from expeditor.jobs.model import Cause, Ending, Job, JobError, JobStatus, Output
from expeditor.jobs.transitions import advance, give_back, recover, retry, settle, start, withdraw
from expeditor.telemetry.listener import EndsElsewhere, TelemetryListener
from expeditor.telemetry.logs import configure
from expeditor.telemetry.metrics import Metrics
from tests.unit.telemetry.made import AT_S, Lines, queued_job, value

OUTPUT = Output("9", "a.png", "", "output", "image", "image/png")


class Watched:
    """A listener on real metrics and the real log."""

    def __init__(self) -> None:
        self.now_s = AT_S
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry, clock=lambda: self.now_s)
        self.listener = TelemetryListener(self.metrics)
        self.stream = Lines()

    def tell(self, *events: JobEvent) -> None:
        self.now_s = events[-1].at_s
        self.listener.publish(events)

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def value(self, name: str, **labels: str) -> float | None:
        return value(self.registry, name, **labels)


@pytest.fixture
def watched() -> Iterator[Watched]:
    watched = Watched()
    configure(watched.stream, "debug", "json", None)
    yield watched
    configure(None, logging.NOTSET, "json", None)


def started(watched: Watched, at_s: float = AT_S + 2.5) -> Job:
    job = queued_job()
    watched.tell(JobEvent.of(job, AT_S))
    job, event = start(job, at_s, "boot-1")
    watched.tell(event)
    return job


def test_a_job_that_succeeds(watched: Watched):
    job = started(watched)
    job, events = settle(job, Ending(JobStatus.SUCCEEDED, AT_S + 6.5, run_s=4.0, outputs=(OUTPUT,)))
    watched.tell(*events)
    assert watched.value("jobs_submitted_total", priority="7", source="submit") == 1
    assert watched.value("job_queue_wait_seconds_sum", priority="7") == 2.5
    assert watched.value("job_run_seconds_sum") == 4.0
    assert watched.value("job_end_to_end_seconds_sum") == 6.5
    assert watched.value("jobs_finished_total", status="succeeded", cause="none") == 1
    assert watched.value("attempts_total", cause="none") == 1
    assert watched.value("events_published_total", type="job.output") == 1
    assert watched.value("worker_busy_ratio") == pytest.approx(4.0 / 6.5)
    assert watched.value("drain_rate_jobs_per_second") == pytest.approx(1 / 6.5)
    queued, begun, output, ended = watched.lines()
    assert {
        name: queued[name] for name in ("event", "nodes", "prompt_length", "client_id", "principal", "priority")
    } == {
        "event": "job.queued",
        "nodes": 4,
        "prompt_length": 321,
        "client_id": "tab-1",
        "principal": "ada",
        "priority": 7,
    }
    assert (begun["event"], begun["wait_s"], begun["attempt"]) == ("job.started", 2.5, 1)
    assert (output["level"], output["node_id"]) == ("debug", "9")
    assert (ended["event"], ended["duration_s"], ended["job_id"]) == ("job.succeeded", 4.0, job.id)


def test_a_job_that_fails_names_its_node_and_carries_the_traceback(watched: Watched):
    error = JobError(
        "NODE_ERROR", "it broke", "3", "KSampler", "ValueError", 'File "n.py", line 1\nValueError: it broke\n'
    )
    _, events = settle(
        started(watched), Ending(JobStatus.FAILED, AT_S + 3.0, run_s=0.5, cause=Cause.NODE_ERROR, error=error)
    )
    watched.tell(*events)
    assert watched.value("jobs_finished_total", status="failed", cause="NODE_ERROR") == 1
    assert watched.value("attempts_total", cause="NODE_ERROR") == 1
    line = watched.lines()[-1]
    assert (line["level"], line["cause"], line["node_id"], line["class_type"]) == (
        "warning",
        "NODE_ERROR",
        "3",
        "KSampler",
    )
    assert line["exc_info"] == error.traceback
    assert line["duration_s"] == 0.5


def test_what_other_instances_ran_counts_for_the_pace_of_the_queue_alone(watched: Watched):
    job = started(watched)
    _, events = settle(job, Ending(JobStatus.SUCCEEDED, AT_S + 6.5, run_s=4.0, outputs=(OUTPUT,)))
    watched.tell(*events)
    _, ended = settle(job, Ending(JobStatus.FAILED, AT_S + 6.5, run_s=4.0, cause=Cause.NODE_ERROR))
    _, withdrawn = withdraw(queued_job(), AT_S + 6.5)
    EndsElsewhere(watched.metrics).publish((*ended, *withdrawn))
    assert watched.value("drain_rate_jobs_per_second") == watched.metrics.drain_rate() == pytest.approx(1 / 6.5)
    assert watched.metrics.queue_drain_rate() == pytest.approx(2 / 6.5)


def test_a_job_canceled_in_the_queue_is_no_work_done(watched: Watched):
    job = queued_job()
    watched.tell(JobEvent.of(job, AT_S))
    _, events = withdraw(job, AT_S + 9.0)
    watched.tell(*events)
    assert watched.value("jobs_finished_total", status="canceled", cause="CANCELED") == 1
    assert watched.value("job_end_to_end_seconds_count") == 0
    assert watched.value("job_run_seconds_count") == 0
    assert watched.value("drain_rate_jobs_per_second") == 0
    assert watched.value("worker_busy_ratio") == 0


def test_a_running_job_that_is_canceled_frees_the_worker_once_it_stops(watched: Watched):
    job, events = withdraw(started(watched), AT_S + 4.0)
    watched.tell(*events)
    watched.now_s = AT_S + 5.0
    assert watched.value("worker_busy_ratio") == pytest.approx(2.5 / 5.0)
    _, events = settle(job, Ending(JobStatus.CANCELED, AT_S + 5.0, run_s=2.5))
    watched.tell(*events)
    watched.now_s = AT_S + 10.0
    assert watched.value("worker_busy_ratio") == pytest.approx(2.5 / 10.0)
    assert watched.value("attempts_total", cause="CANCELED") == 1


def test_a_job_whose_process_died_is_submitted_once_and_waits_twice(watched: Watched):
    job, events = recover(started(watched), AT_S + 100.0, max_deaths=3)
    watched.tell(*events)
    assert watched.value("attempts_total", cause="PROCESS_DIED") == 1
    assert watched.value("job_run_seconds_count") == 0  # nobody saw when it stopped
    job, event = start(job, AT_S + 101.0, "boot-2")
    watched.tell(event)
    assert watched.value("jobs_submitted_total", priority="7", source="submit") == 1
    assert watched.value("job_queue_wait_seconds_sum", priority="7") == 3.5
    _, events = settle(job, Ending(JobStatus.SUCCEEDED, AT_S + 103.0, run_s=2.0))
    watched.tell(*events)
    assert watched.value("job_run_seconds_sum") == 2.0
    assert watched.value("jobs_finished_total", status="succeeded", cause="none") == 1


def test_a_job_that_is_given_back_frees_the_worker_and_is_submitted_once(watched: Watched):
    job = started(watched)
    _, event = give_back(job, AT_S + 3.0)
    watched.tell(event)
    busy = watched.metrics.worker_busy_ratio()
    watched.now_s += 20.0
    assert watched.metrics.worker_busy_ratio() <= busy  # it would grow if the worker were still taken
    assert watched.value("jobs_submitted_total", priority="7", source="submit") == 1


def test_every_attempt_counts_and_the_job_once(watched: Watched):
    def failed(cause: Cause, at_s: float) -> Ending:
        return Ending(JobStatus.FAILED, at_s, run_s=1.0, cause=cause, last_node_id="7")

    job = started(watched, AT_S)
    job, events = retry(job, failed(Cause.OUT_OF_MEMORY, AT_S + 1.0), None)
    job, event = start(job, AT_S + 1.0, "boot-1")  # as the stores' rerun does it
    watched.tell(*events, event)
    job, events = retry(job, failed(Cause.UPSTREAM_UNAVAILABLE, AT_S + 2.0), AT_S + 5.25)
    watched.tell(*events)
    job, event = start(job, AT_S + 6.0, "boot-1")
    watched.tell(event)
    _, events = settle(job, failed(Cause.UPSTREAM_UNAVAILABLE, AT_S + 7.0))
    watched.tell(*events)
    assert watched.value("attempts_total", cause="OUT_OF_MEMORY") == 1
    assert watched.value("attempts_total", cause="UPSTREAM_UNAVAILABLE") == 2
    assert watched.value("jobs_finished_total", status="failed", cause="UPSTREAM_UNAVAILABLE") == 1
    assert watched.value("jobs_submitted_total", priority="7", source="submit") == 1
    assert watched.value("job_run_seconds_count") == 3
    assert watched.value("worker_busy_ratio") == pytest.approx(3.0 / 7.0)
    first, second = [line for line in watched.lines() if line["event"] == "job.retrying"]
    assert (first["level"], first["cause"], first["attempt"], first["delay_s"]) == ("warning", "OUT_OF_MEMORY", 1, 0.0)
    assert (second["cause"], second["attempt"], second["delay_s"]) == ("UPSTREAM_UNAVAILABLE", 2, 3.25)
    assert (second["node_id"], second["duration_s"]) == ("7", 1.0)


def test_a_parked_job_leaves_the_worker_idle_and_does_not_wait_again(watched: Watched):
    job, event = advance(started(watched, AT_S), JobStatus.WAITING, AT_S + 10.0)
    watched.tell(event)
    job, event = advance(job, JobStatus.RUNNING, AT_S + 30.0)
    watched.tell(event)
    watched.now_s = AT_S + 40.0
    assert watched.value("worker_busy_ratio") == pytest.approx(20.0 / 40.0)
    assert watched.value("job_queue_wait_seconds_count", priority="7") == 1


def test_an_event_that_cannot_be_counted_does_not_stop_the_others(watched: Watched):
    broken = JobEvent("job.queued", queued_job(source=None), AT_S)
    watched.tell(broken, JobEvent.of(queued_job(), AT_S))
    assert watched.value("jobs_submitted_total", priority="7", source="submit") == 1
    assert "could not be counted" in str(watched.lines()[0]["message"])
