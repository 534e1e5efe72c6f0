"""The rules of the queue's limits, by themselves: when one refuses, until when, and what the refused client is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expeditor.intake.admission import (
    RETRY_MAX_S,
    RETRY_MIN_S,
    Meter,
    Pace,
    refuses,
    retry_after_s,
    stays_closed,
    surplus,
    too_full,
)

AMOUNTS = st.integers(min_value=0, max_value=10**12)
LIMITS = st.integers(min_value=1, max_value=10**12)


@pytest.mark.parametrize(
    ("used", "wanted", "closed", "refused"),
    [
        (99, 1, False, False),
        (100, 1, False, True),
        (98, 3, False, True),
        (95, 1, True, True),
        (94, 1, True, False),
        (94, 7, True, True),
    ],
)
def test_a_limit_of_a_hundred(used: int, wanted: int, closed: bool, refused: bool) -> None:
    assert refuses(Meter(100, used, wanted, closed)) is refused


def test_no_limit_refuses_nothing() -> None:
    assert not refuses(Meter(0, 10**9, 1, closed=True))


@given(most=LIMITS, used=AMOUNTS, wanted=AMOUNTS, closed=st.booleans())
def test_what_is_let_in_never_passes_the_limit(most: int, used: int, wanted: int, closed: bool) -> None:
    if not refuses(Meter(most, used, wanted, closed)):
        assert used + wanted <= most


@given(most=LIMITS, used=AMOUNTS, data=st.data())
def test_once_the_surplus_has_gone_the_job_gets_in_and_not_before(most: int, used: int, data: st.DataObject) -> None:
    wanted = data.draw(st.integers(min_value=1, max_value=most))
    refused = Meter(most, used, wanted, stays_closed(used, most))
    if not refuses(refused):
        return
    must_go = surplus(refused)
    if must_go <= used:
        assert not refuses(Meter(most, used - must_go, wanted, closed=True))
    assert refuses(Meter(most, used - must_go + 1, wanted, closed=True))


@pytest.mark.parametrize(
    ("jobs", "pace", "told_s"),
    [
        (1, Pace(0.5, 1.0), 2),
        (10, Pace(0.5, 1.0), 20),
        (10, Pace(0.05, 0.1), 20),  # one job in two seconds of work, idle for nine tenths of the time
        (1, Pace(50.0, 1.0), 1),
        (1_000, Pace(0.001, 1.0), 300),
        (1, Pace(0.1, 0.0), 1),  # jobs from the cache: hardly any time on the machine
        (1, Pace(0.0, 0.0), 5),  # nothing measured yet: the estimate of an unknown job
        (3, Pace(0.0, 1.0), 15),
        (100, Pace(0.0, 1.0), 300),
    ],
)
def test_how_long_a_refused_client_is_told_to_wait(jobs: float, pace: Pace, told_s: int) -> None:
    assert retry_after_s(jobs, pace) == told_s


@given(
    jobs=st.floats(min_value=0, max_value=1e12),
    rate=st.floats(min_value=0, max_value=1e6),
    busy=st.floats(min_value=0, max_value=2),
)
def test_the_wait_is_always_whole_seconds_within_bounds(jobs: float, rate: float, busy: float) -> None:
    told_s = retry_after_s(jobs, Pace(rate, busy))
    assert isinstance(told_s, int)
    assert RETRY_MIN_S <= told_s <= RETRY_MAX_S


@pytest.mark.parametrize(
    ("most", "ratio", "turns_at"), [(10, 0.9, 9), (5, 0.9, 4), (1, 0.9, 1), (100, 0.5, 50), (10, 1.0, 10)]
)
def test_readiness_turns_before_the_limit(most: int, ratio: float, turns_at: int) -> None:
    assert not too_full(turns_at - 1, most, ratio)
    assert too_full(turns_at, most, ratio)


def test_readiness_has_nothing_to_say_without_a_limit() -> None:
    assert not too_full(10**9, 0, 0.9)
