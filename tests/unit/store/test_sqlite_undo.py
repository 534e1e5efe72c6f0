"""A verb whose commit fails leaves nothing behind, neither in the writer's memory nor in the verbs' own.

The judge is a store in memory that never heard of the failed one: from then on both must answer alike.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from typing import Any

import pytest

from expeditor.jobs.affinity import AffinityPolicy
from expeditor.jobs.errors import StoreUnavailable
from expeditor.jobs.log import LogQuery
from expeditor.jobs.model import Cause, JobStatus, RequestKey
from expeditor.store.base import JobStore, RecoveryMode, RecoveryRule
from expeditor.store.records import JobQuery
from expeditor.store.sqlite import SqliteStore
from tests.conformance.harness import MemoryStorage, SqliteStorage, Storage, claim, done, ending, enqueue, new_job

Verb = Callable[[JobStore], "Future[Any]"]
KEY = RequestKey("k", "digest")
FAILED = ending(JobStatus.FAILED, cause=Cause.OUT_OF_MEMORY, history_json="{}")


class ImpatientStorage(SqliteStorage):
    """A store that gives up on a locked file at once."""

    def make(self, boot_id: str) -> SqliteStore:
        return SqliteStore(path=self.path, busy_timeout_s=0.01, **self.parts(boot_id))


@pytest.fixture
def storages(tmp_path):
    made: tuple[Storage, Storage] = (ImpatientStorage(tmp_path), MemoryStorage())
    for storage in made:
        storage.affinity = AffinityPolicy(slack_s=11.0)
    yield made
    for storage in made:
        storage.stop()


@pytest.fixture
def twins(storages):
    """Two stores with the same past: `ran` failed, `out` was pruned, `run` runs, the rest wait, each in its way."""
    for storage in storages:
        store = storage.start()
        for name in ("ran", "out"):
            enqueue(store, name)
            end = ending(JobStatus.FAILED, cause=Cause.NODE_ERROR, history_json="{}")
            done(store.finish(name, claim(store).attempt, end))
        done(store.prune(["out"]))
        enqueue(store, "run", 9)
        claim(store)
        enqueue(store, "held", 8)
        done(store.hold("held", held=True))
        now_s = storage.clock.now_s
        enqueue(store, "late", not_before_s=now_s + 10)
        enqueue(store, "over", expires_at_s=now_s + 10)
        enqueue(store, "keyed", request_key=KEY)
        for n in range(6):
            enqueue(store, f"m{n}", principal=f"p{n}", models=("ab"[n % 2],))
        storage.clock.now_s = now_s + 10
    return tuple(storage.store for storage in storages)


def _answer(future: Future[Any]) -> Any:
    refusal = future.exception(30)
    return future.result() if refusal is None else type(refusal)


def _alike(stores: tuple[JobStore, JobStore]) -> None:
    verbs: list[Verb] = [
        lambda store: store.page(JobQuery(limit=100)),
        lambda store: store.tick(),  # what became due by now is due, whether the verb was stored or not
        lambda store: store.summary(),
        lambda store: store.finished(9),
        lambda store: store.keyed("ada", "k"),
        lambda store: store.keyed("ada", "k2"),
        *[lambda store, name=name: store.was_pruned(name) for name in ("out", "ran")],
        lambda store: store.enqueue(new_job("after", 3, "ada")),
        *[lambda store: store.claim(frozenset("b"))] * 12,
        lambda store: store.recover(),
        lambda store: store.events(LogQuery(limit=200)),
        lambda store: store.last_position(),
    ]
    for number, verb in enumerate(verbs):
        answers = [_answer(verb(store)) for store in stores]
        assert answers[0] == answers[1], number


FAILING: dict[str, Verb] = {
    "claim": lambda store: store.claim(),
    "claim past others": lambda store: store.claim(frozenset("b")),
    "retry": lambda store: store.retry("run", 1, FAILED, 2e9),
    "rerun": lambda store: store.rerun("run", 1, FAILED),
    "finish": lambda store: store.finish("run", 1, ending(history_json="{}")),
    "redrive": lambda store: store.redrive("ran"),
    "hold": lambda store: store.hold("keyed", True),
    "release": lambda store: store.hold("held", False),
    "cancel": lambda store: store.cancel("keyed"),
    "pause": lambda store: store.pause(True),
    "tick": lambda store: store.tick(),
    "stopping": lambda store: store.stopping(),
    "prune": lambda store: store.prune(["ran"]),
    "forget": lambda store: store.forget(3e9, 3e9),
    "keyed": lambda store: store.enqueue(new_job("new", 9, request_key=RequestKey("k2", "x"))),
    "recover": lambda store: store.recover(RecoveryRule(RecoveryMode.PAUSED)),
}


@pytest.mark.parametrize("verb", FAILING)
def test_a_verb_that_was_not_stored_leaves_nothing(storages, twins, verb):
    store = twins[0]
    told = len(storages[0].ears.events)
    with closing(sqlite3.connect(storages[0].path, isolation_level=None)) as intruder:
        intruder.execute("BEGIN IMMEDIATE")
        for _ in range(2):
            assert type(FAILING[verb](store).exception(30)) is StoreUnavailable
    assert len(storages[0].ears.events) == told
    _alike(twins)


@pytest.mark.parametrize("verb", FAILING)
def test_the_same_verb_tried_again_does_as_if_it_had_not_failed(storages, twins, verb):
    with closing(sqlite3.connect(storages[0].path, isolation_level=None)) as intruder:
        intruder.execute("BEGIN IMMEDIATE")
        assert type(FAILING[verb](twins[0]).exception(30)) is StoreUnavailable
    assert _answer(FAILING[verb](twins[0])) == _answer(FAILING[verb](twins[1]))
    _alike(twins)


def test_verbs_of_one_batch_see_what_those_before_them_did(storages, twins):
    """All at once, so that most of it is decided in memory before anything is written."""
    verbs: list[Verb] = [
        lambda store: store.finish("run", 1, FAILED),
        lambda store: store.prune(["run", "ran", "keyed"]),
        lambda store: store.enqueue(new_job("run")),
        lambda store: store.redrive("run"),
        lambda store: store.enqueue(new_job("twice", request_key=KEY)),
        lambda store: store.cancel("keyed"),
        lambda store: store.prune(["keyed"]),
        lambda store: store.enqueue(new_job("again", request_key=KEY)),
        lambda store: store.enqueue(new_job("third", request_key=KEY)),
        lambda store: store.claim(frozenset("b")),
        lambda store: store.pause(True),
        lambda store: store.claim(),
        lambda store: store.pause(False),
        lambda store: store.hold("held", False),
        lambda store: store.claim(),
        lambda store: store.rerun("held", 1, FAILED),
        lambda store: store.retry("held", 2, FAILED, None),
        lambda store: store.claim(),
        lambda store: store.stopping(),
    ]
    futures = [verb(twins[0]) for verb in verbs]
    for number, (verb, future) in enumerate(zip(verbs, futures, strict=True)):
        assert _answer(future) == _answer(verb(twins[1])), number
    stores = tuple(storage.start() for storage in storages)
    _alike(stores)
    assert done(stores[0].get("held")).attempt >= 3
