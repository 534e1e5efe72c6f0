"""The two stores side by side: after any verbs, both answer the same and have told the same."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from expeditor.jobs.errors import ExpeditorError
from expeditor.jobs.model import Cause, JobError, JobStatus
from expeditor.store.base import JobQuery, JobStore, Place, QueueSummary, Reprioritise
from tests.conformance.harness import IMAGE, MemoryStorage, SqliteStorage, ending, new_job

IDS = st.sampled_from([f"j{n}" for n in range(12)])
NAMES = st.sampled_from(["ada", "bob"])
STATUSES = st.sampled_from([JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED])
ERROR = JobError("NODE_ERROR", "it broke", "9")


def _rounded(answer: Any) -> Any:
    """Sums of seconds are added up in another order by SQL; all else must be equal to the bit."""
    if isinstance(answer, QueueSummary):
        return replace(answer, rows=tuple(replace(row, work_s=round(row.work_s, 6)) for row in answer.rows))
    if isinstance(answer, Place):
        return replace(answer, work_ahead_s=round(answer.work_ahead_s, 6))
    return answer


class SideBySide(RuleBasedStateMachine):
    """Every verb goes to both stores; a restart restarts both."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="expeditor-test-"))
        self.storages = (MemoryStorage(), SqliteStorage(self.folder))
        self.begun: dict[str, int] = {}
        self.restart()

    def teardown(self) -> None:
        for storage in self.storages:
            storage.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, verb: Callable[[JobStore], Future[Any]]) -> Any:
        """The answer of both, or the type of both refusals."""
        answers = [self._answer(verb(store)) for store in self.stores]
        assert answers[0] == answers[1]
        return answers[0]

    def _answer(self, future: Future[Any]) -> Any:
        try:
            return _rounded(future.result(30))
        except ExpeditorError as refusal:
            return type(refusal), refusal.message

    @rule()
    def restart(self) -> None:
        self.stores = tuple(storage.start() for storage in self.storages)

    @rule()
    def recover(self) -> None:
        self.ask(lambda store: store.recover())

    @rule(job_id=IDS, priority=st.integers(1, 10), name=NAMES, number=st.integers(-3, 3), front=st.booleans())
    def enqueue(self, job_id: str, priority: int, name: str, number: int, front: bool) -> None:
        self.tick()
        job = new_job(job_id, priority, name, number=number, front=front, signature=f"s{priority % 3}")
        self.ask(lambda store: store.enqueue(job))

    @rule()
    def claim(self) -> None:
        self.tick()
        claimed = self.ask(lambda store: store.claim())
        if claimed is not None:
            self.begun[claimed.job.id] = claimed.attempt

    @rule(job_id=IDS, status=STATUSES, run_s=st.floats(0.0, 500.0), cached=st.booleans(), late=st.booleans())
    def finish(self, job_id: str, status: JobStatus, run_s: float, cached: bool, late: bool) -> None:
        attempt = self.begun.get(job_id, 1) - late
        error = ERROR if status is JobStatus.FAILED else None
        end = ending(status, run_s, cached=cached, error=error, outputs=(IMAGE,), last_node_id="9")
        self.ask(lambda store: store.finish(job_id, attempt, end))

    @rule(job_id=IDS, cause=st.sampled_from([Cause.CANCELED, Cause.EXPIRED]))
    def cancel(self, job_id: str, cause: Cause) -> None:
        self.tick()
        self.ask(lambda store: store.cancel(job_id, cause))

    @rule(job_id=IDS, priority=st.none() | st.integers(1, 10), front=st.booleans())
    def reprioritise(self, job_id: str, priority: int | None, front: bool) -> None:
        self.ask(lambda store: store.reprioritise(job_id, Reprioritise(priority, front)))

    @rule(job_id=IDS)
    def fail_queued(self, job_id: str) -> None:
        end = ending(JobStatus.FAILED, cause=Cause.SECRET_LOST, error=ERROR)
        self.ask(lambda store: store.fail_queued(job_id, end))

    @rule(job_id=IDS, name=st.none() | NAMES, statuses=st.lists(st.sampled_from(JobStatus), max_size=3))
    def look(self, job_id: str, name: str | None, statuses: list[JobStatus]) -> None:
        self.ask(lambda store: store.get(job_id))
        self.ask(lambda store: store.payload(job_id))
        self.ask(lambda store: store.place(job_id))
        self.ask(lambda store: store.estimate("s1"))
        first = self.ask(lambda store: store.page(JobQuery(tuple(statuses), name, limit=2)))
        if first.next_cursor is not None:
            self.ask(lambda store: store.page(JobQuery(tuple(statuses), name, first.next_cursor, 2)))

    @invariant()
    def same_queue_and_same_news(self) -> None:
        self.ask(lambda store: store.summary())
        told = [storage.ears.events for storage in self.storages]
        assert told[0] == told[1]

    def tick(self) -> None:
        for storage in self.storages:
            storage.clock.now_s += 1.5


TestSideBySide = SideBySide.TestCase
TestSideBySide.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
