"""The small parts of validation: pointers, hints, types of links, core's shape, bodies of other stock routes."""

from __future__ import annotations

from typing import Any

import pytest

from expeditor.intake import stock_bodies
from expeditor.intake.core_shape import core_error
from expeditor.intake.faults import pointer, refusal, shown
from expeditor.intake.hints import Hints
from expeditor.intake.inputs import types_fit
from expeditor.jobs.definitions import combo_type
from expeditor.jobs.errors import Fault, InvalidPromptId, LimitExceeded, QueueFull, Refused
from tests.unit.intake.fake_definitions import declared


def test_pointers_are_escaped_as_rfc_6901_says() -> None:
    assert pointer("prompt", "a/b~c", "inputs", "") == "/prompt/a~1b~0c/inputs/"
    assert pointer() == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (1, "1"),
        (1.5, "1.5"),
        ("a", "'a'"),
        ("x" * 500, "'" + "x" * 80 + "'…"),
        (10**4000, "an integer of more than 38 digits"),
        ([], "[]"),
        (["1", 0], "['1', 0]"),
        ([[1], 2], "a list of 2"),
        ([0] * 9999, "a list of 9999"),
        ({}, "{}"),
        ({"a": 1}, "an object with 1 key"),
        ({"a": 1, "b": 2}, "an object with 2 keys"),
    ],
)
def test_values_are_shown_briefly(value: Any, text: str) -> None:
    assert shown(value) == text


def test_the_first_fault_names_the_error() -> None:
    faults = [Fault("/a", "LIMIT_EXCEEDED", "Too deep."), Fault("/b", "INVALID_PROMPT", "Bad.")]
    error = refusal(faults, 10)
    assert isinstance(error, LimitExceeded)
    assert error.message.startswith("Too deep.")
    assert error.faults == tuple(faults)


def test_hints_find_the_nearest_name_once_per_name() -> None:
    hints = Hints()
    assert hints.nearest("KSampler", "classes", ["KSampler", "VAEDecode"]) == "KSampler"
    assert hints.nearest("ksampler ", "classes", []) == "KSampler"
    assert hints.comparisons_left == 10_000  # equal but for case: looked up
    assert hints.nearest("KSampel", "classes", []) == "KSampler"
    left = hints.comparisons_left
    assert left < 10_000
    assert hints.nearest("KSampel", "classes", []) == "KSampler"
    assert hints.nearest("nothing like it at all", "classes", []) is None
    assert hints.nearest("x" * 1000, "classes", []) is None
    assert hints.comparisons_left == left - 2


def test_hints_stop_searching_when_their_work_is_used_up() -> None:
    hints = Hints(comparisons=5)
    names = [f"name number {n}" for n in range(10)]
    assert hints.nearest("name numbr 3", "g", names) is not None
    assert hints.nearest("name numbr 4", "g", names) is None
    assert hints.nearest("NAME NUMBER 4", "g", names) == "name number 4"


class FitsAnything(str):
    """How packs make a type that fits anything."""

    __slots__ = ()

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = str.__hash__


CHOICES = declared("c", "COMBO", choices=["a", "b"])


@pytest.mark.parametrize(
    ("received", "wanted", "fits"),
    [
        ("IMAGE", "IMAGE", True),
        ("MASK", "IMAGE", False),
        ("IMAGE,MASK", "IMAGE", True),
        ("IMAGE", "MASK, IMAGE", True),
        ("INT", "FLOAT", False),
        ("*", "IMAGE", True),
        ("IMAGE", "*", True),
        (FitsAnything("X"), "IMAGE", True),
        ("IMAGE", FitsAnything("X"), True),
        ("COMFY_MATCHTYPE_V3", "IMAGE", True),
        (combo_type(("a", "b")), "COMBO", True),
        (combo_type(("a", "b")), "STRING", False),
    ],
)
def test_types_of_links_fit_as_in_core(received: str, wanted: str, fits: bool) -> None:
    assert types_fit(received, declared("x", wanted)) is fits


@pytest.mark.parametrize(
    ("received", "fits"),
    [
        (combo_type(("a", "b")), True),
        (combo_type(("a",)), False),
        ("COMBO", False),
        ("STRING", False),
        (FitsAnything("*"), True),
    ],
)
def test_a_combo_takes_an_output_of_the_same_choices(received: str, fits: bool) -> None:
    assert types_fit(received, CHOICES) is fits


def test_a_refusal_in_cores_shape_marks_the_node() -> None:
    fault = Fault(
        "/prompt/3/inputs/width",
        "INPUT_INVALID",
        "Too small.",
        hint="try 1",
        node_id="3",
        class_type="EmptyImage",
        input_name="width",
        core_type="value_smaller_than_min",
        core_details="width",
    )
    answer = core_error(refusal([fault, Fault("/prompt", "LIMIT_EXCEEDED", "And more.")], 10))
    assert answer["error"]["type"] == "prompt_outputs_failed_validation"
    assert answer["error"]["message"].startswith("INPUT_INVALID: Too small.")
    assert answer["error"]["extra_info"]["code"] == "INPUT_INVALID"
    assert [each["pointer"] for each in answer["error"]["extra_info"]["errors"]] == ["/prompt"]
    assert answer["node_errors"] == {
        "3": {
            "errors": [
                {
                    "type": "value_smaller_than_min",
                    "message": "Too small.",
                    "details": "width",
                    "extra_info": {
                        "code": "INPUT_INVALID",
                        "pointer": "/prompt/3/inputs/width",
                        "input_name": "width",
                        "hint": "try 1",
                    },
                }
            ],
            "dependent_outputs": [],
            "class_type": "EmptyImage",
        }
    }


def test_errors_without_faults_have_cores_shape_too() -> None:
    assert core_error(QueueFull("Full.", details={"limit": 5})) == {
        "error": {
            "type": "QUEUE_LIMIT",
            "message": "QUEUE_FULL: Full.",
            "details": "",
            "extra_info": {"code": "QUEUE_FULL", "limit": 5},
        },
        "node_errors": {},
    }
    assert core_error(InvalidPromptId())["error"]["type"] == "invalid_prompt_id"


@pytest.mark.parametrize(
    ("check", "bad", "good"),
    [
        (
            stock_bodies.check_queue,
            [None, 5, True, ["delete"], "clear all", {"delete": 5}, {"delete": None}],
            [{}, [], "abc", {"delete": []}, {"delete": ["a", 5, None, {}]}, {"delete": "abc"}, {"clear": "yes"}],
        ),
        (
            stock_bodies.check_history,
            [None, 5, ["clear"], {"delete": 5}, {"delete": [{}]}, {"delete": ["a", []]}],
            [{}, [], {"delete": ["a", 5, None]}, {"delete": {"a": 1}}, {"clear": None}],
        ),
        (stock_bodies.check_free, [None, 5, [], "abc"], [{}, {"unload_models": "x", "free_memory": []}]),
        (
            stock_bodies.check_interrupt,
            [b"null", b"5", b"[]", b'"x"', b'"\xff"', b"[" * 100_000 + b"]" * 100_000, b"9" * 5000],
            [b"", b"nonsense", b"{}", b'{"prompt_id": {}}'],
        ),
        (stock_bodies.check_max_items, ["abc", "", "1.5", "9" * 5000], ["0", "-1", " 7 "]),
    ],
)
def test_bodies_of_other_stock_routes(check: Any, bad: list[Any], good: list[Any]) -> None:
    for body in bad:
        with pytest.raises(Refused) as caught:
            check(body)
        assert caught.value.message
    for body in good:
        check(body)
