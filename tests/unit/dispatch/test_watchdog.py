"""The watchdog: silence is measured right, a silent run is stopped, a stuck one is told of, and the exit comes after the store."""

from __future__ import annotations

import pytest

from expeditor.dispatch.runs import RunTable
from expeditor.dispatch.stall import Patience, RunSigns, Step, look_interval_s, next_step
from expeditor.dispatch.verdict import RunReport, judge
from expeditor.dispatch.watchdog import Watchdog
from expeditor.jobs.causes import CauseTable
from expeditor.jobs.model import Cause, JobStatus
from tests.support.clocks import HandMonotonic
from tests.unit.dispatch.made import FakeInterrupter, FakeObserver

PATIENCE = Patience(stall_timeout_s=100.0, kill_grace_s=10.0)


@pytest.mark.parametrize(
    ("silent_s", "stopped_for_s", "patience", "step"),
    [
        (99.9, None, PATIENCE, Step.NOTHING),
        (100.0, None, PATIENCE, Step.STOP),
        (1e9, None, Patience(0.0, 10.0), Step.NOTHING),
        (0.0, 9.9, PATIENCE, Step.NOTHING),
        (0.0, 10.0, PATIENCE, Step.GIVE_UP),
        (500.0, 0.0, Patience(100.0, 0.0), Step.GIVE_UP),
    ],
)
def test_the_rule(silent_s, stopped_for_s, patience, step):
    assert next_step(RunSigns("a", silent_s, stopped_for_s), patience) is step


@pytest.mark.parametrize(
    ("patience", "interval_s"),
    [(Patience(1800, 60), 5.0), (Patience(20, 60), 2.0), (Patience(0.1, 0.1), 0.1), (Patience(0, 0), 5.0)],
)
def test_how_often_it_looks(patience, interval_s):
    assert look_interval_s(patience) == interval_s


class FakeExit:
    """Notes what is asked of it, and lives on."""

    def __init__(self, order: list[str]) -> None:
        self.order = order

    def close(self) -> None:
        self.order.append("closed")

    def end(self, code: int) -> None:
        self.order.append(f"exit {code}")


class FakeDispatcher:
    """Settles when it is told that it can."""

    def __init__(self, order: list[str]) -> None:
        self.order = order
        self.store_is_there = True

    def abandon(self, run: RunSigns) -> bool:
        self.order.append(f"abandoned {run.job_id}" if self.store_is_there else "the store is away")
        return self.store_is_there


class Machine:
    """A watchdog with its surroundings in reach."""

    def __init__(self, *, exit_on_stall: bool = False) -> None:
        self.monotonic = HandMonotonic()
        self.interrupter = FakeInterrupter()
        self.order: list[str] = []
        self.waiting: set[str] = set()
        self.worker: bool | None = None
        self.runs = RunTable(interrupter=self.interrupter, observer=FakeObserver(), monotonic=self.monotonic)
        self.dispatcher = FakeDispatcher(self.order)
        self.watchdog = Watchdog(
            runs=self.runs,
            dispatcher=self.dispatcher,
            patience=Patience(100.0, 10.0, exit_on_stall),
            waits=lambda: self.waiting,
            worker_alive=lambda: self.worker,
            exit_=FakeExit(self.order),
        )
        self.runs.begin("a", {"5": "Sampler"}, 1.0, attempt=1)

    def at(self, now_s, event=None, **fields):
        self.monotonic.now_s = now_s
        if event is not None:
            self.runs.signal(event, {"prompt_id": "a", **fields})
        self.watchdog.look()
        return self.interrupter.asked


@pytest.fixture
def machine():
    return Machine()


def test_every_sign_of_life_starts_the_silence_anew(machine):
    signs = [
        ("execution_start", {}),
        ("executing", {"node": "5"}),
        ("progress", {"value": 1, "max": 2}),
        ("progress_state", {"nodes": {}}),
        ("executed", {"node": "5"}),
    ]
    for number, (event, fields) in enumerate(signs, 1):
        assert machine.at(99.0 * number, event, **fields) == []
    machine.runs.signal("preview", {})
    assert machine.at(99.0 * 6) == []
    assert machine.at(99.0 * 5 + 100.0) == ["a"]


def test_a_job_that_waits_for_a_person_is_never_stopped(machine):
    machine.waiting.add("a")
    assert machine.at(10_000.0) == []
    machine.waiting.clear()
    assert machine.at(10_099.0) == []
    assert machine.at(10_100.0) == ["a"]


def test_another_jobs_wait_is_no_excuse(machine):
    machine.waiting.add("b")
    assert machine.at(100.0) == ["a"]


def test_a_run_that_is_stopped_for_its_silence_ends_as_stalled(machine, caplog):
    machine.at(1.0, "executing", node="5")
    machine.at(101.0)
    assert "at node 5 (Sampler)" in caplog.text
    facts = machine.runs.end("a", 5.0)
    fields = {"prompt_id": "a", "node_id": "5", "node_type": "Sampler"}
    ending = judge(RunReport(False, [("execution_interrupted", fields)], {}), facts, CauseTable())
    assert (ending.status, ending.cause) == (JobStatus.FAILED, Cause.STALLED)
    assert ending.error is not None
    assert (ending.error.node_id, ending.error.class_type) == ("5", "Sampler")
    assert "at node 5 (Sampler)" in ending.error.message


@pytest.mark.parametrize(
    ("messages", "status"),
    [([("execution_success", {})], JobStatus.SUCCEEDED), ([("execution_error", {})], JobStatus.FAILED)],
)
def test_a_run_that_ended_by_itself_after_all_is_judged_by_that(machine, messages, status):
    machine.at(100.0)
    ending = judge(RunReport(status is JobStatus.SUCCEEDED, messages, {}), machine.runs.end("a", 5.0), CauseTable())
    assert ending.status is status
    assert ending.cause is not Cause.STALLED


def test_a_run_that_goes_on_is_told_once_and_shown_until_it_ends(machine, caplog):
    machine.at(100.0)
    machine.at(109.0, "progress", value=1, max=2)
    assert machine.watchdog.stuck() is None
    machine.at(110.0)
    machine.at(111.0)
    assert "job a does not stop" in str(machine.watchdog.stuck())
    assert [record.event for record in caplog.records].count("run.stuck") == 1
    assert machine.order == [], "the process stays unless it was told otherwise"
    machine.runs.end("a", 5.0)
    machine.at(112.0)
    assert machine.watchdog.stuck() is None


def test_the_exit_comes_after_the_end_of_the_run_is_stored():
    machine = Machine(exit_on_stall=True)
    machine.dispatcher.store_is_there = False
    machine.at(100.0)
    machine.at(110.0)
    assert machine.order == ["closed", "the store is away"]
    machine.dispatcher.store_is_there = True
    machine.at(111.0)
    assert machine.order[2:] == ["closed", "abandoned a", "exit 75"]


@pytest.mark.parametrize(("exit_on_stall", "order"), [(True, ["exit 76"]), (False, [])])
def test_a_worker_thread_that_died(exit_on_stall, order):
    machine = Machine(exit_on_stall=exit_on_stall)
    machine.at(1.0)
    machine.worker = True
    machine.at(2.0)
    assert machine.order == []
    machine.worker = False
    machine.at(3.0)
    assert machine.order == order


def test_a_run_that_is_not_watched_has_no_signs(machine):
    machine.runs.end("a", 5.0)
    machine.runs.stall("a")
    machine.runs.alive("a")
    assert machine.at(1_000.0) == []
