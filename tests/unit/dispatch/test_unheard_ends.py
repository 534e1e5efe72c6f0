"""An end that was stored while the store's answer was lost, on a queue that others share: it is this run's end, and told as such; what
somebody else made of the job is not."""

from __future__ import annotations

import pytest

from expeditor.dispatch.retrying import RetryPolicy
from expeditor.jobs.errors import StoreUnavailable
from expeditor.jobs.model import Cause, Ending, JobStatus
from expeditor.jobs.settled import Settled
from tests.conformance.harness import MemoryStorage, claim, done, enqueue
from tests.unit.dispatch.made import Bench, FakeParking
from tests.unit.dispatch.test_going_home import SUCCESS

UNHEARD = StoreUnavailable("It is not known whether this was stored.")


@pytest.fixture
def bench():
    storage = MemoryStorage()
    yield Bench(storage.start(), storage.clock, policy=RetryPolicy())
    storage.stop()


def unheard(bench, succeeded=True, messages=SUCCESS):
    """A run of another instance's job whose end is stored, and nobody hears so."""
    enqueue(bench.real, "a", origin="gpu1")
    bench.dispatcher.claim()
    bench.front.unheard = UNHEARD
    return bench.dispatcher.finish("a", succeeded, messages, {})


def test_an_end_that_was_stored_unheard_is_this_run_s(bench):
    assert unheard(bench) is Settled.OWED
    assert bench.job("a").status is JobStatus.SUCCEEDED
    assert bench.dispatcher.claim() is None
    assert (bench.dispatcher.settled(), bench.dispatcher.lost()) == (["a"], [])
    assert not bench.dispatcher.owes()


def test_a_job_that_was_put_back_unheard_is_neither_told_nor_lost(bench):
    fields = {"prompt_id": "a", "exception_type": "ConnectionError", "exception_message": "gone", "node_id": "1"}
    assert unheard(bench, False, [("execution_error", fields)]) is Settled.AGAIN
    assert bench.job("a").status is JobStatus.QUEUED
    assert bench.dispatcher.claim() is None
    assert (bench.dispatcher.settled(), bench.dispatcher.lost()) == ([], [])
    assert not bench.dispatcher.owes()


def test_an_end_that_another_one_stored_is_lost_to_this_run(bench):
    enqueue(bench.real, "a", origin="gpu1")
    bench.dispatcher.claim()
    bench.front.away = UNHEARD
    assert bench.dispatcher.finish("a", True, SUCCESS, {}) is Settled.OWED
    bench.front.away = None
    bench.pass_s(5)
    done(bench.real.retry("a", 1, Ending(JobStatus.FAILED, bench.clock.now_s, 0.0, cause=Cause.LEASE_LOST), None))
    claim(bench.real)
    done(bench.real.finish("a", 2, Ending(JobStatus.SUCCEEDED, bench.clock.now_s, 1.0)))
    assert bench.dispatcher.claim() is None
    assert (bench.dispatcher.settled(), bench.dispatcher.lost()) == ([], ["a"])


def test_an_end_whose_fate_cannot_be_found_out_yet_stays_owed(bench):
    assert unheard(bench) is Settled.OWED
    bench.front.away = UNHEARD
    with pytest.raises(StoreUnavailable):
        bench.dispatcher.claim()
    assert bench.dispatcher.owes()
    bench.front.away = None
    assert bench.dispatcher.claim() is None
    assert bench.dispatcher.settled() == ["a"]


@pytest.fixture
def parking(bench):
    made = FakeParking()
    bench.dispatcher.join_parking(made)
    return made


def test_a_job_that_was_parked_unheard_is_parked(bench, parking):
    assert unheard(bench, False, []) is Settled.AGAIN
    assert bench.job("a").status is JobStatus.WAITING
    assert bench.dispatcher.claim() is None
    assert (bench.dispatcher.settled(), bench.dispatcher.lost(), parking.gone) == ([], [], [])
    assert not bench.dispatcher.owes()


@pytest.mark.parametrize("late", [False, True])
def test_a_job_that_is_another_s_by_now_was_not_parked_by_this_run(bench, parking, late):
    enqueue(bench.real, "a", origin="gpu1")
    bench.dispatcher.claim()
    if late:
        bench.front.away = UNHEARD
        assert bench.dispatcher.finish("a", False, [], {}) is Settled.AGAIN
        bench.front.away = None
    bench.pass_s(5)
    done(bench.real.retry("a", 1, Ending(JobStatus.FAILED, bench.clock.now_s, 0.0, cause=Cause.LEASE_LOST), None))
    claim(bench.real)
    if late:
        assert bench.dispatcher.claim() is None
        assert bench.dispatcher.lost() == ["a"]
    else:
        assert bench.dispatcher.finish("a", False, [], {}) is Settled.LOST
    assert parking.gone == ["a"]
    assert bench.job("a").status is JobStatus.RUNNING
