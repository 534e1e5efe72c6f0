"""The arithmetic of the order: one example for each rule; the properties stand in `test_ordering_properties`."""

from __future__ import annotations

import random

import pytest

from expeditor.jobs import ordering
from expeditor.jobs.ordering import OrderPolicy, Tags
from tests.unit.jobs.simulation import Simulation


def test_one_priority_point_is_worth_ageing_s_virtual_seconds():
    policy = OrderPolicy(ageing_s=120.0)
    assert ordering.score(policy, 1000.0, 3) == 640.0
    assert ordering.score(policy, 1120.0, 4) == ordering.score(policy, 1000.0, 3)


def test_strict_scores_by_priority_alone():
    policy = OrderPolicy(strict=True)
    assert ordering.score(policy, 1e9, 4) < ordering.score(policy, 0.0, 3)
    assert ordering.score(policy, 1e9, 3) == ordering.score(policy, 0.0, 3)


def test_a_job_starts_after_its_owners_own_and_higher_backlog():
    finish_tags = {2: 500.0, 3: 40.0, 7: 60.0}
    assert ordering.tag(10.0, finish_tags, 3, 5.0) == Tags(60.0, 65.0)
    assert ordering.tag(10.0, finish_tags, 8, 5.0) == Tags(10.0, 15.0)
    assert ordering.tag(900.0, finish_tags, 1, 5.0) == Tags(900.0, 905.0)


def test_a_weight_makes_the_same_work_count_less():
    assert ordering.tag(0.0, {}, 3, 6.0, weight=3.0).finish == 2.0


def test_work_that_takes_no_time_still_takes_a_place():
    assert ordering.tag(0.0, {}, 3, 0.0).finish > 0.0


def test_the_virtual_time_never_goes_back():
    assert ordering.virtual_time_at_claim(50.0, 20.0) == 50.0
    assert ordering.virtual_time_at_claim(50.0, 70.0) == 70.0
    assert ordering.virtual_time_when_idle(50.0, 30.0) == 50.0
    assert ordering.virtual_time_when_idle(50.0, 80.0) == 80.0
    assert ordering.virtual_time_when_idle(50.0, None) == 50.0


def test_the_front_is_before_the_head_and_a_better_place_is_kept():
    assert ordering.front_score(100.0, -40.0) < -40.0
    assert ordering.front_score(-90.0, -40.0) == -90.0
    assert ordering.front_score(100.0, None) == 100.0


def test_ties_go_by_number_then_arrival():
    keys = [ordering.sort_key(*key) for key in ((1.0, 0.0, 9), (0.0, 5.0, 1), (0.0, -1.0, 8), (0.0, 5.0, 0))]
    assert sorted(keys) == [(0.0, -1.0, 8), (0.0, 5.0, 0), (0.0, 5.0, 1), (1.0, 0.0, 9)]


def test_a_policys_signature_tells_what_scores_depend_on():
    changed = [OrderPolicy(), OrderPolicy(strict=True), OrderPolicy(ageing_s=30.0)]
    assert len({policy.signature for policy in changed}) == 3
    assert OrderPolicy(weights={"ada": 2.0}).signature == OrderPolicy().signature
    assert OrderPolicy(weights={"ada": 2.0}).weight("ada") == 2.0
    assert OrderPolicy().weight("ada") == 1.0


@pytest.mark.parametrize(("given", "expected"), [(8, 10.0), (3, 40.0), (1, 40.0)])
def test_another_priority_is_never_a_later_start_than_before(given, expected):
    assert ordering.retag(40.0, 10.0, {3: 200.0}, given, 5.0) == ordering.Tags(expected, expected + 5.0)


@pytest.mark.long
@pytest.mark.parametrize("levels", [range(1, 11), (1, 3, 5, 8, 10)], ids=["every level", "five levels"])
def test_two_dozen_jobs_of_one_principal_run_strictly_by_priority_however_they_are_drawn(levels):
    by_priority = 0
    for draw in range(300):
        rng, queue = random.Random(draw), Simulation()
        for _ in range(24):
            queue.arrive(priority=rng.choice(levels), estimated_s=9.0)
        priorities = [job.priority for job in queue.drain()]
        by_priority += priorities == sorted(priorities, reverse=True)
    assert by_priority == 300


def test_mixed_jobs_of_one_principal_run_by_priority():
    queue = Simulation()
    for n in range(24):
        queue.arrive(priority=1 + (7 * n) % 10, estimated_s=9.0)
    priorities = [job.priority for job in queue.drain()]
    assert priorities == sorted(priorities, reverse=True)
