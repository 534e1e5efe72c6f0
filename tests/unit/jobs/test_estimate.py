"""Signatures group what takes equally long; the mean follows the newest runs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expeditor.jobs.estimate import ALPHA, PACE_MOST, Pace, next_mean, signature

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
SECONDS = st.floats(0.0, 1e6)


def _prompt(**inputs: object) -> dict[str, object]:
    given = {"seed": 1, "steps": 20, "ckpt_name": "a.safetensors", "text": "cat", **inputs}
    return {"3": {"class_type": "KSampler", "inputs": given}, "4": {"class_type": "SaveImage", "inputs": {}}}


@pytest.mark.parametrize("same", [{"seed": 2}, {"text": "dog"}, {"model": ["4", 0]}, {"steps": 20}])
def test_what_does_not_change_the_time_does_not_change_the_signature(same):
    assert signature(_prompt(**same)) == signature(_prompt())


@pytest.mark.parametrize("other", [{"steps": 30}, {"ckpt_name": "b.safetensors"}, {"width": 64}, {"batch_size": 4}])
def test_what_changes_the_time_changes_the_signature(other):
    assert signature(_prompt(**other)) != signature(_prompt())


def test_the_names_and_order_of_nodes_do_not_matter():
    nodes = list(_prompt().values())
    assert signature({"x": nodes[1], "y": nodes[0]}) == signature(_prompt())
    assert signature({"x": nodes[0]}) != signature(_prompt())


@pytest.mark.long
@given(st.dictionaries(st.text(), JSON, max_size=6))
def test_any_json_has_a_short_signature(prompt):
    assert len(signature(prompt)) == 16


def test_the_first_run_is_its_own_mean():
    assert next_mean(None, 7.0) == 7.0
    assert next_mean(10.0, 20.0) == pytest.approx(10.0 + ALPHA * 10.0)


@given(SECONDS, SECONDS)
def test_the_mean_lies_between_what_was_and_what_is_new(mean_s, observed_s):
    after = next_mean(mean_s, observed_s)
    assert min(mean_s, observed_s) - 1e-6 <= after <= max(mean_s, observed_s) + 1e-6


@given(SECONDS, SECONDS)
def test_steady_runs_are_learned(mean_s, observed_s):
    for _ in range(60):
        mean_s = next_mean(mean_s, observed_s)
    assert mean_s == pytest.approx(observed_s, abs=0.01)


def test_a_second_is_a_second_where_estimates_are_right():
    pace = Pace()
    for ran_s in (3.0, 40.0, 9.0, 0.5):
        pace = pace.after(ran_s, ran_s)
    assert pace.worth_s(12.0) == pytest.approx(12.0)


def test_later_arrivals_are_counted_as_the_line_was():
    pace = Pace()
    for _ in range(200):
        pace = pace.after(estimated_s=5.0, ran_s=9.0)
    assert pace.worth_s(9.0) == pytest.approx(5.0, rel=0.01)
    for _ in range(200):
        pace = pace.after(estimated_s=9.0, ran_s=9.0)
    assert pace.worth_s(9.0) == pytest.approx(9.0, rel=0.01)


@given(st.lists(st.tuples(SECONDS, SECONDS)), SECONDS)
def test_the_coin_of_the_line_stays_within_its_limits(runs, estimated_s):
    pace = Pace()
    for estimated, ran in runs:
        pace = pace.after(estimated, ran)
    assert estimated_s / PACE_MOST <= pace.worth_s(estimated_s) <= estimated_s * PACE_MOST
