"""Reading bodies and weighing prompts: nothing a client sends may raise anything but a refusal, or cost our stack."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expeditor.intake.limits import nodes_fault, parse_body, value_faults
from expeditor.jobs.errors import InvalidJson, LimitExceeded, Refused
from tests.unit.intake.fake_definitions import refusal_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=30,
)


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max((depth_of(part) for part in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((depth_of(part) for part in value), default=0)
    return 0


@settings(deadline=None)
@given(JSON)
def test_what_is_json_and_small_is_read_as_json_reads_it(value: Any) -> None:
    assert parse_body(json.dumps(value).encode(), 10**6, 200) == value


@settings(deadline=None)
@given(JSON, st.integers(0, 6))
def test_the_depth_limit_is_exact(value: Any, limit: int) -> None:
    raw = json.dumps(value).encode()
    if depth_of(value) > limit:
        with pytest.raises(LimitExceeded):
            parse_body(raw, 10**6, limit)
    else:
        assert parse_body(raw, 10**6, limit) == value


@settings(deadline=None)
@given(st.text(alphabet='[]{}"\\a', max_size=30))
def test_brackets_inside_strings_are_no_depth(text: str) -> None:
    assert parse_body(json.dumps([text]).encode(), 10**6, 1) == [text]


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    refused = refusal_of(parse_body, raw, 100, 8)
    assert refused is None or refused.message


@pytest.mark.parametrize(
    ("raw", "error", "says"),
    [
        (b"", InvalidJson, "empty"),
        (b" \n\t", InvalidJson, "empty"),
        (b"hello", InvalidJson, "line 1 column 1"),
        (b'{"a": ', InvalidJson, "not valid JSON"),
        (b'"\xff"', InvalidJson, "byte 1"),
        (b"9" * 5000, InvalidJson, "number"),
        (b"[" * 100_000 + b"]" * 100_000, LimitExceeded, "deeper than 64"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, LimitExceeded, "deeper than 64"),
        (b"[" * 65 + b"]" * 65, LimitExceeded, "deeper than 64"),
    ],
)
def test_unreadable_bodies_say_why(raw: bytes, error: type[Refused], says: str) -> None:
    with pytest.raises(error, match=says):
        parse_body(raw, 10**6, 64)


def test_too_many_bytes_are_refused_before_they_are_read() -> None:
    with pytest.raises(LimitExceeded) as caught:
        parse_body(b"not even JSON", 5, 64)
    assert caught.value.too_large
    assert caught.value.details == {"limit_bytes": 5, "bytes": 13}


def test_nan_and_infinity_are_read_as_comfyui_reads_them() -> None:
    values = parse_body(b"[NaN, Infinity, 1e400]", 100, 4)
    assert math.isnan(values[0])
    assert values[1:] == [math.inf, math.inf]


def test_what_is_not_utf_8_is_refused_with_its_place() -> None:
    with pytest.raises(InvalidJson, match="byte 2"):
        parse_body('["é"]'.encode("latin-1"), 100, 4)


def prompt_with(value: Any) -> dict[str, Any]:
    return {"a/b": {"class_type": "X", "inputs": {"x~y": value}}}


@pytest.mark.parametrize(
    ("value", "faulty"),
    [
        ([[1]], False),
        ([[[1]]], True),
        ({"a": {"b": {}}}, True),
        ("x" * 10, False),
        ("x" * 11, True),
        ("é" * 6, True),
        (["x" * 11], True),
        ("\ud800\ud800\ud800", False),
        (5, False),
    ],
)
def test_values_are_weighed(value: Any, faulty: bool) -> None:
    faults = list(value_faults(prompt_with(value), max_depth=2, max_string_bytes=10))
    assert [fault.pointer for fault in faults] == (["/prompt/a~1b/inputs/x~0y"] if faulty else [])


def test_properties_beside_the_inputs_are_weighed_too() -> None:
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    prompt = {"1": {"class_type": "X", "inputs": {}, "_meta": {"title": deep}}}
    assert [fault.pointer for fault in value_faults(prompt, 64, 100)] == ["/prompt/1/_meta"]


def test_the_number_of_nodes_is_bounded() -> None:
    assert nodes_fault(10, 10) is None
    fault = nodes_fault(11, 10)
    assert fault is not None
    assert fault.code == "LIMIT_EXCEEDED"
