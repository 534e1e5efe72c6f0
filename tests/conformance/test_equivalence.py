"""The two stores side by side: after any verbs, both answer the same and have told the same."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from expeditor.jobs.affinity import AffinityPolicy
from expeditor.jobs.errors import ExpeditorError
from expeditor.jobs.log import LogQuery
from expeditor.jobs.model import BatchSlot, Cause, Ending, JobError, JobStatus, RequestKey
from expeditor.jobs.transitions import LastSeen
from expeditor.store.base import JobStore, KeptFor, RecoveryMode, RecoveryRule, Reprioritise
from expeditor.store.batches import NewBatch
from expeditor.store.records import Ahead, JobQuery, Place, QueueSummary
from tests.conformance.harness import IMAGE, MemoryStorage, SqliteStorage, ending, new_job

pytestmark = pytest.mark.long

IDS = st.sampled_from([f"j{n}" for n in range(12)])
NAMES = st.sampled_from(["ada", "bob"])
STATUSES = st.sampled_from([JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED])
ERROR = JobError("NODE_ERROR", "it broke", "9")
KEYS = st.sampled_from(["k1", "k2", "k3"])
SOON_S = st.none() | st.sampled_from([-5.0, 2.0, 20.0, 200.0])
MODELS = st.sampled_from([(), ("a",), ("b",), ("a", "b")])
EVERY_STATUS = st.lists(st.sampled_from(JobStatus), max_size=3).map(tuple)
EVERY_CAUSE = st.lists(st.sampled_from([Cause.CANCELED, Cause.NODE_ERROR, Cause.EXPIRED]), max_size=2).map(tuple)


def _rounded(answer: Any) -> Any:
    """Sums of seconds are added up in another order by SQL; all else must be equal to the bit."""
    if isinstance(answer, QueueSummary):
        return replace(answer, rows=tuple(replace(row, work_s=round(row.work_s, 6)) for row in answer.rows))
    if isinstance(answer, Place):
        return replace(answer, work_ahead_s=round(answer.work_ahead_s, 6))
    if isinstance(answer, Ahead):
        return replace(answer, work_s=round(answer.work_s, 6))
    if isinstance(answer, dict):
        return {name: _rounded(value) for name, value in answer.items()}
    return answer


class SideBySide(RuleBasedStateMachine):
    """Every verb goes to both stores; a restart restarts both."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="expeditor-test-"))
        self.storages = (MemoryStorage(), SqliteStorage(self.folder))
        for storage in self.storages:
            storage.affinity = AffinityPolicy()
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

    @rule(mode=st.sampled_from(RecoveryMode), job_id=IDS)
    def recover(self, mode: RecoveryMode, job_id: str) -> None:
        seen = {(job_id, self.begun.get(job_id, 1)): LastSeen("9", "KSampler", "the log's end")}
        self.ask(lambda store: store.recover(RecoveryRule(mode, seen)))

    @rule(
        job_id=IDS,
        priority=st.integers(1, 10),
        name=NAMES,
        number=st.integers(-3, 3),
        front=st.booleans(),
        key=st.none() | KEYS,
        in_s=SOON_S,
        until_s=SOON_S,
        models=MODELS,
        slot=st.none() | st.just(BatchSlot("b1", 0)),
    )
    def enqueue(self, job_id: str, priority: int, name: str, key: str | None, **fields: Any) -> None:
        self.tick()
        limits = {"not_before_s": fields.pop("in_s"), "expires_at_s": fields.pop("until_s")}
        limits = {limit: None if s is None else self.now_s + s for limit, s in limits.items()}
        request = None if key is None else RequestKey(key, job_id)
        job = new_job(job_id, priority, name, signature=f"s{priority % 3}", request_key=request, **limits, **fields)
        self.ask(lambda store: store.enqueue(job))

    @rule(
        batch_id=st.sampled_from(["b1", "b2"]),
        job_ids=st.lists(IDS, max_size=3),
        name=NAMES,
        key=st.none() | KEYS,
        word=st.sampled_from(["x", "y"]),
    )
    def enqueue_all(self, batch_id: str, job_ids: list[str], name: str, key: str | None, word: str) -> None:
        self.tick()
        slots = [BatchSlot(batch_id, n) for n in range(len(job_ids))]
        jobs = [
            new_job(job_id, 3, name, slot=slot, metadata={"w": word})
            for job_id, slot in zip(job_ids, slots, strict=True)
        ]
        if key is not None and jobs:
            jobs[0] = replace(jobs[0], request_key=RequestKey(key, word))
        batch = NewBatch(batch_id, name, self.now_s, len(jobs), {"word": word})
        self.ask(lambda store: store.enqueue_all(batch, jobs))

    @rule(resident=MODELS, unfit=st.none() | st.frozensets(IDS, max_size=3))
    def claim(self, resident: tuple[str, ...], unfit: frozenset[str] | None) -> None:
        self.tick()
        claimed = self.ask(lambda store: store.claim(frozenset(resident), unfit or frozenset()))
        if claimed is not None:
            self.begun[claimed.job.id] = claimed.attempt

    @rule(job_id=IDS, status=STATUSES, run_s=st.floats(0.0, 500.0), cached=st.booleans(), late=st.booleans())
    def finish(self, job_id: str, status: JobStatus, run_s: float, cached: bool, late: bool) -> None:
        attempt = self.begun.get(job_id, 1) - late
        error = ERROR if status is JobStatus.FAILED else None
        history = f'{{"run": "{job_id}"}}' if cached else None
        end = self.end(status, run_s=run_s, cached=cached, error=error, outputs=(IMAGE,), history_json=history)
        self.ask(lambda store: store.finish(job_id, attempt, end))

    @rule(job_id=IDS, late=st.booleans(), in_s=SOON_S)
    def retry(self, job_id: str, late: bool, in_s: float | None) -> None:
        self.tick()
        attempt, not_before_s = self.begun.get(job_id, 1) - late, None if in_s is None else self.now_s + in_s
        end = self.end(JobStatus.FAILED, cause=Cause.NODE_ERROR, error=ERROR)
        self.ask(lambda store: store.retry(job_id, attempt, end, not_before_s))

    @rule(job_id=IDS, late=st.booleans())
    def rerun(self, job_id: str, late: bool) -> None:
        end = self.end(JobStatus.FAILED, cause=Cause.OUT_OF_MEMORY, error=ERROR)
        answer = self.ask(lambda store: store.rerun(job_id, self.begun.get(job_id, 1) - late, end))
        if not isinstance(answer, tuple):
            self.begun[job_id] = answer.attempt

    @rule(job_id=IDS, late=st.booleans(), value=st.sampled_from(["x", "y", "z" * 300]), key=st.sampled_from(["w", "v"]))
    def set_metadata(self, job_id: str, late: bool, value: str, key: str) -> None:
        attempt = self.begun.get(job_id, 1) - late
        self.ask(lambda store: store.set_metadata(job_id, attempt, {key: value}))

    @rule(job_id=IDS)
    def redrive(self, job_id: str) -> None:
        self.ask(lambda store: store.redrive(job_id))

    @rule(job_id=IDS, held=st.booleans())
    def hold(self, job_id: str, held: bool) -> None:
        self.ask(lambda store: store.hold(job_id, held))

    @rule(paused=st.booleans())
    def pause(self, paused: bool) -> None:
        self.ask(lambda store: store.pause(paused))

    @rule()
    def stopping(self) -> None:
        self.ask(lambda store: store.stopping())

    @rule(later_s=st.sampled_from([0.0, 30.0, 90_000.0]))
    def time_goes_on(self, later_s: float) -> None:
        self.tick(later_s)
        self.ask(lambda store: store.tick())

    @rule(ids=st.lists(IDS, max_size=4))
    def prune(self, ids: list[str]) -> None:
        self.ask(lambda store: store.prune(ids))

    @rule(ago_s=st.sampled_from([-1.0, 10.0, 1000.0]))
    def forget(self, ago_s: float) -> None:
        self.ask(lambda store: store.forget(self.now_s - ago_s, self.now_s - ago_s))

    @rule(job_id=IDS, cause=st.sampled_from([Cause.CANCELED, Cause.EXPIRED]))
    def cancel(self, job_id: str, cause: Cause) -> None:
        self.tick()
        self.ask(lambda store: store.cancel(job_id, cause))

    @rule(job_id=IDS, priority=st.none() | st.integers(1, 10), front=st.booleans())
    def reprioritise(self, job_id: str, priority: int | None, front: bool) -> None:
        self.ask(lambda store: store.reprioritise(job_id, Reprioritise(priority, front)))

    @rule(job_id=IDS, late=st.booleans())
    def give_back(self, job_id: str, late: bool) -> None:
        attempt = self.begun.get(job_id, 1) - late
        self.ask(lambda store: store.give_back(job_id, attempt))

    @rule(job_id=IDS)
    def fail_queued(self, job_id: str) -> None:
        end = ending(JobStatus.FAILED, cause=Cause.SECRET_LOST, error=ERROR)
        self.ask(lambda store: store.fail_queued(job_id, end))

    @rule(job_id=IDS, name=NAMES, key=KEYS)
    def look(self, job_id: str, name: str, key: str) -> None:
        self.ask(lambda store: store.get(job_id))
        self.ask(lambda store: store.payload(job_id))
        self.ask(lambda store: store.place(job_id))
        self.ask(lambda store: store.ahead(job_id))
        self.ask(lambda store: store.places([job_id, "j1", "j2", "x"]))
        self.ask(lambda store: store.was_pruned(job_id))
        self.ask(lambda store: store.keyed(name, key))
        self.ask(lambda store: store.batch("b1"))
        self.ask(lambda store: store.was_pruned("b1"))
        self.ask(lambda store: store.estimate("s1"))
        self.ask(lambda store: store.basis("s1"))

    @rule(
        name=st.none() | NAMES,
        statuses=EVERY_STATUS,
        causes=EVERY_CAUSE,
        held=st.none() | st.booleans(),
        batch_id=st.none() | st.sampled_from(["b1", "b2"]),
        labels=st.lists(st.tuples(st.just("w"), st.sampled_from(["x", "y"])), max_size=2).map(tuple),
    )
    def pages(self, **fields: Any) -> None:
        query = JobQuery(principal=fields.pop("name"), **fields, limit=2)
        first = self.ask(lambda store: store.page(query))
        if first.next_cursor is not None:
            self.ask(lambda store: store.page(replace(query, cursor=first.next_cursor)))

    @rule(name=st.none() | NAMES, job_id=st.none() | IDS, batch=st.booleans(), after=st.integers(0, 60))
    def events(self, name: str | None, job_id: str | None, batch: bool, after: int) -> None:
        queries = (LogQuery(after, 3, job_id), LogQuery(after, 3, principal=name), LogQuery(after, 3, batch_id="b1"))
        self.ask(lambda store: store.events(queries[2 if batch else job_id is None]))
        self.ask(lambda store: store.last_position())

    @rule(
        limit=st.integers(0, 4),
        age_s=st.none() | st.sampled_from([0.0, 5.0, 60.0]),
        count=st.none() | st.integers(0, 2),
    )
    def clean_up(self, limit: int, age_s: float | None, count: int | None) -> None:
        kept = {status: KeptFor(age_s, count) for status in (JobStatus.FAILED, JobStatus.CANCELED, JobStatus.SUCCEEDED)}
        self.ask(lambda store: store.prunable(kept, limit))
        self.ask(lambda store: store.finished(limit))
        self.ask(lambda store: store.history("j0"))

    @invariant()
    def same_queue_and_same_news(self) -> None:
        self.ask(lambda store: store.summary())
        told = [storage.ears.events for storage in self.storages]
        assert told[0] == told[1]

    @property
    def now_s(self) -> float:
        return self.storages[0].clock.now_s

    def end(self, status: JobStatus, **fields: Any) -> Ending:
        return ending(status, finished_at_s=self.now_s, last_node_id="9", **fields)

    def tick(self, later_s: float = 1.5) -> None:
        for storage in self.storages:
            storage.clock.now_s += later_s


TestSideBySide = SideBySide.TestCase
TestSideBySide.settings = settings(
    max_examples=50, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)
