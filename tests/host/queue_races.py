"""Cases of the swapped queue in which something happens to a job in the moment between a commit and what follows it.

Run by `test_queue_inprocess.py`, as `queue_cases.py` is.
"""

from __future__ import annotations

import threading

from tests.host.queue_bench import STATUS, SUCCESS, Bench  # first: it makes ComfyUI importable

# isort: split
import pytest

from expeditor.host.observer import observe
from expeditor.jobs.model import Cause, JobError, JobStatus
from tests.conformance.harness import MemoryStorage, done
from tests.support.waiting import wait_until

CLIENT = {"client_id": "ada"}


class FakeHastyDispatch:
    """The real dispatcher; something is done just after a verb of it has committed, before the worker thread goes on."""

    def __init__(self, bench, verb, then) -> None:
        self._real, self._verb, self._then = bench.dispatcher, verb, then

    def __getattr__(self, name):
        real = getattr(self._real, name)
        if name != self._verb:
            return real

        def hastily(*args, **kwargs):
            result = real(*args, **kwargs)
            then, self._then = self._then, None
            if then is not None:
                then()
            return result

        return hastily


@pytest.fixture
def bench():
    storage = MemoryStorage()
    made = Bench(storage)
    observe(made.server, made.runs, made.endings)
    yield made
    storage.stop()


def failed(error):
    fields = {"prompt_id": "a", "exception_type": error, "exception_message": "x", "node_id": "1"}
    return STATUS("error", False, [("execution_error", fields)])


def run(bench, status):
    """One job as ComfyUI's worker thread runs it, with what it says on the socket."""
    item, counter = bench.queue.get(timeout=0.01)
    for event, fields in status.messages:
        bench.server.send_sync(event, {**fields, "prompt_id": item[1]}, "ada")
    bench.queue.task_done(counter, {"outputs": {}, "meta": {}}, status=status)
    bench.server.send_sync("executing", {"node": None, "prompt_id": item[1]}, "ada")
    bench.wiring.told.between_runs()
    return item[1]


def ends(bench):
    return [event for event, job_id in bench.server.sent if job_id == "a" and event != "execution_start"]


def test_a_job_redriven_at_the_moment_of_its_end_is_listed_and_runs_again(bench):
    bench.put("a", extra=CLIENT)
    bench.wiring.dispatch = FakeHastyDispatch(bench, "finish", lambda: done(bench.store.redrive("a")))
    run(bench, failed("ValueError"))
    assert ends(bench) == ["execution_error", "executing"]
    assert bench.listed() == ["a"], "nobody would ever claim it while nothing else waits"
    assert bench.queue.get_history("a") == {}, "its end was taken back"
    assert run(bench, SUCCESS) == "a"
    assert bench.status("a") is JobStatus.SUCCEEDED
    assert ends(bench)[2:] == ["execution_success", "executing"]


def test_a_job_cancelled_at_the_moment_it_is_put_back_is_told_so(bench):
    bench.put("a", extra=CLIENT)
    bench.wiring.dispatch = FakeHastyDispatch(bench, "finish", lambda: done(bench.store.cancel("a")))
    run(bench, failed("ConnectionError"))
    assert bench.status("a") is JobStatus.CANCELED
    assert ends(bench) == ["execution_interrupted", "executing"]
    assert bench.listed() == []
    assert bench.wiring.left == set()
    assert bench.queue.get_history("a")["a"]["status"]["messages"][0][0] == "execution_interrupted"


def test_a_job_cancelled_and_redriven_while_it_is_put_back_is_listed_once(bench):
    def cancel_and_redrive():
        done(bench.store.cancel("a"))
        done(bench.store.redrive("a"))

    bench.put("a", extra=CLIENT)
    bench.wiring.dispatch = FakeHastyDispatch(bench, "finish", cancel_and_redrive)
    run(bench, failed("ConnectionError"))
    wait_until(lambda: bench.listed() == ["a"])
    assert run(bench, SUCCESS) == "a"
    assert ends(bench) == ["execution_interrupted", "executing", "execution_success", "executing"]


@pytest.mark.parametrize("status", [SUCCESS, failed("ValueError")], ids=["good", "bad"])
def test_a_run_that_ends_before_its_cancellation_takes_effect_is_told_as_what_is_stored(bench, status):
    bench.put("a", extra=CLIENT)
    bench.wiring.dispatch = FakeHastyDispatch(bench, "claim", lambda: done(bench.store.cancel("a")))
    run(bench, status)
    assert bench.status("a") is JobStatus.CANCELED
    assert ends(bench) == ["execution_interrupted", "executing"]
    shown = bench.queue.get_history("a")["a"]["status"]
    assert (shown["status_str"], shown["completed"]) == ("error", False)
    words = [event for event, _ in shown["messages"]]
    assert words[-1] == "execution_interrupted"
    assert not {"execution_success", "execution_error"} & set(words)
    assert bench.wiring.canceled == {}


def test_who_is_told_of_an_end_without_a_run_finds_it_in_the_history(bench):
    there = []
    bench.server.send_sync = lambda event, data, sid=None: there.append(data["prompt_id"] in bench.queue.history)
    bench.put("a", extra=CLIENT)
    bench.wiring.from_store.add("a")
    bench.wiring.proof = lambda item: JobError(Cause.NODE_ERROR.value, "Its node is gone.")
    assert bench.queue.get(timeout=0.01) is None
    wait_until(lambda: len(there) == 2)
    assert there == [True, True]
    assert bench.status("a") is JobStatus.FAILED


def test_a_job_committed_together_with_its_cancellation_is_not_listed(bench):
    """The store's thread is held up, so that both verbs stand in its next batch."""
    hold, held = threading.Event(), threading.Event()

    def hear(events):
        if events[0].job.id == "first":
            held.set()
            hold.wait(10)
        bench.hear(events)

    bench.storage.ears.on_publish = hear
    bench.put("first", commit=False)
    assert held.wait(10)
    bench.put("a", extra=CLIENT, commit=False)
    asked = bench.store.cancel("a")
    hold.set()
    assert done(asked).status is JobStatus.CANCELED
    wait_until(lambda: not bench.wiring.uncommitted)
    assert bench.listed() == ["first"]
    assert bench.wiring.left == set()
    wait_until(lambda: ends(bench) == ["execution_interrupted", "executing"])


def test_what_is_owed_is_settled_after_claims_are_closed_and_nothing_new_is_claimed(bench):
    """As when a process is asked to stop while its disk is full: an attempt opened then would look like a death."""
    bench.put("a", extra=CLIENT)
    bench.put("b")
    item, counter = bench.queue.get(timeout=0.01)
    bench.storage.stop()
    bench.queue.task_done(counter, {"outputs": {}, "meta": {}}, status=SUCCESS)
    bench.queue.close_claims()
    bench.store.open()
    assert bench.queue.get(timeout=0.01) is None
    assert (item[1], bench.status("a"), bench.status("b")) == ("a", JobStatus.SUCCEEDED, JobStatus.QUEUED)
    bench.queue.open_claims()
    assert run(bench, SUCCESS) == "b"


def test_thousands_of_jobs_leave_the_list_in_few_passes(bench):
    count = 3_000
    for number in range(count):
        bench.put(f"job {number}", commit=False)
    wait_until(lambda: not bench.wiring.uncommitted)
    looked = []

    class Counting(list):
        def __iter__(self):
            looked.append(len(self))
            return super().__iter__()

    bench.queue.queue = Counting(bench.queue.queue)
    told = bench.server.told
    for asked in [bench.store.cancel(f"job {number}") for number in range(count)]:
        done(asked)
    wait_until(lambda: not bench.listed())
    assert len(looked) < count / 10
    assert bench.server.told - told < count / 10
    assert len(bench.queue.history) == count
