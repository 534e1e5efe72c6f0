"""Model affinity: whom the rule prefers, and that it costs nobody more than its slack."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expeditor.jobs import affinity, ordering
from expeditor.jobs.affinity import AffinityPolicy, Choice, InLine
from expeditor.jobs.ordering import OrderPolicy
from tests.unit.jobs.simulation import Simulation

RESIDENT = frozenset({"sdxl", "vae"})
A = frozenset({"sdxl"})
B = frozenset({"flux"})
NOTHING: frozenset[str] = frozenset()
POLICY = AffinityPolicy(slack_s=30.0)


def waiting(name: str, models: frozenset[str], score: float = 0.0, estimated_s: float = 9.0, **more: Any) -> InLine:
    return InLine(name, score, estimated_s, models, **more)


def choose(*line: InLine, passed: dict[str, float] | None = None, policy: AffinityPolicy = POLICY) -> Choice:
    return affinity.choose(line, RESIDENT, passed or {}, policy)


def test_a_head_whose_models_are_resident_is_taken():
    assert choose(waiting("head", A), waiting("next", A)) == Choice("head", {})


def test_the_first_with_resident_models_passes_a_head_without():
    choice = choose(waiting("head", B), waiting("other", B), waiting("first", A, 9.0), waiting("second", A, 9.0))
    assert choice == Choice("first", {"head": 9.0, "other": 9.0})


def test_all_models_of_a_job_must_be_resident():
    assert choose(waiting("head", B), waiting("half", A | B)).job_id == "head"
    assert choose(waiting("head", B), waiting("both", RESIDENT)).job_id == "both"


def test_a_job_without_models_neither_passes_nor_is_passed():
    assert choose(waiting("head", NOTHING), waiting("next", A)).job_id == "head"
    assert choose(waiting("head", B), waiting("next", NOTHING)).job_id == "head"


def test_nobody_passes_from_further_behind_than_the_slack():
    assert choose(waiting("head", B, -7.0), waiting("next", A, 23.0)).job_id == "next"
    assert choose(waiting("head", B, -7.0), waiting("next", A, 23.1)).job_id == "head"


@pytest.mark.parametrize(("priority", "far"), [(3, 56.7), (5, 30.0)])
def test_within_a_priority_the_slack_is_counted_without_the_loads_that_were_expected(priority, far):
    for score, chosen in ((far - 0.1, "next"), (far + 0.1, "head")):
        line = [waiting("head", B, priority=priority), waiting("next", A, score, placed_s=17.0)]
        assert choose(*line).job_id == chosen
    assert choose(waiting("head", B), waiting("shorter than thought", A, 29.9, placed_s=5.0)).job_id != "head"


def test_who_stands_too_far_behind_is_passed_by_one_who_does_not():
    line = [waiting("head", B), waiting("far", A, 31.0), waiting("near", A, 31.0, placed_s=17.0)]
    assert choose(*line) == Choice("near", {"head": 9.0, "far": 9.0})


def test_only_the_first_in_line_are_looked_at():
    others = [waiting(f"b{n}", B) for n in range(affinity.DEPTH - 1)]
    assert choose(*others, waiting("last", A)).job_id == "last"
    assert choose(*others, waiting("one more", B), waiting("too late", A)).job_id == "b0"


def test_who_was_passed_over_by_the_slack_is_passed_no_more_head_or_not():
    line = [waiting("head", B), waiting("other", B), waiting("next", A)]
    assert choose(*line, passed={"head": 21.0}).job_id == "next"
    assert choose(*line, passed={"head": 21.1}).job_id == "head"
    assert choose(*line, passed={"other": 21.1}).job_id == "head"


def test_a_shorter_one_may_still_fit():
    line = [waiting("head", B), waiting("long", A, estimated_s=31.0), waiting("short", A, estimated_s=29.0)]
    assert choose(*line) == Choice("short", {"head": 29.0, "long": 29.0})


def test_without_slack_the_order_stands():
    assert choose(waiting("head", B), waiting("next", A, estimated_s=0.0), policy=AffinityPolicy(0.0)).job_id == "head"


def test_strict_order_gives_way_within_a_priority_only():
    strict = AffinityPolicy(strict=True)
    assert choose(waiting("head", B, -5.0), waiting("next", A, -5.0), policy=strict).job_id == "next"
    assert choose(waiting("head", B, -5.0), waiting("next", A, -4.0), policy=strict).job_id == "head"


def test_nobody_passes_a_job_that_was_put_in_front():
    assert choose(waiting("head", B, in_front=True), waiting("next", A)).job_id == "head"
    assert choose(waiting("head", B), waiting("front", B, in_front=True), waiting("next", A)).job_id == "head"


def test_a_stored_job_in_front_is_known_by_its_score():
    for order in (OrderPolicy(), OrderPolicy(strict=True)):
        queue = Simulation(order)
        plain, moved, front = queue.arrive(), queue.arrive(), queue.arrive(front=True)
        moved = queue.reprioritise(moved, front=True)
        in_front = [InLine.of(job, order).in_front for job in (plain, moved, front)]
        assert in_front == [False, True, True]


def test_what_a_run_takes_with_its_models_in_memory_counts_if_it_is_known():
    job = Simulation().arrive(estimated_s=17.0)
    counted = [InLine.of(job, OrderPolicy(), warm_s).estimated_s for warm_s in (None, 9.0, 20.0)]
    assert counted == [17.0, 9.0, 20.0]


JOBS = st.tuples(
    st.sampled_from([A, B, NOTHING]), st.floats(-50.0, 200.0), st.sampled_from([0.0, 0.5, 4.0, 9.0, 29.0, 31.0, 900.0])
)
STEPS = st.lists(st.one_of(JOBS, st.none()), max_size=120)  # None: a claim


@given(STEPS, st.sampled_from([0.0, 5.0, 30.0]))
def test_nobody_is_passed_over_by_more_than_the_slack_in_all(steps, slack_s):
    line: list[InLine] = []
    passed: dict[str, float] = {}
    suffered: dict[str, float] = {}
    resident = A
    for number, step in enumerate([*steps, *([None] * len(steps))]):
        if step is not None:
            models, score, estimated_s = step
            line.append(InLine(f"{number:03}", score, estimated_s, models))
            line.sort(key=lambda job: (job.score, job.job_id))
        elif line:
            choice = affinity.choose(line, resident, passed, AffinityPolicy(slack_s))
            passed.update(choice.passed_over_s)
            place = next(n for n, job in enumerate(line) if job.job_id == choice.job_id)
            chosen = line.pop(place)
            assert chosen.score <= (line[0].score if place else chosen.score) + slack_s
            for job in line[:place]:
                suffered[job.job_id] = suffered.get(job.job_id, 0.0) + max(chosen.estimated_s, ordering.SHORTEST_S)
            resident = chosen.models or resident
    assert not line
    assert all(work_s <= slack_s + 1e-9 for work_s in suffered.values())
