"""What holds for all verbs of every store: order of effect, events after the commit, cancelled callers, open and close."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

import pytest

from expeditor.jobs.errors import Conflict, StoreUnavailable
from expeditor.jobs.model import Job, JobStatus
from expeditor.store.records import JobQuery
from tests.conformance.harness import claim, done, ending, enqueue, new_job


def test_verbs_take_effect_in_the_order_called(store):
    futures = [store.enqueue(new_job(f"j{n}")) for n in range(40)]
    seen = store.page(JobQuery(limit=1000))
    cancels = [store.cancel(f"j{n}") for n in range(40)]
    claimed = store.claim()
    assert [done(future).seq for future in futures] == list(range(1, 41))
    assert len(done(seen).jobs) == 40
    assert {done(future).status for future in cancels} == {JobStatus.CANCELED}
    assert done(claimed) is None


def test_a_read_sees_the_writes_called_before_it(store):
    for n in range(60):
        store.enqueue(new_job(f"j{n}"))
        assert done(store.get(f"j{n}")) is not None


def test_a_probe_changes_nothing(store, storage):
    enqueue(store, "a")
    before = done(store.page(JobQuery()))
    told = len(storage.ears.events)
    assert done(store.probe()) is None
    assert (done(store.page(JobQuery())), len(storage.ears.events)) == (before, told)
    assert claim(store).job.id == "a"


def test_a_refused_verb_spoils_no_other(store):
    futures = [store.enqueue(new_job(f"j{n // 2}")) for n in range(40)]
    refused = [future.exception(30) for future in futures]
    assert [type(fault) for fault in refused] == [type(None), Conflict] * 20
    assert len(done(store.page(JobQuery(limit=1000))).jobs) == 20


def test_every_job_is_claimed_by_one_caller_only(store):
    for n in range(60):
        store.enqueue(new_job(f"j{n}", principal=f"p{n % 3}"))
    taken: list[str] = []

    def work() -> None:
        while (claimed := done(store.claim())) is not None:
            taken.append(claimed.job.id)
            done(store.finish(claimed.job.id, claimed.attempt, ending()))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(taken) == sorted(f"j{n}" for n in range(60))


def test_events_are_told_before_the_future_is_done_and_show_what_is_stored(store, storage):
    asked: list[Future[Job]] = []
    done_when_told: list[bool] = []
    released = threading.Event()

    def listen(_events: object) -> None:
        released.wait(30)  # until the test holds the future whose event this is
        done_when_told.append(asked[0].done())

    storage.ears.on_publish = listen
    asked.append(store.enqueue(new_job("a")))
    released.set()
    job = done(asked[0])
    assert done_when_told == [False]
    assert storage.ears.events[-1].job == job == done(store.get("a"))


def test_events_come_in_the_order_of_effect(store, storage):
    for n in range(30):
        store.enqueue(new_job(f"j{n}"))
        store.cancel(f"j{n}")
    done(store.claim())
    expected = [f"j{n}" for n in range(30) for _ in range(3)]
    assert [event.job.id for event in storage.ears.events] == expected
    assert [event.type for event in storage.ears.events[:3]] == ["job.queued", "job.canceling", "job.canceled"]


def test_a_listener_that_raises_harms_nobody(store, storage, caplog):
    def fail(_events: object) -> None:
        raise RuntimeError("a listener's fault")

    storage.ears.on_publish = fail
    assert enqueue(store, "a") == done(store.get("a"))
    assert "a listener of the store failed" in caplog.text


async def test_a_client_that_goes_away_undoes_nothing(store):
    waiting = [asyncio.wrap_future(store.enqueue(new_job(f"j{n}"))) for n in range(20)]
    for future in waiting:
        future.cancel()
    assert len(done(store.page(JobQuery(limit=1000))).jobs) == 20
    assert enqueue(store, "next").seq == 21
    assert not store.enqueue(new_job("more")).cancel()


def test_commits_are_observed(store, storage):
    enqueue(store, "a")
    claim(store)
    assert len(storage.ears.commits) == 2
    assert all(duration_s >= 0 and verbs == 1 for duration_s, verbs in storage.ears.commits)


def test_a_store_that_is_not_open_refuses(storage):
    store = storage.make("boot-1")
    assert not store.state().open
    for future in (store.enqueue(new_job("a")), store.get("a")):
        with pytest.raises(StoreUnavailable):
            done(future)


def test_close_commits_what_was_asked_for(storage):
    store = storage.start()
    futures = [store.enqueue(new_job(f"j{n}")) for n in range(50)]
    read = store.get("j49")
    store.close()
    store.close()
    assert all(future.done() for future in futures)
    assert done(read) is not None
    assert (store.state().open, store.state().pending_writes) == (False, 0)
    with pytest.raises(StoreUnavailable):
        done(store.claim())
    assert len(done(storage.start().page(JobQuery(limit=1000))).jobs) == 50


def test_the_same_store_opens_again(storage):
    store = storage.start()
    enqueue(store, "a")
    store.close()
    store.open()
    store.open()
    assert claim(store).job.id == "a"
    assert (store.state().open, store.state().error) == (True, None)
