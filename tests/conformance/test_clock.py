"""The system's clock is set by an hour, either way: with the clock that the server uses nothing changes its order, comes early or late,
or is lost. And a start at which the system's clock is an hour behind the last one's loses nothing and keeps the order."""

from __future__ import annotations

import pytest

from expeditor.dispatch.dispatcher import Dispatcher, RetryRules
from expeditor.dispatch.retrying import RetryPolicy
from expeditor.dispatch.runs import RunTable
from expeditor.jobs.causes import CauseTable
from expeditor.jobs.model import Cause, JobStatus
from expeditor.runtime.clock import SteadyClock
from tests.conformance.harness import Storage, done, ending, enqueue
from tests.unit.dispatch.made import FakeFiles, FakeInterrupter, FakeObserver

HOUR_S = 3600.0
START_S = 1_700_000_000.0
SUCCESS = [("execution_start", {}), ("execution_success", {})]


class Machine:
    """A store on a machine whose wall clock can be set, with the real dispatcher on it; `passed_s` is the true time."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.passed_s = 0.0
        self.wrong_s = 0.0
        self.told: list[tuple[float, str]] = []
        self.boot()

    def boot(self) -> None:
        self.storage.clock = SteadyClock(lambda: START_S + self.passed_s + self.wrong_s, lambda: self.passed_s)
        clock = self.storage.clock
        self.store = self.storage.start()
        runs = RunTable(interrupter=FakeInterrupter(), observer=FakeObserver(), monotonic=lambda: self.passed_s)
        self.dispatcher = Dispatcher(
            store=self.store,
            runs=runs,
            files=FakeFiles(),
            observer=FakeObserver(),
            retries=RetryRules(CauseTable(), RetryPolicy(), lambda: 0.5),
            clock=clock,
            monotonic=lambda: self.passed_s,
            deadline_s=20,
            draining=lambda: False,
        )
        self.clock = clock

    def look(self) -> None:
        """What a server does every now and then: end what expired, run what can run."""
        self.told += [(self.passed_s, f"{job.id} expired") for job in done(self.store.tick()).expired]
        while (claimed := self.dispatcher.claim()) is not None:
            self.told.append((self.passed_s, f"{claimed.job.id} ran"))
            if claimed.job.id == "fails" and claimed.attempt == 1:
                failed = ending(
                    JobStatus.FAILED, finished_at_s=self.clock(), cause=Cause.UPSTREAM_UNAVAILABLE, run_s=0.0
                )
                done(self.store.retry("fails", 1, failed, self.clock() + 55.0))
            else:
                self.dispatcher.finish(claimed.job.id, True, SUCCESS, {})

    def until(self, passed_s: float) -> None:
        while self.passed_s < passed_s:
            self.passed_s += 5.0
            self.look()


@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S])
def test_a_clock_that_is_set_changes_no_order_and_nothing_comes_early_or_late(storage, step_s):
    machine = Machine(storage)
    enqueue(machine.store, "low", 1)
    enqueue(machine.store, "fails", 3)
    enqueue(machine.store, "delayed", 9, not_before_s=START_S + 60.0)
    enqueue(machine.store, "never", 9, not_before_s=START_S + 500.0, expires_at_s=START_S + 90.0)
    machine.wrong_s = step_s
    machine.look()
    enqueue(machine.store, "late", 8, created_at_s=machine.clock(), not_before_s=machine.clock() + 70.0)
    enqueue(machine.store, "urgent", 10, created_at_s=machine.clock(), not_before_s=machine.clock() + 70.0)
    machine.until(30.0)
    machine.wrong_s = 0.0
    machine.until(120.0)
    assert machine.told == [
        (0.0, "fails ran"),
        (0.0, "low ran"),
        (55.0, "fails ran"),
        (60.0, "delayed ran"),
        (70.0, "urgent ran"),
        (70.0, "late ran"),
        (90.0, "never expired"),
    ]


def test_a_start_an_hour_behind_the_last_one_keeps_the_order_and_loses_nothing(storage):
    machine = Machine(storage)
    machine.until(50.0)
    for name, priority in (("a", 3), ("b", 8), ("c", 3), ("d", 1)):
        enqueue(machine.store, name, priority, created_at_s=machine.clock())
    enqueue(machine.store, "delayed", 3, created_at_s=machine.clock(), not_before_s=machine.clock() + 60.0)
    running = machine.dispatcher.claim()
    assert running is not None
    machine.wrong_s = -HOUR_S
    machine.boot()
    assert machine.clock() == START_S + 50.0 - HOUR_S
    found = machine.dispatcher.recover()
    assert (running.job.id, found.requeued, found.failed) == ("b", 1, 0)
    assert {job.id for job, _ in found.waiting} == {"a", "b", "c", "d", "delayed"}
    enqueue(machine.store, "new", 3, created_at_s=machine.clock())
    machine.look()
    assert [what for _, what in machine.told] == [f"{name} ran" for name in ("b", "a", "c", "new", "d")]
    # By the new clock its time is an hour further off; it is late, not lost.
    machine.until(50.0 + HOUR_S)
    assert len(machine.told) == 5
    machine.until(50.0 + HOUR_S + 60.0)
    assert machine.told[-1] == (50.0 + HOUR_S + 60.0, "delayed ran")
