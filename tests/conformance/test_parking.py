"""Parked jobs in every store: off the machine without an end, back by an answer or a deadline, in the same attempt."""

from __future__ import annotations

from dataclasses import replace

import pytest

from expeditor.jobs.errors import Conflict, Gone, InputInvalid, LimitExceeded, NotFound
from expeditor.jobs.model import Cause, JobError, JobStatus
from expeditor.jobs.waits import Ask, AskKind, JobWait
from tests.conformance.harness import claim, done, ending, enqueue

STOPPED = ending(JobStatus.CANCELED, cause=Cause.INTERRUPTED)
ASK = Ask(AskKind.TEXT, "Which é \ud800?", "edit me", 4, 1, 3)


def question(storage, token="t1", node_id="7", for_s=60.0, **fields) -> JobWait:
    now_s = storage.clock.now_s
    return JobWait(token, node_id, ASK, now_s, now_s + for_s, **{"max_bytes": 8, **fields})


def parked(store, storage, *waits, job_id="a"):
    """Enqueue, claim and park a job."""
    enqueue(store, job_id)
    claimed = claim(store)
    assert claimed.job.id == job_id
    storage.clock.now_s += 3
    return done(store.park(job_id, claimed.attempt, waits or (question(storage),), STOPPED))


def test_a_parked_job_leaves_the_machine_with_its_attempt_open(store, storage):
    enqueue(store, "a")
    before = claim(store).job
    job = done(store.park("a", 1, (question(storage),), STOPPED))
    assert (job.status, job.attempt, job.attempts[0].outcome) == (JobStatus.WAITING, 1, None)
    assert (job.score, job.finished_at_s, job.cause, job.tries) == (before.score, None, None, 1)
    assert (job.parked.waits, job.not_before_s) == ((question(storage),), storage.clock.now_s + 60)
    assert job == done(store.get("a")) == storage.ears.events[-1].job
    assert storage.ears.told("a") == ["job.queued", "job.started", "job.waiting"]
    assert done(store.claim()) is None
    assert done(store.place("a")) is None
    enqueue(store, "b")
    assert claim(store).job.id == "b"


def test_nobody_can_end_a_parked_job_by_the_run_that_it_left(store, storage):
    parked(store, storage)
    for late in (
        store.finish("a", 1, ending()),
        store.retry("a", 1, ending(), None),
        store.rerun("a", 1, ending()),
        store.park("a", 1, (), STOPPED),
        store.give_back("a", 1),
    ):
        with pytest.raises(Conflict):
            done(late)
    assert done(store.get("a")).status is JobStatus.WAITING
    with pytest.raises(Conflict, match="waits for a person"):
        done(store.hold("a", True))


def test_an_answer_brings_it_back_in_its_old_place_and_attempt(store, storage):
    parked(store, storage)
    enqueue(store, "b")
    storage.clock.now_s += 10
    answered = done(store.answer("a", "t1", "yes é"))
    assert (answered.status, answered.parked.waits[0].answer) == (JobStatus.WAITING, "yes é")
    assert answered == done(store.get("a"))
    assert storage.ears.told("a")[-1] == "job.waiting"
    assert done(store.place("a")).position == 1
    claimed = claim(store)
    assert (claimed.job.id, claimed.attempt, claimed.job.status) == ("a", 1, JobStatus.RUNNING)
    assert claimed.job.not_before_s is None
    assert claimed.job.parked.waits == answered.parked.waits
    assert claimed.job.parked_s(storage.clock.now_s) == claimed.job.attempts[0].parked_s == pytest.approx(10)
    assert storage.ears.told("a")[2:] == ["job.waiting", "job.started"]
    ended = done(store.finish("a", 1, ending()))
    assert (ended.status, ended.parked, ended.attempt) == (JobStatus.SUCCEEDED, None, 1)
    assert ended.parked_s(storage.clock.now_s) == pytest.approx(10)
    assert ended == done(store.get("a"))


def test_the_first_answer_stays(store, storage):
    parked(store, storage, question(storage), question(storage, "t2", "8"))
    done(store.answer("a", "t1", "yes"))
    with pytest.raises(Gone):
        done(store.answer("a", "t1", "no"))
    with pytest.raises(NotFound):
        done(store.answer("a", "t9", "no"))
    with pytest.raises(NotFound):
        done(store.answer("nobody", "t1", "no"))
    with pytest.raises(LimitExceeded):
        done(store.answer("a", "t2", "more than eight"))
    job = done(store.get("a"))
    assert [wait.answer for wait in job.parked.waits] == ["yes", None]
    claim(store)
    with pytest.raises(Gone):
        done(store.answer("a", "t2", "late"))


def test_the_first_deadline_brings_it_back_and_ends_its_question(store, storage):
    parked(store, storage, question(storage, for_s=30), question(storage, "t2", "8", for_s=50))
    done(store.tick())
    storage.clock.now_s += 31
    with pytest.raises(Gone):
        done(store.answer("a", "t1", "late"))
    assert done(store.tick()).became_due
    assert not done(store.tick()).became_due
    assert claim(store).job.id == "a"


def test_it_parks_again_and_its_times_add_up(store, storage):
    for _ in range(3):
        if done(store.get("a")) is None:
            parked(store, storage)
        else:
            done(store.park("a", 1, (question(storage),), STOPPED))
        storage.clock.now_s += 5
        done(store.answer("a", "t1", "on"))
        claim(store)
        storage.clock.now_s += 1
    assert done(store.get("a")).parked_s(storage.clock.now_s) == pytest.approx(15)


def test_a_cancel_ends_it_at_once(store, storage):
    parked(store, storage)
    storage.clock.now_s += 4
    job = done(store.cancel("a"))
    assert (job.status, job.cause, job.parked) == (JobStatus.CANCELED, Cause.CANCELED, None)
    (attempt,) = job.attempts
    assert (attempt.outcome, attempt.cause) == (JobStatus.CANCELED, Cause.CANCELED)
    assert (attempt.finished_at_s, attempt.parked_s) == (storage.clock.now_s, pytest.approx(4))
    assert storage.ears.told("a")[-2:] == ["job.canceling", "job.canceled"]
    assert [one.job.id for one in done(store.finished(9))] == ["a"]
    assert done(store.claim()) is None
    with pytest.raises(NotFound):
        done(store.answer("a", "t1", "late"))


def test_a_cancel_that_came_first_ends_it(store, storage):
    enqueue(store, "a")
    claim(store)
    done(store.cancel("a"))
    job = done(store.park("a", 1, (question(storage),), STOPPED))
    assert (job.status, job.cause, job.parked) == (JobStatus.CANCELED, Cause.CANCELED, None)


def test_it_survives_the_process_and_its_answer_too(store, storage):
    parked(store, storage, question(storage), question(storage, "t2", "8"), job_id="a")
    before = done(store.get("a"))
    storage.clock.now_s += 7
    again = storage.start()
    found = done(again.recover())
    assert [job for job, _ in found.waiting] == [before]
    assert (found.requeued, found.failed) == (0, 0)
    assert done(again.claim()) is None
    done(again.answer("a", "t1", "yes"))
    last = storage.start()
    done(last.recover())
    claimed = claim(last)
    assert (claimed.attempt, claimed.job.deaths, claimed.job.attempts[0].boot_id) == (1, 0, "boot-3")
    assert [wait.answer for wait in claimed.job.parked.waits] == ["yes", None]
    assert claimed.job.parked_s(storage.clock.now_s) == pytest.approx(7)


def test_one_that_went_on_and_died_is_a_death_and_keeps_its_answers(store, storage):
    parked(store, storage)
    done(store.answer("a", "t1", "yes"))
    claim(store)
    again = storage.start()
    assert done(again.recover()).requeued == 1
    claimed = claim(again)
    assert (claimed.attempt, claimed.job.deaths) == (2, 1)
    assert [wait.answer for wait in claimed.job.parked.waits] == ["yes"]


def test_another_attempt_keeps_what_was_answered_and_asks_the_rest_anew(store, storage):
    parked(store, storage, question(storage), question(storage, "t2", "8"))
    done(store.answer("a", "t1", "yes"))
    done(store.retry("a", claim(store).attempt, ending(JobStatus.FAILED, cause=Cause.OUT_OF_MEMORY), None))
    claimed = claim(store)
    assert claimed.attempt == 2
    assert [(wait.token, wait.answer) for wait in claimed.job.parked.waits] == [("t1", "yes")]


def test_a_redriven_job_asks_anew(store, storage):
    parked(store, storage)
    done(store.cancel("a"))
    assert done(store.redrive("a")).parked is None
    claimed = claim(store)
    assert (claimed.attempt, claimed.job.parked) == (2, None)


def test_a_pause_keeps_it_and_a_stop_does_not_mark_it(store, storage):
    parked(store, storage)
    done(store.answer("a", "t1", "yes"))
    done(store.pause(True))
    assert done(store.claim()) is None
    assert done(store.stopping()) == 0
    done(store.pause(False))
    assert claim(store).job.attempts[0].cause is None


def test_it_can_be_given_up(store, storage):
    parked(store, storage)
    lost = replace(STOPPED, status=JobStatus.FAILED, cause=Cause.SECRET_LOST, error=JobError("SECRET_LOST", "gone"))
    job = done(store.fail_queued("a", lost))
    assert (job.status, job.cause, job.attempts[0].outcome) == (JobStatus.FAILED, Cause.SECRET_LOST, JobStatus.FAILED)
    assert job == done(store.get("a"))


def test_it_counts_as_waiting_and_never_expires(store, storage):
    enqueue(store, "a", expires_at_s=storage.clock.now_s + 5)
    done(store.park("a", claim(store).attempt, (question(storage),), STOPPED))
    storage.clock.now_s += 10
    assert done(store.tick()).expired == ()
    summary = done(store.summary())
    assert [(row.status, row.jobs) for row in summary.rows] == [(JobStatus.WAITING, 1)]
    assert (summary.held, summary.delayed, summary.oldest_queued_at_s) == (0, 0, None)


def test_what_it_ran_is_learned_without_what_it_was_parked(store, storage):
    enqueue(store, "a", signature="s")
    claim(store)
    storage.clock.now_s += 3
    done(store.park("a", 1, (question(storage),), STOPPED))
    storage.clock.now_s += 40
    done(store.answer("a", "t1", "yes"))
    claim(store)
    storage.clock.now_s += 2
    done(store.finish("a", 1, replace(ending(run_s=2.0), finished_at_s=storage.clock.now_s)))
    assert done(store.estimate("s")) == pytest.approx(5)


def test_what_is_no_answer_changes_nothing(store, storage):
    pick = replace(question(storage), ask=Ask(AskKind.PICK, pictures=2))
    before = parked(store, storage, pick)
    with pytest.raises(InputInvalid):
        done(store.answer("a", "t1", "5"))
    assert done(store.get("a")) == before
    assert done(store.answer("a", "t1", "1")).parked.waits[0].answer == "1"
