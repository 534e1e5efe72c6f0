"""What follows a failed attempt: the three levels, the bound on tries, and what is never tried again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expeditor.dispatch.retrying import AgainLater, AgainNow, Last, RetryPolicy, decide
from expeditor.jobs.backoff import Backoff
from expeditor.jobs.causes import RetryLevel
from expeditor.jobs.model import Attempt, Cause, Ending, JobStatus
from tests.support.jobs import a_job

NOW_S = 1_700_000_000.0
OOM, UPSTREAM, NODE, DIED, STOPPED = (
    Cause.OUT_OF_MEMORY,
    Cause.UPSTREAM_UNAVAILABLE,
    Cause.NODE_ERROR,
    Cause.PROCESS_DIED,
    Cause.INTERRUPTED,
)


def job(*earlier: Cause, max_attempts=None, status=JobStatus.RUNNING, forgiven=0):
    """A job that runs, after attempts that failed for these causes."""
    over = [Attempt(n, 0.0, "boot", 1.0, JobStatus.FAILED, cause) for n, cause in enumerate(earlier, 1)]
    attempts = (*over, Attempt(len(earlier) + 1, 0.0, "boot"))
    return a_job(status=status, attempts=attempts, max_attempts=max_attempts, forgiven=forgiven)


def failed(cause, status=JobStatus.FAILED):
    return Ending(status, NOW_S, 1.0, cause=cause)


def follows(cause, *earlier, policy=None, drawn=0.5, status=JobStatus.FAILED, **of_job):
    return decide(job(*earlier, **of_job), failed(cause, status), policy or RetryPolicy(), lambda: drawn)


@pytest.mark.parametrize(
    ("cause", "earlier", "expected"),
    [
        pytest.param(OOM, (), AgainNow(), id="level 1: out of memory, at once"),
        pytest.param(OOM, (OOM,), Last(), id="level 1: in place once in a row"),
        pytest.param(OOM, (UPSTREAM,), AgainNow(), id="level 1: after another fault"),
        pytest.param(OOM, (OOM, UPSTREAM), Last(), id="level 1: no try left"),
        pytest.param(UPSTREAM, (), AgainLater(NOW_S + 1.0), id="level 2: half of 2 s"),
        pytest.param(UPSTREAM, (UPSTREAM,), AgainLater(NOW_S + 2.0), id="level 2: half of 4 s"),
        pytest.param(UPSTREAM, (UPSTREAM, UPSTREAM), Last(), id="level 3: three tries"),
        pytest.param(UPSTREAM, (UPSTREAM, OOM), Last(), id="level 3: both levels count"),
        pytest.param(UPSTREAM, (DIED, DIED), AgainLater(NOW_S + 1.0), id="deaths use up no try"),
        pytest.param(UPSTREAM, (STOPPED,) * 5, AgainLater(NOW_S + 1.0), id="planned stops use up no try"),
        pytest.param(OOM, (OOM, DIED), AgainNow(), id="the process that died freed its memory"),
        pytest.param(Cause.STALLED, (), AgainLater(NOW_S + 1.0), id="level 2: a run that went silent"),
        pytest.param(Cause.STALLED, (Cause.STALLED,) * 2, Last(), id="level 3: and went silent each time"),
        pytest.param(NODE, (), Last(), id="a node's own error"),
        pytest.param(Cause.MODEL_MISSING, (), Last(), id="a missing model"),
        pytest.param(None, (), Last(), id="no cause at all"),
    ],
)
def test_the_three_levels(cause, earlier, expected):
    assert follows(cause, *earlier) == expected


def test_a_job_may_name_its_own_number_of_tries():
    assert follows(UPSTREAM, max_attempts=1) == Last()
    assert follows(UPSTREAM, *(UPSTREAM,) * 5, max_attempts=7) == AgainLater(NOW_S + 32.0)
    assert follows(OOM, max_attempts=1) == Last()


def test_a_job_that_was_redriven_by_hand_starts_afresh():
    assert follows(UPSTREAM, UPSTREAM, UPSTREAM, UPSTREAM, forgiven=3) == AgainLater(NOW_S + 1.0)
    assert follows(OOM, OOM, forgiven=1) == AgainNow()


@pytest.mark.parametrize("cause", [OOM, UPSTREAM])
def test_a_job_whose_cancel_was_asked_for_is_never_tried_again(cause):
    assert follows(cause, status=JobStatus.CANCELED) == Last()
    assert decide(job(status=JobStatus.CANCELING), failed(cause), RetryPolicy(), lambda: 0.5) == Last()


@pytest.mark.parametrize("status", [JobStatus.SUCCEEDED, JobStatus.CANCELED])
def test_only_failures_are_tried_again(status):
    assert follows(UPSTREAM, status=status) == Last()


def test_settings_switch_levels():
    policy = RetryPolicy(
        levels={OOM: RetryLevel.NEVER, NODE: RetryLevel.LATER, UPSTREAM: RetryLevel.IN_PLACE},
        backoff=Backoff(10.0, 10.0),
    )
    assert follows(OOM, policy=policy) == Last()
    assert follows(NODE, policy=policy) == AgainLater(NOW_S + 5.0)
    assert follows(UPSTREAM, policy=policy) == AgainNow()
    assert follows(Cause.LEASE_LOST, policy=policy) == AgainLater(NOW_S + 5.0), "the others keep theirs"


@given(
    causes=st.lists(st.sampled_from(list(Cause)), max_size=12),
    cause=st.sampled_from(list(Cause)),
    max_attempts=st.integers(1, 6),
    levels=st.dictionaries(st.sampled_from(list(Cause)), st.sampled_from(list(RetryLevel))),
    drawn=st.floats(0.0, 1.0),
)
def test_no_job_has_more_tries_than_it_may_and_no_back_off_is_beyond_the_bound(
    causes, cause, max_attempts, levels, drawn
):
    policy = RetryPolicy(max_attempts=max_attempts, levels=levels)
    tried = job(*causes)
    decision = decide(tried, failed(cause), policy, lambda: drawn)
    if decision != Last():
        assert tried.tries < max_attempts
        assert policy.level(cause) is not RetryLevel.NEVER
    if isinstance(decision, AgainLater):
        assert NOW_S <= decision.not_before_s <= NOW_S + 300.0


@given(cause=st.sampled_from([OOM, UPSTREAM, NODE]), max_attempts=st.integers(1, 8))
def test_a_job_that_always_fails_comes_to_an_end(cause, max_attempts):
    failures: list[Cause] = []
    while follows(cause, *failures, policy=RetryPolicy(max_attempts=max_attempts)) != Last():
        failures.append(cause)
        assert len(failures) < max_attempts
