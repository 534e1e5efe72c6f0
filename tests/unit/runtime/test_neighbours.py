"""What other instances do reaches whom it concerns here, and nobody else."""

from __future__ import annotations

import logging

import pytest

from expeditor.jobs.events import JobEvent
from expeditor.jobs.model import Attempt, JobStatus
from expeditor.runtime.neighbours import Concerned, Neighbourhood
from tests.support.jobs import a_job


class FakeMachine:
    """Notes which attempts it is asked to stop."""

    def __init__(self):
        self.stopped = []

    def interrupt(self, job_id, attempt):
        self.stopped.append((job_id, attempt))


class FakeHearer:
    """Notes what it hears; fails if told to."""

    def __init__(self, failing=False):
        self.heard = []
        self.failing = failing

    def publish(self, events):
        self.heard.extend(event.type for event in events)
        if self.failing:
            raise RuntimeError("a fault of ours")


def running(status, boot_id, job_id="a"):
    attempts = (Attempt(1, 1.0, "old/1", 2.0), Attempt(2, 3.0, boot_id))
    return JobEvent.of(a_job(id=job_id, status=status, attempts=attempts, origin="east"), 4.0)


@pytest.fixture
def machine():
    return FakeMachine()


@pytest.fixture
def near():
    return Neighbourhood("west")


def test_before_it_is_joined_nothing_happens(near, machine):
    near.heard((running(JobStatus.CANCELING, "west/1"),))
    near.missed(1, 5)
    near.waiting()
    near.lease_lost("a", 1)
    near.join(Concerned(machine))
    assert machine.stopped == []


def test_a_cancellation_committed_elsewhere_stops_only_what_runs_here(near, machine):
    near.join(Concerned(machine))
    near.heard((running(JobStatus.RUNNING, "west/1"), running(JobStatus.CANCELING, "east/1", "b")))
    assert machine.stopped == []
    near.heard((running(JobStatus.CANCELING, "west/1"),))
    assert machine.stopped == [("a", 2)]


def test_all_hearers_hear_also_when_one_fails(near, machine, caplog):
    first, second = FakeHearer(failing=True), FakeHearer()
    near.join(Concerned(machine, (first, second)))
    with caplog.at_level(logging.WARNING, "expeditor.runtime"):
        near.heard((running(JobStatus.CANCELING, "west/1"),))
    assert first.heard == second.heard == ["job.canceling"]
    assert machine.stopped == [("a", 2)]
    assert "fault of ours" in caplog.text


def test_what_was_missed_what_waits_and_what_is_lost_is_told(near, machine):
    told = []
    near.join(
        Concerned(
            machine,
            missed=(lambda after: told.append(f"missed after {after}"),),
            wake=lambda: told.append("wake"),
            lost=(lambda job_id, attempt: told.append((job_id, attempt)),),
        )
    )
    near.missed(3, 9)
    near.waiting()
    near.lease_lost("a", 2)
    assert told == ["missed after 3", "wake", ("a", 2)]
    assert machine.stopped == [("a", 2)]
