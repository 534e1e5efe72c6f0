"""The steady clock: the wall clock's time at the start, and nothing that is done to the wall clock afterwards."""

from __future__ import annotations

import logging
import time

import pytest

from expeditor.runtime.clock import SteadyClock, steady_s

HOUR_S = 3600.0


class HandTimes:
    """A wall clock and a count, both moved by the test."""

    def __init__(self) -> None:
        self.wall_s = 1_700_000_000.0
        self.count_s = 50.0

    def pass_(self, seconds: float) -> None:
        self.wall_s += seconds
        self.count_s += seconds


@pytest.fixture
def times():
    return HandTimes()


@pytest.fixture
def clock(times):
    return SteadyClock(lambda: times.wall_s, lambda: times.count_s)


def stepped(caplog):
    return [record for record in caplog.records if getattr(record, "event", "") == "clock.stepped"]


def test_it_starts_at_the_wall_clock_and_goes_on(clock, times, caplog):
    assert clock() == 1_700_000_000.0
    times.pass_(90.0)
    assert clock() == 1_700_000_090.0
    assert stepped(caplog) == []


@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S])
def test_a_wall_clock_that_is_set_changes_nothing_and_is_told_once(clock, times, caplog, step_s):
    times.wall_s += step_s
    with caplog.at_level(logging.WARNING, "expeditor.runtime"):
        assert clock() == 1_700_000_000.0
        times.pass_(10.0)
        assert clock() == 1_700_000_010.0
    (told,) = stepped(caplog)
    assert f"{step_s:+.0f} s" in told.getMessage()


def test_a_small_correction_is_not_worth_a_line(clock, times, caplog):
    times.wall_s += 4.9
    assert clock() == 1_700_000_000.0
    assert stepped(caplog) == []


def test_the_real_one_is_the_time_of_day_and_counts_as_the_system_does():
    before_s, counted_s = time.time(), steady_s()
    now_s = SteadyClock()()
    assert before_s - 1 <= now_s <= time.time() + 1
    assert counted_s <= steady_s()
