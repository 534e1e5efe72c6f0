"""A cancel whose commit comes after the client's wait has run out still takes effect on ComfyUI's side."""

from __future__ import annotations

import itertools
from concurrent.futures import Future

import pytest

from expeditor.intake.service import JobService
from expeditor.jobs.awaiting import Awaiter
from expeditor.jobs.errors import NotFound, StoreUnavailable
from expeditor.jobs.model import JobStatus
from expeditor.jobs.principals import PrincipalRules
from tests.conformance.harness import MemoryStorage, claim, done, enqueue
from tests.support.depth import depth


class FakeSlowStore:
    """Answers a cancel when the test says so."""

    def __init__(self) -> None:
        self.asked: Future = Future()

    def cancel(self, job_id):
        return self.asked


class FakeMachine:
    """Stands for ComfyUI's list and for the run table; notes what it is told."""

    def __init__(self) -> None:
        self.removed = []
        self.interrupted = []

    def remove(self, job_id):
        self.removed.append(job_id)

    def interrupt(self, job_id, attempt):
        self.interrupted.append((job_id, attempt))


@pytest.fixture
def machine():
    return FakeMachine()


@pytest.fixture
def store():
    return FakeSlowStore()


@pytest.fixture
def service(store, machine):
    numbers = itertools.count(1)
    return JobService(
        store=store,
        validation=None,
        core=None,
        door=machine,
        depth=depth(),
        runs=machine,
        principals=PrincipalRules(),
        clock=lambda: 0.0,
        new_id=lambda: str(next(numbers)),
        awaiter=Awaiter(0.01),
        repeats=None,
    )


def canceled_job(running):
    """What the store answers: a job cancelled while it ran, or while it waited."""
    storage = MemoryStorage()
    real = storage.start()
    enqueue(real, "a")
    if running:
        claim(real)
    return done(real.cancel("a"))


@pytest.mark.parametrize("running", [False, True])
async def test_a_cancel_that_commits_late_is_followed(service, store, machine, running):
    with pytest.raises(StoreUnavailable):
        await service.cancel("a")
    assert (machine.removed, machine.interrupted) == ([], [])
    job = canceled_job(running)
    assert job.status is (JobStatus.CANCELING if running else JobStatus.CANCELED)
    store.asked.set_result(job)
    assert (machine.removed, machine.interrupted) == (([], [("a", 1)]) if running else (["a"], []))


async def test_a_cancel_that_is_refused_touches_nothing(service, store, machine):
    store.asked.set_exception(NotFound("There is no job a."))
    with pytest.raises(NotFound):
        await service.cancel("a")
    assert (machine.removed, machine.interrupted) == ([], [])
