"""Exponential back-off with full jitter: its bounds, its growth, its spread."""

from __future__ import annotations

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expeditor.jobs.backoff import Backoff

SECONDS = st.floats(0.0, 1e6)


@pytest.mark.parametrize(
    ("failures", "longest_s"), [(1, 2.0), (2, 4.0), (3, 8.0), (7, 128.0), (8, 256.0), (9, 300.0), (10**9, 300.0)]
)
def test_the_longest_wait_doubles_up_to_the_bound(failures, longest_s):
    assert Backoff().longest_s(failures) == longest_s


@given(base_s=SECONDS, max_s=SECONDS, failures=st.integers(0, 10_000), drawn=st.floats(0.0, 1.0))
def test_a_wait_is_never_negative_nor_beyond_the_bound(base_s, max_s, failures, drawn):
    backoff = Backoff(base_s, max_s)
    assert 0.0 <= backoff.delay_s(failures, lambda: drawn) <= backoff.longest_s(failures) <= max_s


@given(base_s=SECONDS, max_s=SECONDS, failures=st.integers(0, 10_000))
def test_a_further_failure_never_shortens_the_longest_wait(base_s, max_s, failures):
    backoff = Backoff(base_s, max_s)
    assert backoff.longest_s(failures) <= backoff.longest_s(failures + 1)


@given(failures=st.integers(1, 20), seed=st.integers())
def test_jitter_is_full_waits_spread_evenly_from_nothing_to_the_longest(failures, seed):
    backoff = Backoff()
    rng = random.Random(seed)  # noqa: S311 - no secret
    waits = [backoff.delay_s(failures, rng.random) / backoff.longest_s(failures) for _ in range(2_000)]
    assert statistics.fmean(waits) == pytest.approx(0.5, abs=0.05)
    assert min(waits) < 0.02
    assert max(waits) > 0.98
