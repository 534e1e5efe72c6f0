"""Tries again, over the real memory store: at once, later, for the last time; cancels in between; a store that is away or late."""

from __future__ import annotations

import logging

import pytest

from expeditor.dispatch.retrying import RetryPolicy
from expeditor.dispatch.stall import RunSigns
from expeditor.jobs.errors import Internal, StoreUnavailable
from expeditor.jobs.model import Cause, JobError, JobStatus
from expeditor.jobs.settled import Settled
from tests.conformance.harness import MemoryStorage, done, ending, enqueue
from tests.support.waiting import wait_until
from tests.unit.dispatch.made import Bench

SUCCESS = [("execution_start", {}), ("execution_success", {})]
AWAY = StoreUnavailable("The disk is full.")


def raised(exception_type, text="it broke", node_id="7"):
    fields = {"exception_type": exception_type, "exception_message": text, "node_id": node_id, "node_type": "Any"}
    return [("execution_start", {}), ("execution_error", fields)]


OOM = raised("torch.OutOfMemoryError")
UPSTREAM = raised("requests.exceptions.ConnectionError", "refused")
INTERRUPTED = [("execution_start", {}), ("execution_interrupted", {"node_id": "7"})]


class RetryBench(Bench):
    """A bench with words for what the host does."""

    def run(self, messages, job_id="a"):
        """What follows a run that ended with these messages; as ``host`` does it, but for the second execution."""
        succeeded = messages is SUCCESS
        if not succeeded and self.dispatcher.again_now(job_id, succeeded, messages, {}):
            return "at once"
        return self.dispatcher.finish(job_id, succeeded, messages, {})

    def attempts(self, job_id="a"):
        return [(attempt.number, attempt.outcome, attempt.cause) for attempt in self.job(job_id).attempts]


@pytest.fixture
def bench():
    storage = MemoryStorage()
    yield RetryBench(storage.start(), storage.clock)
    storage.stop()


@pytest.fixture
def claimed(bench):
    enqueue(bench.real, "a")
    bench.dispatcher.claim()
    return bench


FAILED, SUCCEEDED = JobStatus.FAILED, JobStatus.SUCCEEDED


def test_out_of_memory_runs_again_at_once_and_succeeds(claimed):
    claimed.runs.signal("executing", {"prompt_id": "a", "node": "7"})
    claimed.pass_s(3.0)
    assert claimed.run(OOM) == "at once"
    assert claimed.job("a").status is JobStatus.RUNNING
    assert claimed.attempts() == [(1, FAILED, Cause.OUT_OF_MEMORY), (2, None, None)]
    first = claimed.job("a").attempts[0]
    assert (first.last_node_id, first.message) == ("7", "it broke")
    assert claimed.observer.nodes == [("unknown", 3.0)]
    assert claimed.runs.progress("a").current_node is None, "the next attempt starts afresh"
    assert claimed.runs.running_for_s("a") == 0.0
    assert claimed.run(SUCCESS) is Settled.ENDED
    assert claimed.attempts() == [(1, FAILED, Cause.OUT_OF_MEMORY), (2, SUCCEEDED, None)]
    assert (claimed.job("a").status, claimed.job("a").cause) == (SUCCEEDED, None)
    assert claimed.front.asked == ["claim", "rerun", "finish"]


def test_out_of_memory_twice_in_a_row_is_the_end(claimed):
    assert [claimed.run(OOM), claimed.run(OOM)] == ["at once", Settled.ENDED]
    assert claimed.attempts() == [(1, FAILED, Cause.OUT_OF_MEMORY), (2, FAILED, Cause.OUT_OF_MEMORY)]
    assert (claimed.job("a").status, claimed.job("a").cause) == (FAILED, Cause.OUT_OF_MEMORY)


def test_an_upstream_that_is_away_is_tried_again_later_up_to_three_times(claimed):
    assert claimed.run(UPSTREAM) is Settled.AGAIN
    job = claimed.job("a")
    assert (job.status, job.not_before_s) == (JobStatus.QUEUED, claimed.clock.now_s + 1.0)
    assert claimed.dispatcher.claim() is None, "it is not due"
    claimed.pass_s(1.0)
    assert claimed.dispatcher.claim().attempt == 2
    assert claimed.run(UPSTREAM) is Settled.AGAIN
    claimed.pass_s(2.0)
    assert claimed.dispatcher.claim().attempt == 3
    assert claimed.run(UPSTREAM) is Settled.ENDED
    job = claimed.job("a")
    assert (job.status, job.cause, job.error.message) == (FAILED, Cause.UPSTREAM_UNAVAILABLE, "refused")
    assert [attempt.cause for attempt in job.attempts] == [Cause.UPSTREAM_UNAVAILABLE] * 3
    assert claimed.dispatcher.settled() == []


def test_a_job_may_bring_its_own_number_of_tries(bench):
    enqueue(bench.real, "a", max_attempts=1)
    bench.dispatcher.claim()
    assert bench.run(UPSTREAM) is Settled.ENDED


@pytest.mark.parametrize(
    ("messages", "status", "cause"),
    [
        (raised("ValueError"), FAILED, Cause.NODE_ERROR),
        (raised("TypeError"), FAILED, Cause.NODE_ERROR),
        (
            raised("FileNotFoundError", "Model in folder 'vae' with filename 'x' not found."),
            FAILED,
            Cause.MODEL_MISSING,
        ),
        (INTERRUPTED, JobStatus.CANCELED, Cause.INTERRUPTED),
        (SUCCESS, SUCCEEDED, None),
    ],
)
def test_what_is_never_tried_again(claimed, messages, status, cause):
    assert claimed.run(messages) is Settled.ENDED
    assert (claimed.job("a").status, claimed.job("a").cause) == (status, cause)
    assert claimed.front.asked == ["claim", "finish"]


def test_what_could_not_start_is_never_tried_again(bench):
    bench.policy = RetryPolicy(levels={Cause.MODEL_MISSING: RetryPolicy().level(Cause.UPSTREAM_UNAVAILABLE)})
    bench.dispatcher = bench.make(10.0)
    enqueue(bench.real, "a")
    bench.dispatcher.claim()
    assert bench.dispatcher.refuse("a", JobError("MODEL_MISSING", "it is gone")) is Settled.ENDED
    assert (bench.job("a").status, bench.job("a").cause) == (FAILED, Cause.MODEL_MISSING)


def test_without_the_hook_that_runs_it_at_once_it_is_put_back(claimed):
    assert claimed.dispatcher.finish("a", False, OOM, {}) is Settled.AGAIN
    assert claimed.dispatcher.claim().attempt == 2
    assert claimed.dispatcher.finish("a", False, OOM, {}) is Settled.ENDED


def test_a_job_that_runs_nowhere_here_does_not_run_again(bench):
    assert bench.dispatcher.again_now("stranger", False, OOM, {}) is False
    assert bench.front.asked == []


# --- cancels ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("messages", [OOM, UPSTREAM])
def test_a_cancel_during_a_run_that_fails_ends_the_job(claimed, messages):
    canceled = done(claimed.real.cancel("a"))
    claimed.runs.interrupt("a", canceled.attempt)
    assert claimed.run(messages) is Settled.ENDED
    assert (claimed.job("a").status, len(claimed.attempts())) == (JobStatus.CANCELED, 1)
    assert claimed.front.asked == ["claim", "finish"], "no other attempt is asked for"


@pytest.mark.parametrize("messages", [OOM, UPSTREAM])
def test_a_cancel_that_only_the_store_knows_of_ends_the_job(claimed, messages):
    done(claimed.real.cancel("a"))  # committed; the wish to interrupt is still on its way
    assert claimed.run(messages) is Settled.ENDED
    assert (claimed.job("a").status, claimed.job("a").cause) == (JobStatus.CANCELED, Cause.CANCELED)
    assert claimed.dispatcher.settled() == []
    claimed.runs.interrupt("a", 1)
    assert claimed.dispatcher.claim() is None


def test_a_cancel_of_the_second_attempt_interrupts_it(claimed):
    assert claimed.run(OOM) == "at once"
    canceled = done(claimed.real.cancel("a"))
    assert (canceled.status, canceled.attempt) == (JobStatus.CANCELING, 2)
    claimed.runs.interrupt("a", canceled.attempt)
    claimed.runs.signal("execution_start", {"prompt_id": "a"})
    assert claimed.interrupter.asked == ["a", "a"]
    assert claimed.run(INTERRUPTED) is Settled.ENDED
    assert claimed.job("a").status is JobStatus.CANCELED


def test_a_cancel_while_the_job_waits_for_its_next_try_ends_it(claimed):
    claimed.run(UPSTREAM)
    assert done(claimed.real.cancel("a")).status is JobStatus.CANCELED
    claimed.pass_s(60.0)
    assert claimed.dispatcher.claim() is None


# --- a store that is away or late ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("messages", [OOM, UPSTREAM])
def test_a_job_to_put_back_is_put_back_once_the_store_is_there(claimed, messages, caplog):
    enqueue(claimed.real, "b", priority=1)
    claimed.front.away = AWAY
    with caplog.at_level(logging.WARNING, "expeditor.dispatch"):
        assert claimed.run(messages) is Settled.AGAIN
    assert "The disk is full." in caplog.text
    assert claimed.dispatcher.owes()
    with pytest.raises(StoreUnavailable):
        claimed.dispatcher.claim()
    claimed.front.away = None
    claimed.pass_s(60.0)
    claimed.front.asked.clear()
    assert claimed.dispatcher.claim().attempt == 2
    assert claimed.front.asked == ["retry", "claim"]
    assert claimed.dispatcher.settled() == []


def test_a_job_put_back_while_the_store_was_away_and_then_cancelled_is_told_as_settled(claimed):
    claimed.front.away = AWAY
    assert claimed.run(UPSTREAM) is Settled.AGAIN
    done(claimed.real.cancel("a"))
    claimed.front.away = None
    assert claimed.dispatcher.claim() is None
    assert (claimed.job("a").status, claimed.dispatcher.settled()) == (JobStatus.CANCELED, ["a"])


def late(bench, messages):
    """A run ends while the store takes every verb and answers none in time."""
    enqueue(bench.real, "a")
    dispatcher = bench.impatient()
    bench.front.late = True
    with pytest.raises(StoreUnavailable):
        dispatcher.claim()
    bench.front.deliver()
    dispatcher.claim()
    bench.front.late = True
    bench.front.asked.clear()
    return bench.run(messages)


def test_a_return_into_the_queue_that_is_answered_late_is_not_asked_twice(bench):
    assert late(bench, UPSTREAM) is Settled.AGAIN
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            bench.dispatcher.claim()
    assert bench.front.asked == ["retry"]
    bench.front.deliver()
    bench.pass_s(60.0)
    assert claimed_in_time(bench).attempt == 2
    assert bench.front.asked == ["retry", "claim"]


def claimed_in_time(bench):
    """Claim until the store answers, as the worker thread does."""

    def ask():
        try:
            return [bench.dispatcher.claim()]
        except StoreUnavailable:
            return []

    return wait_until(ask)[0]


def test_a_second_attempt_that_was_opened_late_counts_for_nothing_and_the_job_is_put_back(bench):
    assert late(bench, OOM) is Settled.AGAIN
    assert bench.front.asked == ["rerun"]
    assert [number for number, _, _ in bench.attempts()] == [1, 2], "the store has opened it"
    bench.front.deliver()
    assert claimed_in_time(bench).attempt == 3
    assert bench.front.asked == ["rerun", "retry", "claim"]
    assert bench.attempts() == [(1, FAILED, Cause.OUT_OF_MEMORY), (2, FAILED, Cause.INTERRUPTED), (3, None, None)]
    never_ran = bench.job("a").attempts[1]
    assert never_ran.finished_at_s == never_ran.started_at_s
    assert bench.job("a").tries == 2
    assert bench.dispatcher.settled() == []


def test_a_second_attempt_that_is_cancelled_before_it_is_known_here_ends_the_job(bench):
    assert late(bench, OOM) is Settled.AGAIN
    bench.front.deliver()
    assert done(bench.real.cancel("a")).status is JobStatus.CANCELING
    bench.runs.interrupt("a", 2)
    assert claimed_in_time(bench) is None
    assert (bench.job("a").status, bench.dispatcher.settled()) == (JobStatus.CANCELED, ["a"])


def test_a_rerun_that_was_refused_late_leaves_the_attempt_to_be_put_back(bench):
    enqueue(bench.real, "a")
    bench.dispatcher.claim()
    bench.front.away = AWAY
    assert bench.dispatcher.again_now("a", False, OOM, {}) is False
    assert bench.dispatcher.again_now("a", False, OOM, {}) is False, "asked once"
    assert bench.front.asked == ["claim", "rerun"]
    bench.front.away = None
    assert bench.dispatcher.finish("a", False, OOM, {}) is Settled.AGAIN
    assert bench.attempts() == [(1, FAILED, Cause.OUT_OF_MEMORY)]
    assert bench.dispatcher.claim().attempt == 2


def test_a_run_that_is_abandoned_is_put_back_before_the_process_may_end(claimed):
    signs = RunSigns("a", silent_s=9.0, stopped_for_s=1.0, node_id="7", class_type="Any")
    claimed.front.away = AWAY
    assert claimed.dispatcher.abandon(signs) is False, "its end is not stored"
    assert claimed.attempts() == [(1, None, None)]
    claimed.front.away = None
    assert claimed.dispatcher.abandon(signs) is True
    assert claimed.attempts() == [(1, FAILED, Cause.STALLED)]
    assert (claimed.job("a").status, claimed.job("a").attempts[0].last_node_id) == (JobStatus.QUEUED, "7")
    claimed.pass_s(2.0)
    assert claimed.dispatcher.claim().attempt == 2


def test_a_late_result_is_refused_and_told_as_settled(claimed, caplog):
    done(claimed.real.finish("a", 1, ending(FAILED, cause=Cause.STALLED)))
    with caplog.at_level(logging.WARNING, "expeditor.dispatch"):
        assert claimed.run(UPSTREAM) is Settled.ENDED
    assert "A late result was refused" in caplog.text
    claimed.front.away = AWAY
    enqueue(claimed.real, "b")
    claimed.front.away = None
    claimed.dispatcher.claim()
    claimed.front.away = AWAY
    assert claimed.run(OOM, "b") is Settled.AGAIN
    done(claimed.real.finish("b", 1, ending(FAILED, cause=Cause.STALLED)))
    claimed.front.away = None
    assert claimed.dispatcher.claim() is None
    assert claimed.dispatcher.settled() == ["b"]


def test_a_return_that_can_never_be_stored_does_not_block_the_queue(claimed, caplog):
    enqueue(claimed.real, "b")
    claimed.front.away = Internal("a fault of ours")
    with caplog.at_level(logging.ERROR, "expeditor.dispatch"):
        assert claimed.run(UPSTREAM) is Settled.ENDED
    assert "cannot be stored" in caplog.text
    claimed.front.away = None
    assert claimed.dispatcher.claim().job.id == "b"


def test_an_output_of_the_attempt_before_is_not_taken_for_an_older_job_s(claimed):
    for node in ("1", "7"):
        claimed.runs.signal("executing", {"prompt_id": "a", "node": node})
    assert claimed.run(OOM) == "at once"
    claimed.runs.signal("execution_cached", {"prompt_id": "a", "nodes": ["1"]})
    claimed.runs.signal("executing", {"prompt_id": "a", "node": "7"})
    outputs = {node: {"images": [{"filename": f"{node}.png"}]} for node in ("1", "7", "9")}
    claimed.dispatcher.finish("a", True, SUCCESS, outputs)
    assert {output.node_id: output.cached for output in claimed.job("a").outputs} == {
        "1": False,
        "7": False,
        "9": True,
    }
