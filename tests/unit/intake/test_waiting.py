"""Why a job waits: the reasons in their order, and sentences that name nobody else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from expeditor.intake.waiting import Standing, WaitReason, explain
from expeditor.jobs.model import Attempt, Cause, JobStatus
from expeditor.store.records import Ahead, EstimateBasis
from tests.support.jobs import a_job

NOW_S = 1_700_000_000.0
JOB = a_job(created_at_s=NOW_S, queued_at_s=NOW_S)
IN_LINE = Standing(NOW_S, position=4, eta_s=31.6, ahead=Ahead({3: 1, 10: 2}, 1, 1, 26.6), basis=EstimateBasis.DEFAULT)
DEAD = (Attempt(1, 0.0, "b", 1.0, JobStatus.FAILED, Cause.PROCESS_DIED),) * 2
LATER = NOW_S + 60


def test_who_stands_before_it():
    waiting = explain(JOB, IN_LINE)
    assert waiting.reason is WaitReason.AHEAD
    assert waiting.message == (
        "3 jobs stand before it (2 of priority 10, 1 of priority 3; 1 of them of the same principal), 1 job runs now. "
        "About 32 s until it ends, by a guess: nothing has run yet."
    )
    assert (waiting.position, waiting.eta_s, waiting.ahead) == (4, 31.6, IN_LINE.ahead)


def test_a_list_says_it_shorter():
    waiting = explain(JOB, Standing(NOW_S, position=2, eta_s=9.0))
    assert (waiting.message, waiting.ahead, waiting.eta_basis) == ("1 job stands before it.", None, None)


@pytest.mark.parametrize(
    ("running", "message"), [(1, "It is next and starts when what runs has ended."), (0, "It is next.")]
)
def test_the_next_one(running, message):
    waiting = explain(JOB, Standing(NOW_S, position=1, ahead=Ahead({}, 0, running, 0.0)))
    assert (waiting.reason, waiting.message) == (WaitReason.NEXT, message)


def test_what_no_instance_starts_says_why():
    why = "No living instance serves the pool gpu."
    waiting = explain(JOB, replace(IN_LINE, nobody=why, eta_s=None))
    assert (waiting.reason, waiting.message) == (WaitReason.NO_INSTANCE, why)
    assert explain(JOB, replace(IN_LINE, nobody=why, paused=True)).reason is WaitReason.PAUSED


def test_the_reasons_come_in_their_order():
    failed = (Attempt(1, 0.0, "b", 1.0, JobStatus.FAILED, Cause.UPSTREAM_UNAVAILABLE),)
    everything = replace(JOB, held=True, not_before_s=LATER, attempts=failed)
    still = replace(IN_LINE, draining=True, paused=True)
    steps = [
        (everything, still, WaitReason.HELD),
        (replace(everything, held=False), still, WaitReason.BACKOFF),
        (replace(everything, held=False, forgiven=1), still, WaitReason.NOT_BEFORE),
        (replace(JOB, not_before_s=NOW_S), still, WaitReason.DRAINING),
        (JOB, replace(still, draining=False), WaitReason.PAUSED),
        (replace(JOB, attempts=DEAD), IN_LINE, WaitReason.SUSPECT),
        (replace(JOB, attempts=DEAD), replace(IN_LINE, position=1), WaitReason.NEXT),
    ]
    assert [explain(job, standing).reason for job, standing, _ in steps] == [reason for *_, reason in steps]


def test_times_are_told():
    job = replace(JOB, not_before_s=LATER, expires_at_s=LATER + 1)
    waiting = explain(job, Standing(NOW_S))
    assert waiting.message == "It may not start before 2023-11-14T22:14:20.000Z."
    assert (waiting.until_s, waiting.expires_at_s) == (LATER, LATER + 1)
    failed = (Attempt(1, 0.0, "b", 1.0, JobStatus.FAILED, Cause.UPSTREAM_UNAVAILABLE),)
    again = explain(replace(job, attempts=failed), Standing(NOW_S))
    assert again.message == (
        "Attempt 1 failed (UPSTREAM_UNAVAILABLE); the next one starts at 2023-11-14T22:14:20.000Z or later."
    )
    assert explain(replace(job, not_before_s=NOW_S), Standing(NOW_S)).until_s is None


def test_a_suspect_is_told_what_it_did():
    waiting = explain(replace(JOB, attempts=DEAD), IN_LINE)
    assert waiting.message.startswith("The server process died 2 times while it ran, so it runs after all other work.")
