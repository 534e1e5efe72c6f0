"""Sweeps: what they make, in which order, and every fault with its place."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expeditor.intake.sweep import aim, check_count, read_sweep
from expeditor.jobs.errors import LimitExceeded, Refused

PROMPT: dict[str, Any] = {
    "3": {"class_type": "Sampler", "inputs": {"seed": 1, "cfg": 8.0, "model": ["4", 0]}},
    "6": {"class_type": "Text", "inputs": {"text": "a", "a.b": "dotted"}},
    "12:3": {"class_type": "Text", "inputs": {"text": "inner"}},
    "7.5": {"class_type": "Text", "inputs": {"text": "odd id"}},
    "4": {"class_type": "Open", "inputs": {}},
}
NAMES = {"Sampler": frozenset({"seed", "cfg", "model", "steps"}), "Text": frozenset({"text"}), "Open": None}


def made(raw: Any) -> list[dict[str, Any]]:
    sweep = read_sweep(raw)
    return [sweep.values(index) for index in range(sweep.count)]


def faults(raw: Any) -> list[tuple[str, str]]:
    """Pointer and message of each fault."""
    with pytest.raises(Refused) as refused:
        aim(read_sweep(raw), PROMPT, NAMES.get)
    return [(fault.pointer, fault.message) for fault in refused.value.faults]


def test_a_product_is_each_with_each_and_the_last_input_changes_fastest():
    values = made({"product": {"3.seed": [1, 2], "6.text": ["a", "b", "c"]}})
    assert values == [{"3.seed": s, "6.text": t} for s, t in itertools.product([1, 2], "abc")]


def test_a_zip_walks_together():
    assert made({"zip": {"3.seed": [1, 2], "6.text": ["a", "b"]}}) == [
        {"3.seed": 1, "6.text": "a"},
        {"3.seed": 2, "6.text": "b"},
    ]


def test_parts_are_multiplied_in_their_order():
    raw = [
        {"zip": {"3.seed": [1, 2], "3.cfg": [4.0, 8.0]}},
        {"product": {"6.text": ["a"]}, "zip": {"12:3.text": ["x", "y"]}},
    ]
    assert made(raw) == [
        {"3.seed": s, "3.cfg": c, "6.text": "a", "12:3.text": x}
        for (s, c), x in itertools.product([(1, 4.0), (2, 8.0)], "xy")
    ]


@given(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_every_combination_comes_once(lengths):
    raw = {"product": {f"n.{at}": list(range(length)) for at, length in enumerate(lengths)}}
    values = [tuple(each.values()) for each in made(raw)]
    assert values == list(itertools.product(*(range(length) for length in lengths)))


def test_an_item_is_the_prompt_with_its_values_and_shares_the_rest():
    swept = aim(read_sweep({"zip": {"3.seed": [5, 6], "6.a.b": ["x", "y"], "7.5.text": ["p", "q"]}}), PROMPT, NAMES.get)
    item = swept.item(1)
    assert (item["3"]["inputs"]["seed"], item["6"]["inputs"]["a.b"], item["7.5"]["inputs"]["text"]) == (6, "y", "q")
    assert item["3"]["inputs"]["model"] == ["4", 0]
    assert item["12:3"] is PROMPT["12:3"]
    assert PROMPT["3"]["inputs"]["seed"] == 1
    assert list(item) == list(PROMPT)
    assert swept.pointers(1) == {
        "/prompt/3/inputs/seed": "/sweep/zip/3.seed/1",
        "/prompt/6/inputs/a.b": "/sweep/zip/6.a.b/1",
        "/prompt/7.5/inputs/text": "/sweep/zip/7.5.text/1",
    }


@pytest.mark.parametrize("key", ["3.steps", "4.anything"])
def test_an_input_that_the_prompt_leaves_out_can_be_swept_if_the_class_may_have_it(key):
    swept = aim(read_sweep({"product": {key: [1, 2]}}), PROMPT, NAMES.get)
    node_id, name = key.split(".")
    assert swept.item(1)[node_id]["inputs"][name] == 2


@pytest.mark.parametrize(
    ("raw", "pointers"),
    [
        (None, ["/sweep"]),
        ([], ["/sweep"]),
        ({}, ["/sweep"]),
        ([{}], ["/sweep/0"]),
        (["x", {"product": {"3.seed": [1]}}], ["/sweep/0"]),
        ({"3.seed": [1]}, ["/sweep/3.seed"]),
        ({"zip": []}, ["/sweep/zip"]),
        ({"zip": {}}, ["/sweep/zip"]),
        (
            {"product": {"3.seed": 1, "3.cfg": [], "6.text": "abc"}},
            ["/sweep/product/3.seed", "/sweep/product/3.cfg", "/sweep/product/6.text"],
        ),
        (
            {"zip": {"3.seed": [1, 2], "3.cfg": [1], "6.text": ["a", "b", "c"]}},
            ["/sweep/zip/3.cfg", "/sweep/zip/6.text"],
        ),
        ({"zip": {"3.seed": [1]}, "product": {"3.seed": [1]}}, ["/sweep/product/3.seed"]),
        ([{"zip": {"3.seed": [1]}}, {"zip": {"3.seed": [1]}}], ["/sweep/1/zip/3.seed"]),
        ({"product": {"seed": [1]}}, ["/sweep/product/seed"]),
        ({"product": {"9.seed": [1]}}, ["/sweep/product/9.seed"]),
        ({"product": {"3.sed": [1]}}, ["/sweep/product/3.sed"]),
        ({"product": {"3.model": [1]}}, ["/sweep/product/3.model"]),
        ({"product": {"3.seed": [1, ["4", 0]]}}, ["/sweep/product/3.seed/1"]),
        ({"product": {"a/b.c~d": [1]}}, ["/sweep/product/a~1b.c~0d"]),
    ],
)
def test_every_fault_has_its_place(raw, pointers):
    assert [pointer for pointer, _ in faults(raw)] == pointers


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"zip": {"3.seed": [1, 2], "3.cfg": [1]}}, "3.cfg has 1 values and 3.seed 2"),
        ({"product": {"3.model": [1]}}, "holds a link to node 4"),
        ({"product": {"9.seed": [1]}}, "no node 9"),
        ({"product": {"3.sed": [1]}}, "Node 3 (Sampler) has no input sed"),
    ],
)
def test_a_fault_says_what_is_wrong(raw, words):
    assert words in faults(raw)[0][1]


@pytest.mark.parametrize(
    ("raw", "hint"),
    [
        ({"3.seed": [1]}, 'Did you mean {"product": {"3.seed": [...]}}?'),
        ({"product": {"3.sed": [1]}}, "Did you mean 3.seed?"),
        ({"product": {"12:4.text": [1]}}, "Did you mean 12:3?"),
    ],
)
def test_a_slip_is_hinted_at(raw, hint):
    with pytest.raises(Refused) as refused:
        aim(read_sweep(raw), PROMPT, NAMES.get)
    assert refused.value.faults[0].hint == hint


def test_the_count_is_known_before_anything_is_made():
    sweep = read_sweep({"product": {f"3.{n}": list(range(1000)) for n in range(6)}})
    assert sweep.count == 1000**6
    with pytest.raises(LimitExceeded) as refused:
        check_count(sweep.count, 1000, "/sweep")
    assert refused.value.details == {"count": 1000**6, "most": 1000}


def test_faults_are_bounded():
    assert len(faults({"product": {f"9.{n}": [1] for n in range(5000)}})) == 100
