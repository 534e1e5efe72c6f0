"""Failed runs in every store: put back, run again at once, re-driven by hand; what counts as a try and as a death."""

from __future__ import annotations

import pytest

from expeditor.jobs.errors import Conflict, NotFound
from expeditor.jobs.estimate import DEFAULT_ESTIMATE_S
from expeditor.jobs.model import Cause, Ending, JobError, JobStatus
from expeditor.jobs.ordering import SUSPECT_SCORE
from expeditor.jobs.transitions import LastSeen
from expeditor.store.base import MAX_DEATHS, RecoveryMode, RecoveryRule, Reprioritise
from tests.conformance.harness import IMAGE, Storage, claim, claim_all, done, ending, enqueue

ERROR = JobError("UPSTREAM_UNAVAILABLE", "no é \ud800", "9", "Caller", "ConnectionError")


def failure(cause: Cause = Cause.UPSTREAM_UNAVAILABLE, **fields: object) -> Ending:
    return ending(JobStatus.FAILED, **{"cause": cause, "error": ERROR, "last_node_id": "9", **fields})


def die(storage: Storage, times: int, rule: RecoveryRule = RecoveryRule()) -> None:  # noqa: B008 - a frozen value
    """Claim, and end the process, so many times."""
    for _ in range(times):
        assert storage.store is not None
        claim(storage.store)
        done(storage.start().recover(rule))


def test_a_retried_job_keeps_its_place_and_tells_no_end(store, storage):
    for name in "ab":
        enqueue(store, name)
    claimed = claim(store)
    job = done(store.retry("a", claimed.attempt, failure(), None))
    assert (job.status, job.score, job.not_before_s) == (JobStatus.QUEUED, claimed.job.score, None)
    (attempt,) = job.attempts
    assert (attempt.outcome, attempt.cause, attempt.last_node_id) == (JobStatus.FAILED, Cause.UPSTREAM_UNAVAILABLE, "9")
    assert attempt.message == ERROR.message
    assert (job.cause, job.error, job.finished_at_s, job.tries) == (None, None, None, 1)
    assert job == done(store.get("a")) == storage.ears.events[-1].job
    assert storage.ears.told("a") == ["job.queued", "job.started", "job.retrying", "job.queued"]
    again = claim(store)
    assert (again.job.id, again.attempt) == ("a", 2)
    assert again.job.attempts[0] == attempt


def test_a_retried_job_waits_for_its_time_and_nobody_waits_for_it(store, storage):
    enqueue(store, "a")
    enqueue(store, "b")
    done(store.retry("a", claim(store).attempt, failure(), storage.clock.now_s + 10))
    assert done(store.place("a")) is None
    assert claim(store).job.id == "b"
    assert done(store.claim()) is None
    storage.clock.now_s += 10
    assert done(store.tick()).became_due
    assert claim(store).job.id == "a"


def test_a_rerun_closes_one_attempt_and_opens_the_next_in_one_commit(store, storage):
    enqueue(store, "a")
    claimed = claim(store)
    commits = len(storage.ears.commits)
    storage.clock.now_s += 5
    job = done(store.rerun("a", claimed.attempt, failure(Cause.OUT_OF_MEMORY)))
    assert len(storage.ears.commits) == commits + 1
    assert (job.status, job.attempt, job.tries) == (JobStatus.RUNNING, 2, 2)
    assert [(each.outcome, each.cause) for each in job.attempts] == [
        (JobStatus.FAILED, Cause.OUT_OF_MEMORY),
        (None, None),
    ]
    assert (job.attempts[1].started_at_s, job.attempts[1].boot_id) == (storage.clock.now_s, "boot-1")
    assert job == done(store.get("a"))
    assert storage.ears.told("a")[2:] == ["job.retrying", "job.queued", "job.started"]
    with pytest.raises(Conflict):
        done(store.finish("a", 1, ending()))
    ended = done(store.finish("a", 2, ending()))
    assert ended.attempts[0] == job.attempts[0]


@pytest.mark.parametrize("verb", ["retry", "rerun"])
def test_both_are_fenced_by_attempt(store, verb):
    def again(job_id: str, attempt: int):
        end = failure()
        return store.retry(job_id, attempt, end, None) if verb == "retry" else store.rerun(job_id, attempt, end)

    with pytest.raises(NotFound):
        done(again("x", 1))
    enqueue(store, "a")
    with pytest.raises(Conflict):
        done(again("a", 1))  # never claimed
    claim(store)
    for attempt in (0, 2):
        with pytest.raises(Conflict):
            done(again("a", attempt))
    done(again("a", 1))
    before = done(store.get("a"))
    with pytest.raises(Conflict):
        done(again("a", 1))
    assert done(store.get("a")) == before


@pytest.mark.parametrize("verb", ["retry", "rerun"])
def test_a_wanted_cancel_wins_over_another_run(store, verb):
    enqueue(store, "a")
    claim(store)
    done(store.cancel("a"))
    end = failure(history_json='{"outputs": {}}')
    job = done(store.retry("a", 1, end, None) if verb == "retry" else store.rerun("a", 1, end))
    assert (job.status, job.cause) == (JobStatus.CANCELED, Cause.CANCELED)
    (finished,) = done(store.finished(5))
    assert (finished.job, finished.history_json) == (job, end.history_json)


def test_attempts_and_back_off_survive_a_restart(storage):
    store = storage.start()
    enqueue(store, "a", max_attempts=7)
    done(store.rerun("a", claim(store).attempt, failure(Cause.OUT_OF_MEMORY)))
    job = done(store.retry("a", 2, failure(), storage.clock.now_s + 60))
    store = storage.start()
    assert done(store.get("a")) == job
    assert (job.max_attempts, job.tries) == (7, 2)
    assert done(store.claim()) is None
    storage.clock.now_s += 60
    assert claim(store).attempt == 3


@pytest.mark.parametrize("end", ["failed", "canceled", "expired"])
def test_a_redriven_job_stands_as_a_new_arrival_with_a_clean_slate(storage, end):
    store = storage.start()
    enqueue(store, "a", 3, expires_at_s=storage.clock.now_s + 5 if end == "expired" else None)
    if end == "failed":
        done(store.finish("a", claim(store).attempt, failure(outputs=(IMAGE,), history_json="{}")))
    elif end == "canceled":
        done(store.cancel("a"))
    else:
        storage.clock.now_s += 5
        assert [job.id for job in done(store.tick()).expired] == ["a"]
    for name in ("b", "c"):
        enqueue(store, name)
    job = done(store.redrive("a"))
    assert (job.status, job.queued_at_s) == (JobStatus.QUEUED, storage.clock.now_s)
    assert (job.cause, job.error, job.outputs, job.finished_at_s, job.expires_at_s) == (None, None, (), None, None)
    assert (job.forgiven, job.tries, job.estimated_s) == (job.attempt, 0, DEFAULT_ESTIMATE_S)
    assert storage.ears.told("a")[-1] == "job.queued"
    assert done(store.finished(5)) == ()
    store = storage.start()
    assert done(store.get("a")) == job
    assert claim_all(store) == ["b", "c", "a"]


def test_only_an_end_that_is_no_success_is_taken_back(store):
    with pytest.raises(NotFound):
        done(store.redrive("x"))
    enqueue(store, "a")
    for _ in range(2):
        with pytest.raises(Conflict):
            done(store.redrive("a"))
        claimed = done(store.claim())
        if claimed is not None:
            done(store.finish("a", claimed.attempt, ending()))


def test_a_planned_stop_is_no_death(storage):
    enqueue(storage.start(), "a")
    for boot in range(1, 6):
        assert storage.store is not None
        claimed = claim(storage.store)
        assert claimed.attempt == boot
        assert done(storage.store.stopping()) == 1
        assert done(storage.store.stopping()) == 1
        found = done(storage.start().recover())
        assert (found.requeued, found.failed) == (1, 0)
    job = done(storage.store.get("a"))
    assert (job.deaths, job.tries, job.suspect) == (0, 0, False)
    assert {attempt.cause for attempt in job.attempts} == {Cause.INTERRUPTED}


def test_an_attempt_that_was_stopped_ended_when_it_was_and_says_why(storage):
    enqueue(storage.start(), "a")
    claimed = claim(storage.store)
    done(storage.store.stopping())
    stopped_at_s = storage.clock.now_s
    storage.clock.now_s += 3600
    done(storage.start().recover())
    (attempt,) = done(storage.store.get("a")).attempts
    assert (attempt.number, attempt.finished_at_s) == (claimed.attempt, stopped_at_s)
    assert attempt.message


def test_a_marked_run_may_still_end_by_itself(store):
    enqueue(store, "a")
    claimed = claim(store)
    assert done(store.stopping()) == 1
    job = done(store.finish("a", claimed.attempt, ending()))
    assert (job.status, job.attempts[0].cause) == (JobStatus.SUCCEEDED, None)
    assert done(store.stopping()) == 0


def test_a_suspect_stands_behind_all_others_wherever_it_is_put(storage):
    enqueue(storage.start(), "a", 10)
    die(storage, 2)
    store = storage.store
    assert store is not None
    job = done(store.get("a"))
    assert (job.suspect, job.score) == (True, SUSPECT_SCORE)
    assert storage.ears.events[-1].job == job
    enqueue(store, "b", 1)
    for change in (Reprioritise(priority=9), Reprioritise(front=True)):
        assert done(store.reprioritise("a", change)).score == SUSPECT_SCORE
    storage.policy = type(storage.policy)(strict=True)  # all scores are computed anew
    store = storage.start()
    enqueue(store, "f", front=True)
    assert [claim(store).job.id for _ in range(3)] == ["f", "b", "a"]
    retried = done(store.retry("a", 3, failure(), None))
    assert retried.score == SUSPECT_SCORE


def test_a_redriven_suspect_is_none_any_more(storage):
    enqueue(storage.start(), "a")
    die(storage, MAX_DEATHS)
    store = storage.store
    assert store is not None
    assert done(store.get("a")).cause is Cause.POISON
    job = done(store.redrive("a"))
    assert (job.suspect, job.deaths) == (False, 0)
    assert job.score < SUSPECT_SCORE
    die(storage, 1)
    assert done(storage.store.get("a")).deaths == 1


def test_poison_tells_what_was_seen_last(storage):
    enqueue(storage.start(), "a")
    die(storage, MAX_DEATHS, RecoveryRule(seen={("a", MAX_DEATHS): LastSeen("7", "Crasher", "the last line")}))
    assert storage.store is not None
    job = done(storage.store.get("a"))
    assert job.error is not None
    assert (job.error.node_id, job.error.class_type, job.error.traceback) == ("7", "Crasher", "the last line")
    assert [attempt.last_node_id for attempt in job.attempts] == [None, None, "7"]


def test_without_rerun_what_ran_fails_and_what_waited_waits(storage):
    store = storage.start()
    for name in "abc":
        enqueue(store, name)
    claim(store)
    claim(store)
    done(store.cancel("b"))
    store = storage.start()
    found = done(store.recover(RecoveryRule(RecoveryMode.RESUME_EXCEPT_RUNNING)))
    assert [job.id for job, _ in found.waiting] == ["c"]
    assert (found.requeued, found.failed) == (0, 1)
    job = done(store.get("a"))
    assert (job.status, job.cause) == (JobStatus.FAILED, Cause.PROCESS_DIED)
    assert done(store.get("b")).status is JobStatus.CANCELED
    assert done(store.redrive("a")).status is JobStatus.QUEUED


def test_recovery_may_pause_the_queue(storage):
    enqueue(storage.start(), "a")
    store = storage.start()
    done(store.recover(RecoveryRule(RecoveryMode.PAUSED)))
    assert done(store.summary()).paused
    assert done(store.claim()) is None
    store = storage.start()
    done(store.recover())
    assert done(store.summary()).paused, "a pause is not lifted by a start"
    done(store.pause(False))
    assert claim(store).job.id == "a"
