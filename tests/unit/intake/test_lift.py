"""Where a priority may stand, which one counts, and what is said of one that is none."""

from __future__ import annotations

import copy

import pytest

from expeditor.intake.lift import RULE, check, lift, take
from expeditor.jobs.errors import InputInvalid

NODE = {"class_type": "A", "inputs": {}}
WORKFLOW_POINTER = "/extra_data/extra_pnginfo/workflow/extra/expeditor/priority"

# Every place, first found first: its pointer and how to write it.
PLACES = [
    ("/priority", lambda body, value: body.update(priority=value)),
    ("/_priority", lambda body, value: body.update(_priority=value)),
    ("/prompt/_priority", lambda body, value: body["prompt"].update(_priority=value)),
    ("/extra_data/_priority", lambda body, value: body["extra_data"].update(_priority=value)),
    (WORKFLOW_POINTER, lambda body, value: body["extra_data"].update(workflow(value))),
]


def workflow(value):
    return {"extra_pnginfo": {"workflow": {"extra": {"expeditor": {"priority": value}}}}}


def body_with(**values):
    """A body with a value in each place named by its index, `p0` first."""
    body = {"prompt": {"1": NODE}, "extra_data": {}}
    for name, value in values.items():
        PLACES[int(name[1:])][1](body, value)
    return body


@pytest.mark.parametrize("first", range(len(PLACES)))
def test_the_first_place_wins_over_all_behind_it(first):
    values = {f"p{place}": place + 1 for place in range(first, len(PLACES))}
    assert lift(body_with(**values), own_route=True).priority == first + 1


@pytest.mark.parametrize("place", range(len(PLACES)))
@pytest.mark.parametrize("value", [0, 11, -1, 3.0, 5.5, "5", True, False, [], {}, 10**30, float("nan"), float("inf")])
def test_what_is_no_priority_is_refused_where_it_stands_and_the_range_is_said(place, value):
    with pytest.raises(InputInvalid) as refused:
        lift(body_with(**{f"p{place}": value}), own_route=True)
    (fault,) = refused.value.faults
    assert fault.pointer == PLACES[place][0]
    assert fault.code == "INPUT_INVALID"
    assert "from 1 to 10 (10 is most urgent, default 3)" in refused.value.message


@pytest.mark.parametrize("value", range(1, 11))
def test_the_whole_range_is_taken(value):
    assert lift({"_priority": value}).priority == value
    assert check(value, "/x", "") == ()


def test_every_wrong_place_is_told_also_behind_a_good_one():
    with pytest.raises(InputInvalid) as refused:
        lift(body_with(p1=5, p2=99, p3="high", p4=0))
    assert [fault.pointer for fault in refused.value.faults] == [pointer for pointer, _ in PLACES[2:]]


def test_null_is_nobody_giving_one():
    lifted = lift(body_with(p0=None, p1=None, p2=None, p3=None, p4=None), own_route=True)
    assert (lifted.priority, lifted.effective) == (None, 3)
    assert lift(body_with(p1=None, p3=7)).priority == 7


def test_nothing_behind_meets_a_priority_but_the_workflows():
    lifted = lift(body_with(p0=1, p1=2, p2=3, p3=4, p4=5), own_route=True)
    assert lifted.body == {"prompt": {"1": NODE}, "extra_data": workflow(5)}


def test_the_body_handed_in_is_not_changed():
    body = body_with(p0=1, p1=2, p2=3, p3=4, p4=5)
    before = copy.deepcopy(body)
    lift(body, own_route=True)
    assert body == before


def test_on_stock_prompt_the_plain_key_belongs_to_the_client():
    lifted = lift({"prompt": {}, "priority": "whatever"})
    assert (lifted.priority, lifted.body) == (None, {"prompt": {}, "priority": "whatever"})


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"prompt": None, "extra_data": None},
        {"prompt": ["_priority"], "extra_data": "_priority"},
        {"extra_data": {"extra_pnginfo": "x"}},
        {"extra_data": {"extra_pnginfo": {"workflow": {"extra": []}}}},
        {"extra_data": {"extra_pnginfo": {"workflow": {"extra": {"expeditor": 5}}}}},
    ],
)
def test_bodies_of_any_shape_have_no_priority(body):
    assert (lift(body).priority, lift(body).body) == (None, body)


def test_a_wrong_priority_is_taken_out_all_the_same():
    lifted = take({"prompt": {"_priority": 99, "1": NODE}, "extra_data": {"_priority": 4}})
    assert lifted.body == {"prompt": {"1": NODE}, "extra_data": {}}
    assert lifted.priority == 4
    assert [fault.pointer for fault in lifted.faults] == ["/prompt/_priority"]


def test_a_long_value_is_not_repeated_whole():
    with pytest.raises(InputInvalid) as refused:
        lift({"_priority": "x" * 1_000_000})
    assert len(refused.value.message) < 300
    assert refused.value.message.startswith(RULE)
