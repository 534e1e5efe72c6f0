"""Claim and settle over the real memory store: order of commits, a store that is away or late, late results, gaps."""

from __future__ import annotations

import json
import logging

import pytest

from expeditor.dispatch.dispatcher import node_classes
from expeditor.jobs.errors import Internal, StoreUnavailable
from expeditor.jobs.model import Cause, JobError, JobStatus
from expeditor.jobs.settled import Settled
from expeditor.jobs.transitions import LastSeen
from expeditor.store.base import RecoveryMode, RecoveryRule
from tests.conformance.harness import MemoryStorage, claim, done, ending, enqueue
from tests.unit.dispatch.made import Bench

SUCCESS = [("execution_start", {}), ("execution_success", {})]
IMAGES = {"9": {"images": [{"filename": "a.png"}, {"filename": "gone.png"}]}}


@pytest.fixture
def bench():
    storage = MemoryStorage()
    yield Bench(storage.start(), storage.clock)
    storage.stop()


def test_nothing_waits(bench):
    assert bench.dispatcher.claim() is None


def test_a_claimed_job_runs_and_succeeds(bench):
    enqueue(bench.real, "a")
    claimed = bench.dispatcher.claim()
    assert (claimed.job.id, claimed.attempt) == ("a", 1)
    assert bench.runs.progress("a").nodes_total == 1
    assert bench.dispatcher.finish("a", True, SUCCESS, IMAGES) is Settled.ENDED
    assert bench.dispatcher.settled() == []
    job = bench.job("a")
    assert (job.status, job.cause, job.attempts[0].outcome) == (JobStatus.SUCCEEDED, None, JobStatus.SUCCEEDED)
    assert [(output.name, output.size_bytes) for output in job.outputs] == [("a.png", 123), ("gone.png", None)]
    assert bench.runs.progress("a") is None


def test_a_job_that_cannot_be_started_fails_with_the_reason(bench):
    enqueue(bench.real, "a")
    bench.dispatcher.claim()
    bench.dispatcher.refuse("a", JobError("NODE_ERROR", "it is nested too deeply"))
    job = bench.job("a")
    assert (job.status, job.cause, job.error.message) == (JobStatus.FAILED, Cause.NODE_ERROR, "it is nested too deeply")


def test_a_job_cancelled_between_claim_and_start_ends_canceled(bench):
    enqueue(bench.real, "a")
    bench.dispatcher.claim()
    assert done(bench.real.cancel("a")).status is JobStatus.CANCELING
    bench.dispatcher.withdraw("a")
    assert (bench.job("a").status, bench.job("a").cause) == (JobStatus.CANCELED, Cause.CANCELED)


def test_a_cancel_while_it_runs_wins_over_success(bench):
    enqueue(bench.real, "a")
    bench.dispatcher.claim()
    done(bench.real.cancel("a"))
    bench.dispatcher.finish("a", True, SUCCESS, IMAGES)
    job = bench.job("a")
    assert (job.status, job.cause, len(job.outputs)) == (JobStatus.CANCELED, Cause.CANCELED, 2)


def test_a_cancel_that_comes_before_the_claim_is_known_here_interrupts_the_run(bench):
    enqueue(bench.real, "a")
    bench.front.late = True
    with pytest.raises(StoreUnavailable):
        bench.impatient().claim()
    assert done(bench.real.cancel("a")).status is JobStatus.CANCELING
    bench.runs.interrupt("a", 1)
    bench.front.deliver()
    assert bench.dispatcher.claim().job.id == "a"
    bench.runs.signal("execution_start", {"prompt_id": "a"})
    assert bench.interrupter.asked == ["a"]


def test_a_claim_that_is_granted_late_is_not_lost_and_not_asked_twice(bench):
    enqueue(bench.real, "a")
    enqueue(bench.real, "b")
    bench.front.late = True
    dispatcher = bench.impatient()
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            dispatcher.claim()
    assert bench.front.asked == ["claim"]
    assert dispatcher.owes()
    bench.front.deliver()
    assert dispatcher.claim().job.id == "a"
    assert not dispatcher.owes()
    assert bench.job("b").status is JobStatus.QUEUED


def test_a_claim_that_failed_is_asked_again(bench):
    enqueue(bench.real, "a")
    bench.front.away = StoreUnavailable("The disk is full.")
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="The disk is full"):
            bench.dispatcher.claim()
    bench.front.away = None
    assert bench.dispatcher.claim().job.id == "a"


def test_the_worker_thread_only_ever_meets_store_unavailable(bench):
    bench.front.away = Internal("a fault of ours")
    with pytest.raises(StoreUnavailable, match="a fault of ours"):
        bench.dispatcher.claim()


def test_an_ending_that_cannot_be_stored_is_kept_and_stored_before_the_next_claim(bench, caplog):
    enqueue(bench.real, "a")
    enqueue(bench.real, "b")
    bench.dispatcher.claim()
    bench.front.away = StoreUnavailable("The disk is full.")
    with caplog.at_level(logging.WARNING, "expeditor.dispatch"):
        assert bench.dispatcher.finish("a", True, SUCCESS, IMAGES) is Settled.OWED
    assert "The disk is full." in caplog.text
    assert bench.dispatcher.settled() == []
    assert bench.job("a").status is JobStatus.RUNNING
    assert bench.dispatcher.owes()
    with pytest.raises(StoreUnavailable):
        bench.dispatcher.claim()
    assert bench.job("b").status is JobStatus.QUEUED, "nothing runs on top of an unsettled job"
    bench.front.away = None
    bench.front.asked.clear()
    assert bench.dispatcher.claim().job.id == "b"
    assert bench.front.asked == ["finish", "claim"]
    assert (bench.job("a").status, len(bench.job("a").outputs)) == (JobStatus.SUCCEEDED, 2)
    assert bench.dispatcher.settled() == ["a"]
    assert bench.dispatcher.settled() == [], "each is told once"


def test_an_ending_that_is_stored_late_is_not_asked_twice(bench, caplog):
    enqueue(bench.real, "a")
    dispatcher = bench.impatient()
    bench.front.late = True
    with pytest.raises(StoreUnavailable):
        dispatcher.claim()
    bench.front.deliver()
    dispatcher.claim()
    bench.front.late = True
    bench.front.asked.clear()
    dispatcher.finish("a", True, SUCCESS, {})
    with pytest.raises(StoreUnavailable):
        dispatcher.claim()
    bench.front.deliver()
    caplog.clear()
    bench.front.late = True
    with pytest.raises(StoreUnavailable):
        dispatcher.claim()
    assert bench.front.asked == ["finish", "claim"]
    assert bench.job("a").status is JobStatus.SUCCEEDED
    assert "late result" not in caplog.text


def test_a_result_of_an_attempt_that_is_over_is_refused(bench, caplog):
    enqueue(bench.real, "a")
    enqueue(bench.real, "b")
    claimed = bench.dispatcher.claim()
    done(bench.real.finish("a", claimed.attempt, ending(JobStatus.FAILED, cause=Cause.STALLED)))
    with caplog.at_level(logging.WARNING, "expeditor.dispatch"):
        bench.dispatcher.finish("a", True, SUCCESS, {})
    assert "A late result was refused" in caplog.text
    assert (bench.job("a").status, bench.job("a").cause) == (JobStatus.FAILED, Cause.STALLED)
    assert bench.dispatcher.claim().job.id == "b", "the refused result does not block the queue"


def test_an_ending_that_can_never_be_stored_does_not_block_the_queue(bench, caplog):
    enqueue(bench.real, "a")
    enqueue(bench.real, "b")
    bench.dispatcher.claim()
    bench.front.away = Internal("a fault of ours")
    with caplog.at_level(logging.ERROR, "expeditor.dispatch"):
        bench.dispatcher.finish("a", True, SUCCESS, {})
    assert "cannot be stored" in caplog.text
    bench.front.away = None
    assert bench.dispatcher.claim().job.id == "b"


def test_a_run_that_was_not_claimed_here_is_passed_over(bench, caplog):
    with caplog.at_level(logging.WARNING, "expeditor.dispatch"):
        bench.dispatcher.finish("stranger", True, SUCCESS, {})
    assert "not claimed here" in caplog.text
    assert bench.front.asked == []


def test_a_finish_swallows_what_other_packs_put_into_messages(bench):
    enqueue(bench.real, "a")
    bench.dispatcher.claim()
    bench.dispatcher.finish("a", True, [None, ("a", "b", "c"), *SUCCESS], {"9": None})
    assert bench.job("a").status is JobStatus.SUCCEEDED


class FailingText(str):
    """A node's own text type that fails when it is looked at."""

    __slots__ = ()

    def rfind(self, *_args):
        raise OSError("a fault of a node's own class")


def test_outputs_that_cannot_be_read_fail_the_job_and_not_the_worker_thread(bench, caplog):
    enqueue(bench.real, "a")
    bench.dispatcher.claim()
    bench.dispatcher.finish("a", True, SUCCESS, {"9": {"images": [{"filename": FailingText("a.png")}]}})
    job = bench.job("a")
    assert (job.status, job.cause, job.attempts[0].outcome) == (JobStatus.FAILED, Cause.NODE_ERROR, JobStatus.FAILED)
    assert "cannot be read" in caplog.text


def test_the_gap_is_told_only_when_the_next_job_was_waiting(bench):
    enqueue(bench.real, "a")
    enqueue(bench.real, "b")
    bench.dispatcher.claim()
    assert bench.observer.gaps == [], "there was no job before the first"
    bench.pass_s(5.0)
    bench.dispatcher.finish("a", True, SUCCESS, {})
    bench.pass_s(0.25)
    bench.dispatcher.claim()
    assert bench.observer.gaps == [0.25]
    bench.dispatcher.finish("b", True, SUCCESS, {})
    bench.pass_s(60.0)
    enqueue(bench.real, "late")
    bench.dispatcher.claim()
    assert bench.observer.gaps == [0.25], "a machine without work has no gap"


def test_recovery_fails_jobs_whose_key_is_lost_and_lists_the_others():
    storage = MemoryStorage()
    store = storage.start()
    enqueue(store, "runs")
    claim(store)
    enqueue(store, "keyed", needs_secret=True)
    enqueue(store, "waits")
    bench = Bench(storage.start(), storage.clock)
    recovered = bench.dispatcher.recover()
    assert [job.id for job, _ in recovered.waiting] == ["runs", "waits"]
    assert recovered.requeued == 1
    keyed = bench.job("keyed")
    assert (keyed.status, keyed.cause, keyed.error.code) == (JobStatus.FAILED, Cause.SECRET_LOST, "SECRET_LOST")
    assert "Submit it again" in keyed.error.message
    storage.stop()


def test_recovery_goes_by_the_rule_and_takes_what_was_seen():
    storage = MemoryStorage()
    store = storage.start()
    enqueue(store, "ran")
    claim(store)
    bench = Bench(storage.start(), storage.clock)
    seen = {("ran", 1): LastSeen(node_id="7", class_type="KSampler")}
    recovered = bench.dispatcher.recover(RecoveryRule(RecoveryMode.RESUME_EXCEPT_RUNNING, seen))
    assert (recovered.failed, recovered.requeued) == (1, 0)
    ran = bench.job("ran")
    assert (ran.status, ran.cause, ran.error.node_id) == (JobStatus.FAILED, Cause.PROCESS_DIED, "7")
    storage.stop()


def test_a_claim_says_what_is_resident(bench):
    enqueue(bench.real, "a")
    assert bench.dispatcher.claim().job.id == "a"
    assert bench.front.given["claim"] == (frozenset({"loaded.safetensors"}), frozenset())


def test_a_recovery_that_is_not_answered_is_store_unavailable(bench):
    bench.front.late = True
    with pytest.raises(StoreUnavailable, match="did not answer within 0 s"):
        bench.impatient().recover()


@pytest.mark.parametrize(
    ("prompt", "classes"),
    [
        ({"1": {"class_type": "A"}, "2": {"class_type": 5}, "3": {}, "4": None}, {"1": "A", "2": "5", "3": "None"}),
        (None, {}),
        ([], {}),
    ],
)
def test_classes_of_a_prompt(prompt, classes):
    assert node_classes(json.dumps(prompt)) == classes


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000])
def test_a_stored_prompt_that_cannot_be_read_has_no_classes(text):
    assert node_classes(text) == {}


def test_while_draining_nothing_is_claimed_and_what_runs_is_settled(bench):
    enqueue(bench.real, "a")
    enqueue(bench.real, "b")
    bench.dispatcher.claim()
    bench.draining = True
    bench.dispatcher.finish("a", True, SUCCESS, IMAGES)
    assert bench.job("a").status is JobStatus.SUCCEEDED
    assert bench.dispatcher.claim() is None
    assert bench.job("b").status is JobStatus.QUEUED
    bench.draining = False
    assert bench.dispatcher.claim().job.id == "b"
