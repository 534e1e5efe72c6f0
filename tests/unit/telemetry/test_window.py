"""Sliding windows: amounts leave with time, overlapping jobs count once, a young window is not diluted."""

from __future__ import annotations

import random

import pytest

from expeditor.telemetry.window import BusyWindow, RateWindow, SlidingSum


def test_an_amount_leaves_the_window():
    window = SlidingSum(started_at_s=0.0, window_s=60.0, slots=6)
    window.add(5.0, 2.0)
    window.add(15.0, 3.0)
    assert window.total(15.0) == 5.0
    assert window.total(61.0) == 3.0
    assert window.total(75.0) == 0.0


def test_a_window_holds_no_more_than_its_slots():
    window = SlidingSum(started_at_s=0.0, window_s=60.0, slots=6)
    for second in range(10_000):
        window.add(float(second), 1.0)
    assert len(window._amounts) <= 6  # noqa: SLF001 - that memory is bounded shows nowhere else
    assert window.total(9_999.0) == 60.0


def test_a_span_is_counted_where_it_passed():
    window = SlidingSum(started_at_s=0.0, window_s=60.0, slots=6)
    window.add_span(5.0, 32.0)
    assert window.total(32.0) == pytest.approx(27.0)
    assert window.total(65.0) == pytest.approx(22.0)  # the first slot's 5 s are out


def test_a_span_longer_than_the_window_fills_it_and_no_more():
    window = SlidingSum(started_at_s=0.0, window_s=60.0, slots=6)
    window.add_span(0.0, 1_000_000.0)
    assert window.total(1_000_000.0) == pytest.approx(window.covered_s(1_000_000.0), abs=10.0)


def test_the_rate_of_a_young_window_is_over_its_own_age():
    window = RateWindow(started_at_s=1000.0, window_s=300.0)
    for at_s in (1001.0, 1002.0, 1003.0, 1004.0):
        window.add(at_s)
    assert window.per_second(1010.0) == pytest.approx(0.4)
    assert window.per_second(1400.0) == 0.0


def test_steady_work_gives_its_rate():
    window = RateWindow(started_at_s=0.0, window_s=300.0)
    for second in range(1000):
        window.add(float(second))
    assert window.per_second(999.0) == pytest.approx(1.0, abs=0.05)


def test_busy_half_of_the_time():
    window = BusyWindow(started_at_s=0.0, window_s=100.0)
    for start in range(0, 1000, 10):
        window.begin("a", float(start))
        window.end("a", start + 5.0)
    assert window.ratio(1000.0) == pytest.approx(0.5, abs=0.02)
    assert window.ratio(1200.0) == 0.0


def test_a_running_job_counts_before_it_ends():
    window = BusyWindow(started_at_s=0.0, window_s=100.0)
    window.begin("a", 0.0)
    assert window.ratio(50.0) == 1.0
    assert window.ratio(5000.0) == 1.0


def test_an_end_without_a_begin_changes_nothing():
    window = BusyWindow(started_at_s=0.0)
    window.end("never began", 10.0)
    assert window.ratio(10.0) == 0.0


def test_overlapping_jobs_are_the_union_of_their_times():
    """Random overlapping jobs against a second-by-second count."""
    rng = random.Random(7)
    window = BusyWindow(started_at_s=0.0, window_s=10_000.0)
    moments: list[tuple[int, str, str]] = []
    seconds: set[int] = set()
    for number in range(40):
        start = rng.randrange(0, 900)
        end = start + rng.randrange(1, 60)
        moments += [(start, "begin", str(number)), (end, "end", str(number))]
        seconds.update(range(start, end))
    for at_s, what, job_id in sorted(moments):
        (window.begin if what == "begin" else window.end)(job_id, float(at_s))
    assert window.ratio(1000.0) * 1000.0 == pytest.approx(len(seconds), abs=1e-6)
