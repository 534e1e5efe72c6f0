"""Sweeps and inputs of the command line: what is written, and what it comes to."""

from __future__ import annotations

import pytest

from expeditor.client.faults import BadInput
from expeditor.client.sweeps import MOST_ITEMS, axes_of, count_of, items_of
from expeditor.client.workflow import Target, assignment, misspelt, value_of, with_inputs

SEED, TEXT, SIZE = Target("3", "seed"), Target("6", "text"), Target("5", "width")


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ("3.seed=1..4", [1, 2, 3, 4]),
        ("3.seed=4..1", [4, 3, 2, 1]),
        ("3.seed=0..10..5", [0, 5, 10]),
        ("3.seed=10..0..-4", [10, 6, 2]),
        ("3.seed=0..1..0.25", [0.0, 0.25, 0.5, 0.75, 1.0]),
        ("3.seed=7..7", [7]),
        ("3.seed=18446744073709551614..18446744073709551615", [18446744073709551614, 18446744073709551615]),
        ("3.seed=a,b", ["a", "b"]),
        ("3.seed=1,true,x", [1, True, "x"]),
        ('3.seed=["a,b", 2]', ["a,b", 2]),
        ("3.seed=5", [5]),
    ],
)
def test_the_ways_to_write_values(written, values):
    (axis,) = axes_of([written], [])
    assert [step[0] for step in axis.steps] == values
    assert [type(step[0]) for step in axis.steps] == [type(value) for value in values]


def test_a_file_has_one_text_a_line(tmp_path):
    file = tmp_path / "texts.txt"
    file.write_text("a cat, asleep\n\n5\n", encoding="utf-8")
    (axis,) = axes_of([f"6.text=@{file}"], [])
    assert [step[0] for step in axis.steps] == ["a cat, asleep", "5"]


def test_sweeps_multiply_and_zips_walk_together():
    axes = axes_of(["3.seed=1..2"], ["6.text=a,b,c", "5.width=64,128,256"])
    items = items_of(axes)
    assert count_of(axes) == len(items) == 6
    assert items[0] == {SEED: 1, TEXT: "a", SIZE: 64}
    assert items[1] == {SEED: 1, TEXT: "b", SIZE: 128}
    assert items[-1] == {SEED: 2, TEXT: "c", SIZE: 256}


def test_no_axes_are_one_item():
    assert items_of([]) == [{}]


@pytest.mark.parametrize(
    ("sweeps", "zips", "said"),
    [
        ([], ["3.seed=1..2", "6.text=a,b,c"], "3.seed has 2, 6.text has 3"),
        (["3.seed=1..2", "3.seed=5"], [], "3.seed is swept twice"),
        (["3.seed="], [], "names no values"),
        (["seed=1"], [], "NODE.INPUT=VALUE"),
        (["3.seed"], [], "NODE.INPUT=VALUE"),
        (["3.seed=1..5..-1"], [], "leads nowhere"),
        (["3.seed=1..5..0"], [], "leads nowhere"),
        (["3.seed=[1"], [], "JSON list"),
        (["3.seed=@nowhere.txt"], [], "cannot be read"),
        ([f"3.seed=1..{MOST_ITEMS + 1}"], [], "at most"),
    ],
)
def test_what_makes_no_sense_is_said(sweeps, zips, said):
    with pytest.raises(BadInput, match=said.replace(".", r"\.")):
        items_of(axes_of(sweeps, zips))


def test_a_product_that_is_too_large_is_counted_before_it_is_made():
    axes = axes_of([f"{node}.x=1..1000" for node in range(4)], [])
    with pytest.raises(BadInput, match="1,000,000,000,000 jobs"):
        items_of(axes)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("-0.5", -0.5),
        ("true", True),
        ('"5"', "5"),
        ("a cat", "a cat"),
        ('["4", 0]', ["4", 0]),
        ("NaN", "NaN"),
    ],
)
def test_a_value_is_json_where_it_is_json(text, value):
    assert value_of(text) == value


def test_an_assignment_splits_at_the_first_dot_and_equals():
    assert assignment("12:3.dotted.name=a=b") == (Target("12:3", "dotted.name"), "a=b")


def test_inputs_are_set_in_a_copy():
    prompt = {"3": {"class_type": "K", "inputs": {"seed": 1}}, "4": {"class_type": "L"}}
    changed = with_inputs(prompt, {SEED: 9, Target("4", "x"): 1})
    assert changed == {"3": {"class_type": "K", "inputs": {"seed": 9}}, "4": {"class_type": "L", "inputs": {"x": 1}}}
    assert prompt["3"]["inputs"]["seed"] == 1


def test_a_node_that_is_not_there_is_named_with_its_neighbours():
    with pytest.raises(BadInput, match=r"no node 33 \(it has 3\)"):
        with_inputs({"3": {"class_type": "K"}, "9": {"class_type": "L"}}, {Target("33", "seed"): 1})


def test_a_misspelt_input_is_noticed():
    prompt = {"3": {"class_type": "K", "inputs": {"seed": 1, "steps": 20}}}
    assert misspelt(prompt, [SEED]) == []
    (said,) = misspelt(prompt, [Target("3", "sead")])
    assert "no input sead so far (it has seed)" in said
