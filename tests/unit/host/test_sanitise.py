"""What nodes return, made safe for history: clean results untouched, everything else as text, whatever its shape."""

from __future__ import annotations

import json

import pytest

from expeditor.host.sanitise import LENGTH, json_safe


class FailingText:
    """An object that cannot even say what it is."""

    def __repr__(self):
        raise RuntimeError("no words")


def inside_itself():
    value: list = []
    value += [value, value, "x"]
    return value


def deep(levels):
    value: list = []
    for _ in range(levels):
        value = [value]
    return value


def test_a_clean_result_is_handed_back_itself():
    clean = {"outputs": {"9": {"images": [{"filename": "a.png"}], "text": ("a", 1, 2.5, None, True)}}}
    assert json_safe(clean) is clean


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({1, }, "{1}"),
        (b"abc", "b'abc'"),
        (object, "<class 'object'>"),
        (FailingText(), "<FailingText>"),
        ({(1, 2): "tuple key"}, {"(1, 2)": "tuple key"}),
        ((b"x", 1), ["b'x'", 1]),
        ([b"x", None, True, 1.5, "s"], ["b'x'", None, True, 1.5, "s"]),
        ([b"x", inside_itself()], ["b'x'", ["...", "...", "x"]]),
    ],
)  # fmt: skip
def test_what_json_cannot_say_becomes_text(value, shown):
    before = {"outputs": {"9": value}}
    after = json_safe(before)
    assert after == {"outputs": {"9": shown}}
    assert before["outputs"]["9"] is value


class FailingDict(dict):
    """A node's own mapping that fails while it is walked."""

    def items(self):
        raise OSError("its file is gone")


def test_a_container_that_fails_while_it_is_walked_becomes_text():
    assert json_safe({"outputs": {"9": {"a": [FailingDict(a=1)], "b": 1}}}) == {
        "outputs": {"9": {"a": ["{'a': 1}"], "b": 1}}
    }


@pytest.mark.parametrize("value", [deep(100_000), [10**5_000], {b"x": -(10**5_000)}, "x", {FailingText(): 1}])
def test_the_result_can_always_be_written(value):
    after = json_safe({"outputs": {"9": [value, b"x"]}})
    assert len(json.dumps(after)) < 10_000


def test_texts_are_cut():
    assert len(json_safe({"x": b"y" * 10_000})["x"]) == LENGTH
