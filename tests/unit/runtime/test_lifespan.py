"""Start-up's arithmetic. The start itself is tested on a real server (`tests/host`, `tests/chaos`)."""

from __future__ import annotations

import pytest

from expeditor.runtime.lifespan import number_after


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [((), 0), ((0.0,), 1), ((3.0, -7.0, 5.0), 8), ((2.5,), 3), ((4.0, 1e308), 5), ((-1e308,), 0)],
)
def test_counting_goes_on_above_what_waits_and_not_above_what_no_counter_reaches(numbers, expected):
    assert number_after(numbers) == expected
