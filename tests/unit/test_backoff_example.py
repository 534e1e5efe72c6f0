"""The waiting of examples/backoff_client.py; that it loses and doubles nothing is shown in tests/host/test_backpressure.py."""

from __future__ import annotations

import pytest

from tests.support.examples import example_module


@pytest.mark.parametrize(
    ("refusals", "retry_after", "least_s"),
    [
        (0, None, 1),
        (1, None, 2),
        (4, None, 16),
        (5, None, 30),
        (50, None, 30),
        (0, "7", 7),
        (3, "7", 8),
        (9, "120", 120),
        (1, "Wed, 21 Oct 2026 07:28:00 GMT", 2),
    ],
)
def test_it_doubles_up_to_thirty_seconds_and_never_comes_back_before_it_was_told(
    refusals: int, retry_after: str | None, least_s: float
) -> None:
    wait_s = example_module("backoff_client").wait_s(refusals, retry_after)
    assert least_s <= wait_s <= least_s * 1.1
