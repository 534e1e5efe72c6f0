"""What the SQLite writer holds in memory: right again after everything that takes changes back, and how long reads wait.

The judge is a second store in memory that never heard of what failed: from then on both must answer alike.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from typing import Any

import pytest

from expeditor.jobs.errors import Internal, StoreUnavailable
from expeditor.jobs.model import Cause, JobStatus, Payload, RequestKey
from expeditor.jobs.ordering import OrderPolicy
from expeditor.store.base import JobStore, KeyedJob, Reprioritise
from expeditor.store.records import Ahead, EstimateBasis, JobQuery
from expeditor.store.sqlite import SqliteStore
from tests.conformance.harness import MemoryStorage, SqliteStorage, claim, done, ending, enqueue, new_job

Verb = Callable[[JobStore], "Future[Any]"]


class ImpatientStorage(SqliteStorage):
    """A store that gives up on a locked file at once."""

    def make(self, boot_id: str) -> SqliteStore:
        return SqliteStore(path=self.path, busy_timeout_s=0.01, **self.parts(boot_id))


class Unstorable(str):
    """Passes for text until SQLite binds it."""

    __slots__ = ()

    def __conform__(self, _protocol: object) -> object:
        return object()


class HalfWay(int):
    """A priority that breaks `reprioritise` after it has moved a finish tag and before it saves the job."""

    def __rmul__(self, _other: object) -> Any:
        raise RuntimeError("half way")


@pytest.fixture
def storage(tmp_path):
    made = ImpatientStorage(tmp_path)
    made.policy = OrderPolicy(ageing_s=120)  # an int: only an int's product with HalfWay is HalfWay's to make
    yield made
    made.stop()


@pytest.fixture
def judge(storage):
    made = MemoryStorage()
    made.policy = storage.policy
    yield made
    made.stop()


@pytest.fixture
def twins(storage, judge):
    """The store under test and its judge, with the same past: a run that was learned from, one that runs, two that wait."""
    stores = (storage.start(), judge.start())
    for store in stores:
        for name, principal in (("old", "ada"), ("run", "ada"), ("a", "ada"), ("b", "bob")):
            enqueue(store, name, principal=principal, signature="s")
        done(store.finish("old", claim(store).attempt, ending(run_s=9.0)))
        assert claim(store).job.id == "b"
    return stores


class Hold:
    """Keeps the writer busy, so that all that is asked meanwhile is one batch."""

    def __init__(self, storage: SqliteStorage, store: JobStore, name: str) -> None:
        busy, self._release = threading.Event(), threading.Event()

        def listen(_events: object) -> None:
            busy.set()
            self._release.wait(30)

        storage.ears.on_publish = listen
        self.first = store.enqueue(new_job(name))
        assert busy.wait(30)

    def end(self) -> None:
        self._release.set()


def _alike(twins: tuple[JobStore, JobStore]) -> None:
    """Both answer alike to all that depends on what the writer holds."""
    verbs: list[Verb] = [
        lambda store: store.page(JobQuery(limit=1000)),
        lambda store: store.estimate("s"),
        lambda store: store.place("a"),
        lambda store: store.reprioritise("a", Reprioritise(priority=5)),
        lambda store: store.enqueue(new_job("x", 5, "ada")),
        lambda store: store.enqueue(new_job("y", 3, "bob", front=True)),
        lambda store: store.finish("b", 1, ending(run_s=1.0)),
        lambda store: store.enqueue(new_job("z", 3, "ada", signature="s")),
        *[lambda store: store.place("z"), lambda store: store.claim()] * 8,
        lambda store: store.recover(),
    ]
    for number, verb in enumerate(verbs):
        answers = [_answer(verb(store)) for store in twins]
        assert answers[0] == answers[1], number


def _answer(future: Future[Any]) -> Any:
    refusal = future.exception(30)
    return future.result() if refusal is None else type(refusal)


BROKEN: dict[str, Verb] = {
    "in the verb": lambda store: store.reprioritise("a", Reprioritise(priority=HalfWay(9))),
    "when it is written": lambda store: store.enqueue(new_job("c", 9, payload=Payload("{}", "{}", Unstorable("[]")))),
}


@pytest.mark.parametrize("others", [0, 100])
@pytest.mark.parametrize("place", BROKEN)
def test_a_fault_after_the_first_change_is_taken_back_alone(storage, twins, place, others, caplog):
    store, judge = twins
    hold = Hold(storage, store, "first")
    asked: list[Verb] = [
        lambda store: store.enqueue(new_job("d", 4, "bob")),
        lambda store: store.cancel("run"),
        lambda store: store.enqueue(new_job("a")),
        lambda store: store.cancel("d"),
        lambda store: store.cancel("d"),
        *[lambda store, n=n: store.enqueue(new_job(f"e{n}", 4, "ada")) for n in range(1 + others)],
    ]
    futures = [asked[0](store), BROKEN[place](store), *[verb(store) for verb in asked[1:]]]
    hold.end()
    assert type(futures.pop(1).exception(30)) is Internal
    done(judge.enqueue(new_job("first")))
    for verb, future in zip(asked, futures, strict=True):
        assert _answer(future) == _answer(verb(judge))
    canceled = ["job.queued", "job.canceling", "job.canceled"]
    assert [storage.ears.told(name) for name in ("d", "run", "e0")] == [canceled, canceled, ["job.queued"]]
    assert caplog.text.count("a verb of the store failed unexpectedly") == 1
    _alike(twins)


@pytest.mark.parametrize("count", [1, 200])
def test_a_batch_that_cannot_be_committed_leaves_nothing_in_memory(storage, twins, count):
    store, _ = twins
    told = len(storage.ears.events)
    with closing(sqlite3.connect(storage.path, isolation_level=None)) as intruder:
        intruder.execute("BEGIN IMMEDIATE")
        futures: list[Future[Any]] = [store.claim(), store.claim()]
        futures += [store.enqueue(new_job(f"n{n}", 1 + n % 10, "bob")) for n in range(count)]
        futures += [store.finish("b", 1, ending(run_s=99.0)), store.reprioritise("a", Reprioritise(8, front=True))]
        futures += [store.claim(), store.cancel("run")]
        assert {type(future.exception(30)) for future in futures} == {StoreUnavailable}
    assert len(storage.ears.events) == told
    _alike(twins)


def test_a_batch_of_more_rows_than_one_statement_takes(storage, twins):
    store, judge = twins
    hold = Hold(storage, store, "first")
    futures = [store.enqueue(new_job(f"n{n}", 1 + n % 10, f"p{n % 7}")) for n in range(250)]
    hold.end()
    done(judge.enqueue(new_job("first")))
    assert [done(future) for future in futures] == [
        enqueue(judge, f"n{n}", 1 + n % 10, f"p{n % 7}") for n in range(250)
    ]
    assert len(storage.ears.commits) < 20
    _alike(twins)


def test_what_is_held_is_read_again_by_the_next_process(storage, judge, twins):  # noqa: ARG001 - their past
    _alike((storage.start(), judge.start()))


def test_a_read_of_one_job_waits_for_its_own_writes_only(storage):
    store = storage.start()
    before = enqueue(store, "before")
    hold = Hold(storage, store, "a")
    asked = store.cancel("other")
    assert done(store.get("before")) == before
    assert store.place("before").done()
    own, all_jobs = store.place("other"), store.page(JobQuery())
    assert not any(future.done() for future in (own, all_jobs, hold.first))
    hold.end()
    assert done(own) is None
    assert [job.id for job in done(all_jobs).jobs] == ["a", "before"]
    assert asked.exception(30) is not None


def test_what_nobody_writes_is_answered_at_once(storage):
    store = storage.start()
    enqueue(store, "before", signature="s")
    before, ahead, basis = store.get("before"), store.ahead("before"), store.basis("s")
    assert all(future.done() for future in (before, ahead, basis))
    assert (done(before).id, done(ahead), done(basis)) == ("before", Ahead({}, 0, 0, 0.0), EstimateBasis.DEFAULT)
    hold = Hold(storage, store, "a")
    change = store.reprioritise("before", Reprioritise(priority=9))
    ahead, job = store.ahead("before"), store.get("before")
    assert not any(future.done() for future in (ahead, job, store.basis("s")))
    hold.end()
    done(change)
    assert (done(job).priority, done(ahead).waiting) == (9, {})


def test_a_job_is_never_told_as_a_commit_would_have_made_it_that_failed(storage):
    store = storage.start()
    enqueue(store, "a")
    with closing(sqlite3.connect(storage.path, isolation_level=None)) as intruder:
        intruder.execute("BEGIN IMMEDIATE")
        refused, told = store.reprioritise("a", Reprioritise(priority=9)), [store.get("a")]
        while not refused.done():
            told.append(store.get("a"))
    assert {done(job).priority for job in (*told, store.get("a"))} == {3}
    assert type(refused.exception(30)) is StoreUnavailable


def test_a_mean_that_is_not_in_memory_is_looked_up(storage):
    store = storage.start()
    for name in ("a", "b"):
        enqueue(store, name, signature=name)
        done(store.finish(name, claim(store).attempt, ending(run_s=9.0)))
    enqueue(store, "next", signature="a")
    store = storage.start()
    held = store.basis("a")
    assert held.done(), "what waits is asked for, so its mean is read at the start"
    assert done(held) is done(store.basis("b")) is EstimateBasis.SAME_WORKFLOW
    assert done(store.basis("other")) is EstimateBasis.ALL_WORKFLOWS


def test_a_read_waits_for_a_claim_that_may_take_its_job(storage):
    store = storage.start()
    enqueue(store, "before")
    hold = Hold(storage, store, "a")
    store.claim()
    place, job = store.place("before"), store.get("before")
    assert not place.done()
    hold.end()
    assert done(place) is None
    assert done(job).attempt == 1


def test_a_request_key_is_looked_up_without_waiting_for_other_commits(storage):
    store = storage.start()
    hold = Hold(storage, store, "a")
    store.claim()
    assert done(store.keyed("ada", "k")) is None
    keyed = store.enqueue(new_job("b", request_key=RequestKey("k", "digest")))
    found = store.keyed("ada", "k")
    assert not keyed.done(), "its commit is held up, so the look-up must wait"
    assert not found.done()
    hold.end()
    assert done(found) == KeyedJob("b", "digest")


ONE_BATCH: list[Verb] = [
    lambda store: store.recover(),
    lambda store: store.claim(),
    lambda store: store.reprioritise("a", Reprioritise(priority=7)),
    lambda store: store.reprioritise("a", Reprioritise(priority=4)),
    lambda store: store.enqueue(new_job("c", 8, "bob")),
    lambda store: store.claim(),
    lambda store: store.cancel("c"),
    lambda store: store.enqueue(new_job("d", 2, "cem", signature="t")),
    lambda store: store.finish("b", 2, ending(run_s=4.0)),
    lambda store: store.fail_queued("d", ending(JobStatus.FAILED, cause=Cause.SECRET_LOST)),
]


def test_all_that_one_batch_changes_is_in_the_file(storage, judge, twins):  # noqa: ARG001 - their past
    store, other = storage.start(), judge.start()
    hold = Hold(storage, store, "first")
    futures = [verb(store) for verb in ONE_BATCH]
    hold.end()
    done(other.enqueue(new_job("first")))
    for verb, future in zip(ONE_BATCH, futures, strict=True):
        assert done(future) == done(verb(other))
    assert len(storage.ears.commits) == len(judge.ears.commits) - len(ONE_BATCH) + 1
    _alike((storage.start(), judge.start()))


def test_reached_finish_tags_do_not_pile_up_in_the_file(storage):
    store = storage.start()
    for n in range(20):
        enqueue(store, f"j{n}", principal=f"p{n}")
        done(store.finish(f"j{n}", claim(store).attempt, ending(cached=True)))
    storage.stop()
    with closing(sqlite3.connect(storage.path)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM finish_tags").fetchone() == (1,)


def test_a_job_moved_twice_in_one_batch_is_charged_twice(storage, judge, twins):
    moves: list[Verb] = [lambda store, n=n: store.reprioritise("a", Reprioritise(priority=n)) for n in (9, 4)]
    hold = Hold(storage, twins[0], "first")
    futures = [verb(twins[0]) for verb in moves]
    hold.end()
    done(twins[1].enqueue(new_job("first")))
    for verb, future in zip(moves, futures, strict=True):
        assert done(future) == done(verb(twins[1]))
    stores = (storage.start(), judge.start())
    charged = [enqueue(store, "x", 9) for store in stores]
    assert charged[0] == charged[1]
    assert charged[0].start_tag > 0.0
