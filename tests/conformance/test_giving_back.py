"""A claim that its instance cannot run, in every store: given back without an attempt, and passed over at the next claim."""

from __future__ import annotations

import pytest

from expeditor.jobs.affinity import AffinityPolicy
from expeditor.jobs.errors import Conflict, NotFound
from expeditor.jobs.model import Cause, JobStatus
from expeditor.jobs.waits import Ask, JobWait
from expeditor.store.base import UNFIT_MAX
from tests.conformance.harness import claim, done, ending, enqueue


def test_a_job_that_is_given_back_waits_as_if_it_had_not_been_claimed(store, storage):
    before = enqueue(store, "a")
    enqueue(store, "b")
    storage.clock.now_s += 5
    claimed = claim(store)
    job = done(store.give_back("a", claimed.attempt))

    assert job == done(store.get("a")) == before
    assert (job.attempts, job.started_at_s, job.queued_at_s) == ((), None, before.queued_at_s)
    assert storage.ears.told("a") == ["job.queued", "job.started", "job.queued"]
    assert done(store.place("a")).position == 1


def test_only_the_attempt_that_was_claimed_goes(store, storage):
    enqueue(store, "a")
    first = claim(store)
    done(store.retry("a", first.attempt, ending(JobStatus.FAILED, cause=Cause.UPSTREAM_UNAVAILABLE), None))
    before = done(store.get("a"))
    job = done(store.give_back("a", claim(store).attempt))

    assert job.attempts == before.attempts
    assert (job.started_at_s, job.tries) == (before.started_at_s, 1)
    again = claim(store)
    assert again.attempt == 2
    done(store.finish("a", again.attempt, ending()))
    assert [attempt.number for attempt in done(store.get("a")).attempts] == [1, 2]


def test_what_was_given_back_is_gone_after_a_restart_too(store, storage):
    enqueue(store, "a")
    done(store.retry("a", claim(store).attempt, ending(JobStatus.FAILED, cause=Cause.UPSTREAM_UNAVAILABLE), None))
    before = done(store.get("a"))
    done(store.give_back("a", claim(store).attempt))

    store = storage.start()
    ((waiting, _),) = done(store.recover()).waiting
    assert waiting == before
    assert waiting.attempt == 1


def test_an_unfit_job_is_passed_over_and_keeps_its_place(store):
    for name in "abc":
        enqueue(store, name)

    claimed = done(store.claim(frozenset(), frozenset("ab")))
    assert claimed.job.id == "c"
    assert done(store.place("a")).position == 1
    assert done(store.claim(frozenset(), frozenset("ab"))) is None
    assert claim(store).job.id == "a"


def test_affinity_chooses_among_the_fit_alone(storage):
    storage.affinity = AffinityPolicy()
    store = storage.start()
    for name, model in (("a", "x"), ("b", "y"), ("c", "y")):
        enqueue(store, name, models=(model,))

    assert done(store.claim(frozenset("y"), frozenset("b"))).job.id == "c"
    assert done(store.claim(frozenset("y"), frozenset("b"))).job.id == "a"


def test_more_unfit_jobs_than_one_claim_passes_over_hide_the_rest(store):
    for n in range(UNFIT_MAX + 2):
        enqueue(store, f"{n:04d}")
    unfit = frozenset(f"{n:04d}" for n in range(UNFIT_MAX + 1))

    assert done(store.claim(frozenset(), unfit)) is None
    assert done(store.claim(frozenset(), unfit - {"0000"})).job.id == "0000"


def test_a_job_that_was_to_be_canceled_ends_when_it_is_given_back(store, storage):
    enqueue(store, "a")
    attempt = claim(store).attempt
    done(store.cancel("a"))
    job = done(store.give_back("a", attempt))

    assert (job.status, job.cause, job.attempts) == (JobStatus.CANCELED, Cause.CANCELED, ())
    assert storage.ears.told("a")[-1] == "job.canceled"


def test_only_who_claimed_it_may_give_it_back(store, storage):
    enqueue(store, "a")
    with pytest.raises(NotFound):
        done(store.give_back("b", 1))
    with pytest.raises(Conflict):
        done(store.give_back("a", 1))
    attempt = claim(store).attempt
    with pytest.raises(Conflict):
        done(store.give_back("a", attempt + 1))

    later = storage.start()
    with pytest.raises(Conflict, match="elsewhere"):
        done(later.give_back("a", attempt))
    assert done(later.get("a")).status is JobStatus.RUNNING


def resumed(store, storage) -> None:
    """Job `a` was parked, answered and claimed again, in its first attempt."""
    enqueue(store, "a", priority=5)
    now_s = storage.clock.now_s
    stopped = ending(JobStatus.CANCELED, cause=Cause.INTERRUPTED)
    wait = JobWait("t1", "7", Ask(), now_s, now_s + 60.0, 64)
    done(store.park("a", claim(store).attempt, (wait,), stopped))
    storage.clock.now_s += 7
    done(store.answer("a", "t1", "yes"))
    assert claim(store).job.parked.since_s is None


def test_a_job_that_was_parked_is_parked_again_and_claimable_in_its_place(store, storage):
    resumed(store, storage)
    before = done(store.get("a"))
    enqueue(store, "b")
    storage.clock.now_s += 2
    job = done(store.give_back("a", 1))
    assert (job.status, job.attempt, job.attempts[0].outcome, job.score) == (JobStatus.WAITING, 1, None, before.score)
    assert (job.parked.waits, job.parked.since_s) == (before.parked.waits, storage.clock.now_s)
    assert job == done(store.get("a"))
    assert storage.ears.told("a")[-2:] == ["job.started", "job.waiting"]
    again = storage.start()
    done(again.recover())
    claimed = claim(again)
    assert (claimed.job.id, claimed.attempt, claimed.job.parked.waits) == ("a", 1, before.parked.waits)
    assert claimed.job.parked_s(storage.clock.now_s) == 7
    assert done(again.finish("a", 1, ending())).status is JobStatus.SUCCEEDED


def test_one_that_was_parked_and_is_to_be_canceled_ends_in_its_attempt(store, storage):
    resumed(store, storage)
    done(store.cancel("a"))
    job = done(store.give_back("a", 1))
    assert (job.status, job.cause, job.parked) == (JobStatus.CANCELED, Cause.CANCELED, None)
    assert [attempt.outcome for attempt in job.attempts] == [JobStatus.CANCELED]
    assert [one.job.id for one in done(store.finished(9))] == ["a"]


def test_a_later_attempt_of_a_job_that_was_parked_before_goes_as_any(store, storage):
    resumed(store, storage)
    done(store.retry("a", 1, ending(JobStatus.FAILED, cause=Cause.OUT_OF_MEMORY), None))
    assert claim(store).attempt == 2
    job = done(store.give_back("a", 2))
    assert (job.status, job.attempt) == (JobStatus.QUEUED, 1)
    assert [wait.answer for wait in claim(store).job.parked.waits] == ["yes"]
