"""The shared clock: Redis' time, whatever this machine's says, steadily and never back."""

from __future__ import annotations

import logging
import time

import pytest

from expeditor.store.bullmq.address import parse
from expeditor.store.bullmq.clock import RedisClock
from expeditor.store.bullmq.connections import Connections
from tests.support.clocks import HandMonotonic
from tests.support.redis_server import RedisServer

HOUR_S = 3600.0


@pytest.fixture
def steady() -> HandMonotonic:
    return HandMonotonic()


def measured(clock: RedisClock, redis_s: float) -> None:
    clock.measured(redis_s, clock.steady_s(), clock.steady_s())


@pytest.mark.parametrize("off_s", [-HOUR_S, 0.0, HOUR_S])
def test_a_machine_whose_clock_is_an_hour_off_has_the_same_time(redis_server: RedisServer, off_s: float) -> None:
    clock = RedisClock(wall=lambda: time.time() + off_s)
    assert abs(clock() - time.time() - off_s) < 60
    ours = Connections(parse(redis_server.url), "gpu1", clock)
    try:
        ours.open()
        assert abs(clock() - time.time()) < 60
    finally:
        ours.close()


def test_the_middle_of_question_and_answer_counts(steady: HandMonotonic) -> None:
    clock = RedisClock(wall=lambda: 0.0, steady=steady)
    steady.now_s = 2.0
    clock.measured(101.0, asked_s=0.0, answered_s=2.0)
    assert clock() == pytest.approx(102.0)
    steady.now_s = 5.0
    assert clock() == pytest.approx(105.0)


def test_the_first_measurement_may_go_back_and_is_told(steady: HandMonotonic, caplog: pytest.LogCaptureFixture) -> None:
    clock = RedisClock(wall=lambda: 10_000.0, steady=steady)
    with caplog.at_level(logging.WARNING, "expeditor.store"):
        measured(clock, 10_000.0 - HOUR_S)
    assert clock() == pytest.approx(10_000.0 - HOUR_S)
    assert "differs from Redis' by +3600 s" in caplog.text


def test_a_shared_clock_that_is_set_back_is_followed_slowly(
    steady: HandMonotonic, caplog: pytest.LogCaptureFixture
) -> None:
    clock = RedisClock(wall=lambda: 1000.0, steady=steady)
    measured(clock, 1000.0)
    with caplog.at_level(logging.WARNING, "expeditor.store"):
        measured(clock, 900.0)
        before_s = clock()
        assert before_s == pytest.approx(1000.0)
        for second in range(1, 300):
            steady.now_s = float(second)
            if second % 30 == 0:
                measured(clock, 900.0 + second)  # measuring on changes nothing
            assert clock() > before_s
            before_s = clock()
    assert clock() == pytest.approx(900.0 + 299)
    assert len([line for line in caplog.records if "was set by" in line.getMessage()]) == 1


def test_a_shared_clock_that_is_set_forward_is_followed_at_once(steady: HandMonotonic) -> None:
    clock = RedisClock(wall=lambda: 1000.0, steady=steady)
    measured(clock, 1000.0)
    measured(clock, 1500.0)
    assert clock() == pytest.approx(1500.0)
