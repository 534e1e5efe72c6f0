"""The picture of what runs now: progress, node times, cache counts, and cancels that cannot be lost."""

from __future__ import annotations

import math

import pytest

from expeditor.dispatch.runs import EARLY_WISHES, RunTable
from tests.support.clocks import HandMonotonic
from tests.unit.dispatch.made import FakeInterrupter, FakeObserver

CLASSES = {"1": "Loader", "2": "Sampler", "3": "Saver", "4": "Preview"}


class Table:
    """A table with its surroundings in reach."""

    def __init__(self) -> None:
        self.monotonic = HandMonotonic()
        self.interrupter = FakeInterrupter()
        self.observer = FakeObserver()
        self.runs = RunTable(interrupter=self.interrupter, observer=self.observer, monotonic=self.monotonic)

    def at(self, now_s, event=None, **fields):
        self.monotonic.now_s = now_s
        if event is not None:
            self.runs.signal(event, {"prompt_id": "a", **fields})

    def begin(self, job_id="a", estimated_s=5.0, attempt=1):
        self.runs.begin(job_id, CLASSES, estimated_s, attempt)


@pytest.fixture
def table():
    return Table()


def state(value, largest, word):
    return {"value": value, "max": largest, "state": word}


def test_nodes_are_timed_by_class_and_the_cache_is_counted(table):
    table.begin()
    table.at(0.0, "execution_start")
    table.at(0.0, "execution_cached", nodes=["1"])
    table.at(0.0, "executing", node="2")
    table.at(2.0, "executing", node="2.0.1")
    table.at(3.0, "executing", node="2")
    table.at(3.5, "executing", node="3")
    table.at(4.0)
    facts = table.runs.end("a", 99.0)
    assert table.observer.nodes == [("Sampler", 2.0), ("unknown", 1.0), ("Sampler", 0.5), ("Saver", 0.5)]
    assert table.observer.cache == [(1, 3)], "a node that goes on after its sub-graph ran is one miss"
    assert (facts.finished_at_s, facts.run_s, facts.nodes_executed, facts.last_node_id) == (99.0, 4.0, 3, "3")


def test_the_null_node_ends_the_last_one_once(table):
    table.begin()
    table.at(1.0, "executing", node="2")
    table.at(2.0, "executing", node=None)
    table.at(9.0)
    assert table.runs.end("a", 0.0).last_node_id == "2"
    assert table.observer.nodes == [("Sampler", 1.0)]


def test_a_run_that_nobody_heard_of_knows_no_count(table):
    table.begin()
    assert table.runs.end("a", 0.0).nodes_executed is None
    table.begin()
    table.at(0.0, "execution_start")
    assert table.runs.end("a", 0.0).nodes_executed == 0


def test_an_unknown_job_has_empty_facts(table):
    facts = table.runs.end("nobody", 7.0)
    assert (facts.finished_at_s, facts.run_s, facts.nodes_executed) == (7.0, 0.0, None)
    assert table.observer.cache == []


def test_progress_counts_finished_nodes_and_the_step_of_the_current_one(table):
    assert table.runs.progress("a") is None
    table.begin()
    assert table.runs.progress("a").value == 0.0
    table.at(0.0, "execution_cached", nodes=["1"])
    table.at(0.0, "executing", node="2")
    table.at(0.0, "progress_state", nodes={"2": state(5, 20, "running")})
    seen = table.runs.progress("a")
    assert (seen.value, seen.nodes_done, seen.nodes_total) == ((1 + 0.25) / 4, 1, 4)
    assert (seen.current_node, seen.current_node_class, seen.step, seen.steps) == ("2", "Sampler", 5.0, 20.0)
    table.at(0.0, "progress_state", nodes={"2": state(20, 20, "finished"), "3": state(0, 1, "pending")})
    table.at(0.0, "executing", node="3")
    seen = table.runs.progress("a")
    assert (seen.value, seen.nodes_done, seen.step) == (0.5, 2, 0.0)
    table.runs.end("a", 0.0)
    assert table.runs.progress("a") is None


@pytest.mark.parametrize("odd", [math.nan, math.inf, -5, 1e300, None, "x", [], 10**400])
def test_progress_stays_between_0_and_1_whatever_a_node_reports(table, odd):
    table.begin()
    table.at(0.0, "executing", node="2")
    for fields in (state(odd, 10, "running"), state(3, odd, "running")):
        table.at(0.0, "progress_state", nodes={"2": fields, "3": odd})
        seen = table.runs.progress("a")
        assert 0.0 <= seen.value <= 1.0
        assert math.isfinite(seen.step)
        assert math.isfinite(seen.steps)


def test_more_finished_nodes_than_the_prompt_has_are_no_more_than_all(table):
    table.begin()
    table.at(0.0, "progress_state", nodes={str(n): state(1, 1, "finished") for n in range(50)})
    assert (table.runs.progress("a").value, table.runs.progress("a").nodes_done) == (1.0, 4)


def test_signals_of_other_jobs_and_without_a_job_are_nothing(table):
    table.begin()
    for prompt_id in ("b", None, 5, []):
        table.runs.signal("executing", {"prompt_id": prompt_id, "node": "2"})
    table.runs.signal("executing", {})
    assert table.runs.progress("a").current_node is None


def test_a_cancel_is_signalled_at_once_and_again_at_every_sign_of_life(table):
    table.begin()
    table.runs.interrupt("a", 1)
    assert table.interrupter.asked == ["a"]
    table.at(0.0, "execution_start")
    table.at(0.0, "executing", node="2")
    assert table.interrupter.asked == ["a", "a", "a"]
    table.runs.end("a", 0.0)
    table.at(0.0, "executing", node="3")
    assert table.interrupter.asked == ["a", "a", "a"]


def test_a_cancel_between_the_claim_and_the_begin_is_not_lost(table):
    table.runs.interrupt("a", 1)
    table.begin("b")
    table.begin("a")
    table.runs.signal("execution_start", {"prompt_id": "b"})
    assert table.interrupter.asked == []
    table.at(0.0, "execution_start")
    assert table.interrupter.asked == ["a"]


def test_a_cancel_before_the_begin_is_for_that_attempt_only(table):
    table.runs.interrupt("a", 1)
    table.runs.interrupt("a", 1)
    table.begin()
    table.runs.end("a", 0.0)
    table.begin(attempt=2)
    table.at(0.0, "execution_start")
    assert table.interrupter.asked == []


def test_a_cancel_of_the_next_attempt_that_comes_while_the_last_one_still_runs_here(table):
    table.begin(attempt=1)
    table.runs.interrupt("a", 2)  # the store has opened attempt 2, and this thread has not heard of it yet
    table.at(0.0, "executing", node="2")
    assert table.interrupter.asked == [], "the attempt that is over is left alone"
    assert table.runs.look("a", 0.0).cancel_wanted is False
    table.runs.end("a", 0.0)
    table.begin(attempt=2)
    table.at(0.0, "execution_start")
    assert table.interrupter.asked == ["a"]
    assert table.runs.look("a", 0.0).cancel_wanted is True


def test_a_cancel_that_comes_too_late_hits_no_later_attempt(table):
    table.begin(attempt=2)
    table.runs.interrupt("a", 1)
    table.at(0.0, "execution_start")
    assert table.interrupter.asked == []
    table.runs.end("a", 0.0)
    table.begin(attempt=3)
    table.at(0.0, "execution_start")
    assert table.interrupter.asked == []


def test_a_look_at_a_run_does_not_end_it(table):
    table.begin()
    table.at(0.0, "executing", node="2")
    table.at(3.0)
    facts = table.runs.look("a", 99.0)
    assert (facts.finished_at_s, facts.run_s, facts.nodes_executed, facts.last_node_id) == (99.0, 3.0, 1, "2")
    assert (table.observer.nodes, table.observer.cache) == ([], [])
    assert table.runs.end("a", 99.0) == facts
    assert (table.observer.nodes, table.observer.cache) == ([("Sampler", 3.0)], [(0, 1)])


def test_early_wishes_are_bounded(table):
    for number in range(EARLY_WISHES + 1):
        table.runs.interrupt(f"job-{number}", 1)
    for job_id in ("job-0", "job-1"):
        table.begin(job_id)
        table.runs.signal("execution_start", {"prompt_id": job_id})
    assert table.interrupter.asked == ["job-1"]


def test_time_worked_off_is_never_more_than_the_estimate(table):
    assert table.runs.worked_off_s() == 0.0
    assert table.runs.running_for_s("a") is None
    table.begin("a", estimated_s=5.0)
    table.at(3.0)
    table.begin("b", estimated_s=10.0)
    table.at(8.0)
    assert table.runs.running_for_s("a") == 8.0
    assert table.runs.worked_off_s() == 5.0 + 5.0
