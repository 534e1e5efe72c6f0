"""The legal moves of a job, each yielding its event; and the compound moves: settle, withdraw, recover."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expeditor.jobs import transitions
from expeditor.jobs.errors import Conflict
from expeditor.jobs.events import EVENT_TYPES
from expeditor.jobs.model import Cause, Ending, Job, JobError, JobStatus, Output, Principal, Source

S = JobStatus
# DESIGN 2, written out once more by hand: a change of the table must be meant.
MOVES = {
    (S.QUEUED, S.RUNNING), (S.QUEUED, S.CANCELING), (S.QUEUED, S.EXPIRED), (S.QUEUED, S.FAILED),
    (S.RUNNING, S.SUCCEEDED), (S.RUNNING, S.FAILED), (S.RUNNING, S.WAITING), (S.RUNNING, S.CANCELING),
    (S.RUNNING, S.RETRYING),
    (S.WAITING, S.RUNNING), (S.WAITING, S.CANCELING), (S.WAITING, S.RETRYING), (S.WAITING, S.FAILED),
    (S.RETRYING, S.QUEUED), (S.RETRYING, S.FAILED), (S.RETRYING, S.CANCELING),
    (S.CANCELING, S.CANCELED),
}  # fmt: skip
ENDS = {S.SUCCEEDED, S.FAILED, S.CANCELED, S.EXPIRED}
IMAGE = Output("9", "a.png", "", "output", "image", "image/png")
ERROR = JobError("NODE_ERROR", "it broke")


def job_in(status: JobStatus) -> Job:
    """A job that has got to `status`; past the queue, with one attempt that is open unless it ended."""
    queued = Job("a", Principal("ada"), 3, Source.SUBMIT, S.QUEUED, 1.0, 1.0, 0.0, 1, 0.0, 0.0, 5.0)
    if status is S.QUEUED:
        return queued
    started, _ = transitions.start(queued, 2.0, "boot")
    return replace(started, status=status)


def ending(status: JobStatus, **fields: object) -> Ending:
    return Ending(status, 9.0, 3.0, **fields)


@pytest.mark.parametrize("before", JobStatus)
@pytest.mark.parametrize("to", JobStatus)
def test_a_move_is_made_if_and_only_if_it_is_legal(before, to):
    job = job_in(before)
    if (before, to) not in MOVES:
        with pytest.raises(Conflict, match=f"{before.value}.*{to.value}"):
            transitions.advance(job, to, 5.0)
        return
    moved, event = transitions.advance(job, to, 5.0, cause=Cause.STALLED)
    assert (moved.status, event.job, event.at_s, event.cause) == (to, moved, 5.0, Cause.STALLED)
    assert event.type in EVENT_TYPES
    assert (moved.finished_at_s, moved.cause) == ((5.0, Cause.STALLED) if to in ENDS else (None, None))


@pytest.mark.parametrize("status", JobStatus)
def test_ends_are_final(status):
    assert transitions.is_terminal(status) == (status in ENDS)
    assert not transitions.LEGAL[status] if status in ENDS else transitions.LEGAL[status]


def test_the_first_start_is_kept_and_attempts_are_counted():
    job = job_in(S.RUNNING)
    again, _ = transitions.start(replace(job, status=S.QUEUED), 7.0, "boot-2")
    assert (again.started_at_s, again.attempt) == (2.0, 2)
    assert [(attempt.number, attempt.boot_id) for attempt in again.attempts] == [(1, "boot"), (2, "boot-2")]


@pytest.mark.parametrize("status", [S.SUCCEEDED, S.FAILED])
def test_settling_ends_the_job_and_its_attempt(status):
    end = ending(status, cause=Cause.NODE_ERROR, error=ERROR, outputs=(IMAGE,), cached=True, last_node_id="9")
    job, events = transitions.settle(job_in(S.RUNNING), end)
    assert (job.status, job.finished_at_s, job.outputs, job.cached, job.error) == (status, 9.0, (IMAGE,), True, ERROR)
    (attempt,) = job.attempts
    assert (attempt.outcome, attempt.cause, attempt.finished_at_s, attempt.last_node_id) == (
        status, Cause.NODE_ERROR, 9.0, "9",
    )  # fmt: skip
    assert [event.type for event in events] == ["job.output", f"job.{status.value}"]
    assert events[0].produced == IMAGE


@pytest.mark.parametrize("status", [S.SUCCEEDED, S.FAILED, S.CANCELED])
def test_a_job_that_is_canceling_ends_canceled_however_its_run_ended(status):
    job, events = transitions.settle(job_in(S.CANCELING), ending(status, error=ERROR, outputs=(IMAGE,)))
    assert (job.status, job.cause, job.error, job.outputs) == (S.CANCELED, Cause.CANCELED, None, (IMAGE,))
    assert [event.type for event in events] == ["job.output", "job.canceled"]


def test_an_interruption_from_elsewhere_cancels_by_way_of_canceling():
    job, events = transitions.settle(job_in(S.RUNNING), ending(S.CANCELED, cause=Cause.INTERRUPTED))
    assert (job.status, job.cause) == (S.CANCELED, Cause.INTERRUPTED)
    assert [event.type for event in events] == ["job.canceling", "job.canceled"]


@pytest.mark.parametrize("status", sorted({S.QUEUED, S.SUCCEEDED, S.FAILED, S.CANCELED, S.EXPIRED}))
def test_what_does_not_run_cannot_succeed(status):
    with pytest.raises(Conflict):
        transitions.settle(job_in(status), ending(S.SUCCEEDED))


@pytest.mark.parametrize(
    ("status", "to", "told"),
    [
        (S.QUEUED, S.CANCELED, ["job.canceling", "job.canceled"]),
        (S.RETRYING, S.CANCELED, ["job.canceling", "job.canceled"]),
        (S.RUNNING, S.CANCELING, ["job.canceling"]),
        (S.WAITING, S.CANCELED, ["job.canceling", "job.canceled"]),
        (S.CANCELING, S.CANCELING, []),
        *[(end, end, []) for end in sorted(ENDS)],
    ],
)
def test_withdrawing_is_idempotent(status, to, told):
    job, events = transitions.withdraw(job_in(status), 5.0)
    assert (job.status, [event.type for event in events]) == (to, told)
    assert transitions.withdraw(job, 6.0) == (job, ())


@pytest.mark.parametrize("status", [S.RUNNING, S.WAITING])
def test_a_job_whose_process_died_is_queued_again_until_it_is_poison(status):
    job = job_in(status)
    for deaths in (1, 2):
        job, events = transitions.recover(job, 5.0 + deaths, 3)
        assert (job.status, job.queued_at_s, job.attempts[-1].cause) == (S.QUEUED, 5.0 + deaths, Cause.PROCESS_DIED)
        assert [event.type for event in events] == ["job.retrying", "job.queued"]
        job, _ = transitions.start(job, 6.0, "boot-n")
    job, events = transitions.recover(job, 9.0, 3)
    assert (job.status, job.cause, [event.type for event in events]) == (S.FAILED, Cause.POISON, ["job.failed"])
    assert job.error is not None
    assert "3 times" in job.error.message


def test_only_deaths_make_poison():
    job = job_in(S.RUNNING)
    for _ in range(5):
        job = transitions.close_attempt(job, 3.0, S.FAILED, Cause.OUT_OF_MEMORY, None)
        job, _ = transitions.start(replace(job, status=S.QUEUED), 4.0, "boot")
    assert transitions.recover(job, 5.0, 3)[0].status is S.QUEUED


def test_a_canceling_job_whose_process_died_is_canceled():
    job, events = transitions.recover(job_in(S.CANCELING), 5.0, 3)
    assert (job.status, job.cause, [event.type for event in events]) == (S.CANCELED, Cause.CANCELED, ["job.canceled"])


def test_a_closed_attempt_stays_as_it_is():
    job = transitions.close_attempt(job_in(S.RUNNING), 3.0, S.FAILED, Cause.STALLED, "9")
    assert transitions.close_attempt(job, 8.0, S.SUCCEEDED, None, None) == job
    assert transitions.close_attempt(job_in(S.QUEUED), 8.0, S.SUCCEEDED, None, None) == job_in(S.QUEUED)


@given(st.lists(st.sampled_from(JobStatus), max_size=30))
def test_on_any_walk_a_job_ends_at_most_once_and_finished_means_ended(walk):
    job, ends = job_in(S.QUEUED), 0
    for n, to in enumerate(walk):
        try:
            job, _ = transitions.advance(job, to, float(n))
        except Conflict:
            continue
        ends += transitions.is_terminal(to)
        assert (job.finished_at_s is not None) == transitions.is_terminal(job.status)
    assert ends <= 1
