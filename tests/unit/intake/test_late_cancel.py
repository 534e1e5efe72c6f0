"""A cancel whose commit comes after the client's wait has run out still takes effect on the machine."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from expeditor.intake.cancelling import Canceller
from expeditor.jobs.errors import NotFound
from expeditor.jobs.model import JobStatus
from tests.conformance.harness import MemoryStorage, claim, done, enqueue


class FakeSlowStore:
    """Answers a cancel when the test says so."""

    def __init__(self) -> None:
        self.asked: Future = Future()

    def cancel(self, job_id):
        return self.asked


class FakeMachine:
    """Stands for the run table; notes what it is told."""

    def __init__(self) -> None:
        self.interrupted = []

    def interrupt(self, job_id, attempt):
        self.interrupted.append((job_id, attempt))


@pytest.fixture
def machine():
    return FakeMachine()


@pytest.fixture
def store():
    return FakeSlowStore()


@pytest.fixture
def canceller(store, machine):
    return Canceller(store, machine)


def canceled_job(running):
    """What the store answers: a job cancelled while it ran, or while it waited."""
    storage = MemoryStorage()
    real = storage.start()
    enqueue(real, "a")
    if running:
        claim(real)
    return done(real.cancel("a"))


@pytest.mark.parametrize("running", [False, True])
def test_a_cancel_that_commits_late_is_followed(canceller, store, machine, running):
    canceller.cancel("a")
    assert machine.interrupted == []
    job = canceled_job(running)
    assert job.status is (JobStatus.CANCELING if running else JobStatus.CANCELED)
    store.asked.set_result(job)
    assert machine.interrupted == ([("a", 1)] if running else [])


def test_a_cancel_that_is_refused_touches_nothing(canceller, store, machine):
    asked = canceller.cancel("a")
    store.asked.set_exception(NotFound("There is no job a."))
    with pytest.raises(NotFound):
        asked.result()
    assert machine.interrupted == []
