"""What every store does after a restart: queued jobs stay, dead runs come back or fail, learned things are kept."""

from __future__ import annotations

import pytest

from expeditor.jobs.errors import Conflict
from expeditor.jobs.model import Cause, JobStatus
from expeditor.store.base import MAX_DEATHS, Recovered, RecoveryRule
from tests.conformance.harness import claim, claim_all, done, ending, enqueue, new_job


def test_nothing_to_recover(store):
    assert done(store.recover()) == Recovered((), 0, 0)


def test_queued_jobs_are_listed_in_claim_order_with_their_payload(storage):
    store = storage.start()
    for name, priority in (("a", 3), ("b", 8), ("c", 3)):
        enqueue(store, name, priority)
    found = done(storage.start().recover())
    assert [(job.id, payload) for job, payload in found.waiting] == [
        (name, new_job(name).payload) for name in ("b", "a", "c")
    ]
    assert (found.requeued, found.failed) == (0, 0)


def test_a_dead_run_goes_back_to_its_place(storage):
    store = storage.start()
    for name in "abc":
        enqueue(store, name)
    claimed = claim(store)
    storage.clock.now_s += 60
    store = storage.start()
    found = done(store.recover())
    assert [job.id for job, _ in found.waiting] == ["a", "b", "c"]
    assert (found.requeued, found.failed) == (1, 0)
    job = done(store.get("a"))
    assert (job.status, job.score, job.queued_at_s) == (JobStatus.QUEUED, claimed.job.score, storage.clock.now_s)
    assert [(attempt.outcome, attempt.cause) for attempt in job.attempts] == [(JobStatus.FAILED, Cause.PROCESS_DIED)]
    assert storage.ears.told("a") == ["job.queued", "job.started", "job.retrying", "job.queued"]
    for late in (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED):
        with pytest.raises(Conflict):
            done(store.finish("a", claimed.attempt, ending(late)))
    again = claim(store)
    assert (again.job.id, again.attempt, again.job.attempts[1].boot_id) == ("a", 2, "boot-2")
    assert again.job.started_at_s == claimed.job.started_at_s


def test_a_job_that_kills_its_process_again_and_again_is_poison(storage):
    enqueue(storage.start(), "a")
    for _ in range(MAX_DEATHS):
        assert storage.store is not None
        claim(storage.store)
        found = done(storage.start().recover())
    assert (found.waiting, found.requeued, found.failed) == ((), 0, 1)
    job = done(storage.store.get("a"))
    assert (job.status, job.cause, job.attempt) == (JobStatus.FAILED, Cause.POISON, MAX_DEATHS)


def test_a_cancel_asked_for_before_the_death_is_kept(storage):
    store = storage.start()
    enqueue(store, "a")
    claim(store)
    done(store.cancel("a"))
    store = storage.start()
    found = done(store.recover())
    assert (found.waiting, found.requeued, found.failed) == ((), 0, 0)
    assert done(store.get("a")).status is JobStatus.CANCELED


def test_this_boots_own_runs_are_left_alone(storage):
    store = storage.start()
    enqueue(store, "a")
    running = claim(store).job
    assert done(store.recover()) == Recovered((), 0, 0)
    assert done(store.get("a")) == running


def test_tags_virtual_time_and_estimates_are_kept(storage):
    store = storage.start()
    enqueue(store, "learn", signature="s")
    done(store.finish("learn", claim(store).attempt, ending(run_s=50.0)))
    for n in range(4):
        enqueue(store, f"a{n}", signature="s")
    claimed = claim(store)
    done(store.finish(claimed.job.id, claimed.attempt, ending(cached=True)))
    store = storage.start()
    assert done(store.estimate("s")) == 50.0
    enqueue(store, "b0", principal="bob")
    enqueue(store, "a4")
    enqueue(store, "b1", principal="bob")
    assert claim_all(store) == ["b0", "a1", "b1", "a2", "a3", "a4"]


def test_seq_goes_on(storage):
    enqueue(storage.start(), "a")
    assert enqueue(storage.start(), "b").seq == 2


def test_jobs_of_other_instances_are_listed_without_what_they_run(storage):
    store = storage.start()
    for job_id, origin in (("mine", "here"), ("nobodys", None), ("theirs", "there")):
        enqueue(store, job_id, origin=origin)
    found = done(storage.start().recover(RecoveryRule(here="here")))
    assert [(job.id, payload == new_job(job.id).payload) for job, payload in found.waiting] == [
        ("mine", True),
        ("nobodys", True),
    ]
    assert [job.id for job in found.elsewhere] == ["theirs"]
