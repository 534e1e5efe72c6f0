"""What follows a try, and which hosts rest."""

from __future__ import annotations

import pytest

from expeditor.events.webhooks.circuits import FAILURES, LONGEST_REST_S, REST_S, Circuits
from expeditor.events.webhooks.retrying import Answer, RetryPlan, retry_after_of
from expeditor.jobs.deliveries import DeliveryStatus
from expeditor.runtime.settings_webhooks import DELAYS_S

NO = Answer(500, "no")


def plan(random=0.5):
    return RetryPlan((5.0, 30.0), lambda: random)


def test_the_waits_grow_and_then_it_is_over():
    assert [plan().verdict(NO, tries, 100.0).next_try_at_s for tries in (1, 2)] == [105.0, 130.0]
    assert plan().verdict(NO, 3, 100.0).status is DeliveryStatus.FAILED


@pytest.mark.parametrize(("random", "wait_s"), [(0.0, 4.0), (1.0, 6.0)])
def test_a_wait_is_a_fifth_shorter_or_longer(random, wait_s):
    assert plan(random).verdict(NO, 1, 0.0).next_try_at_s == pytest.approx(wait_s)


def test_an_answer_that_is_taken_ends_it():
    assert plan().verdict(Answer(204), 1, 0.0).status is DeliveryStatus.DELIVERED


def test_gone_is_the_end():
    verdict = plan().verdict(Answer(410, "gone"), 1, 0.0)
    assert (verdict.status, verdict.gone) == (DeliveryStatus.FAILED, True)


@pytest.mark.parametrize(
    ("answer", "wait_s"),
    [
        (Answer(503, "busy", 60.0), 60.0),
        (Answer(429, "busy", 1.0), 5.0),
        (Answer(429, "busy", 1e9), 43_200.0),
        (Answer(500, "no", 60.0), 5.0),
    ],
)
def test_a_busy_target_may_say_when(answer, wait_s):
    assert plan().verdict(answer, 1, 0.0).next_try_at_s == wait_s


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("30", 30.0), (" 5 ", 5.0), ("-5", None), ("", None), (None, None), ("9" * 40, None), ("soon", None)],
)
def test_retry_after(header, seconds):
    assert retry_after_of(header) == seconds


def test_the_default_plan_takes_about_three_days():
    assert 2.5 * 86_400 < sum(DELAYS_S) < 3.5 * 86_400


def test_a_host_rests_after_failures_in_a_row_and_longer_each_time():
    circuits = Circuits()
    for _ in range(FAILURES - 1):
        circuits.failed("a", 0.0)
    assert circuits.closed(0.0) == frozenset()
    circuits.failed("a", 0.0)
    assert (circuits.closed(REST_S - 1), circuits.closed(REST_S)) == ({"a"}, frozenset())
    assert (circuits.width("a", 4), circuits.width("b", 4)) == (1, 4)
    circuits.failed("a", 100.0)
    assert circuits.closed(100.0 + 2 * REST_S - 1) == {"a"}
    circuits.failed("a", 101.0)  # was on its way: not a reason to rest longer
    assert circuits.closed(100.0 + 2 * REST_S) == frozenset()
    for tries in range(20):
        circuits.failed("a", 10_000.0 * (tries + 1))
    assert circuits.closed(200_000.0 + LONGEST_REST_S - 1) == {"a"}
    assert circuits.closed(200_000.0 + LONGEST_REST_S) == frozenset()


def test_an_answer_ends_the_rest():
    circuits = Circuits()
    for _ in range(FAILURES):
        circuits.failed("a", 0.0)
    circuits.answered("a")
    assert (circuits.closed(1.0), circuits.width("a", 4)) == (frozenset(), 4)
