"""One literal against one declared input: core's coercion, and the hand check equal to JSON Schema."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from expeditor.intake.literals import Literal, Verdicts, unwrapped
from expeditor.jobs.definitions import InputDefinition
from tests.unit.intake.fake_definitions import declared

DECLARED = [
    declared("i", "INT", min=-5, max=10),
    declared("i", "INT"),
    declared("i", "INT", min=2.5),
    declared("f", "FLOAT", min=0.0, max=1.0),
    declared("f", "FLOAT"),
    declared("s", "STRING"),
    declared("b", "BOOLEAN"),
    declared("c", "COMBO", choices=["area", "red", ""]),
    declared("c", "COMBO", choices=[1, 2.5, True, "x", None]),
    declared("c", "COMBO", choices=[]),
    declared("v", "COMBO", options=["vangogh", "sketch"]),
    declared("v", "COMBO"),
    declared("m", "IMAGE"),
    declared("m", "MASK", required=False),
    declared("u", "IMAGE,MASK"),
    declared("a", "*"),
    declared("w", "CURVE"),
]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["16", " 7 ", "1_0", "3.5", "nan", "inf", "abc", "", "area", "vangogh", "x"])
    | st.text(max_size=8)
)
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=3), SCALARS, max_size=3)


def literal(of: InputDefinition, bounded: bool = True) -> Literal:
    return Literal(of, bounded=bounded)


@settings(deadline=None)
@given(st.sampled_from(DECLARED), st.booleans(), VALUES)
def test_what_the_hand_check_accepts_the_schema_accepts(of: InputDefinition, bounded: bool, value: Any) -> None:
    each = literal(of, bounded)
    if each.accepts(value):
        assert each.findings(value) == ()
        # And core would not change it, or only an integer into a float.
        assert each.canonical(value) == value or value != value  # noqa: PLR0124 - not a number equals nothing, itself included


@settings(deadline=None)
@given(st.sampled_from(DECLARED), st.booleans(), VALUES)
def test_a_canonical_value_that_the_schema_accepts_passes_the_hand_check(
    of: InputDefinition, bounded: bool, value: Any
) -> None:
    each = literal(of, bounded)
    canonical = each.canonical(value)
    if each.findings(value) == () and each.choices is None:
        plain = not (isinstance(canonical, float) and abs(canonical) > 2**53)
        assert each.accepts(canonical) or not plain


@settings(deadline=None)
@given(st.sampled_from([of for of in DECLARED if of.type == "COMBO"]), VALUES)
def test_choices_are_judged_as_their_schema_judges_them(of: InputDefinition, value: Any) -> None:
    each = literal(of)
    assert (each.findings(value) == ()) is Draft202012Validator(each.schema).is_valid(each.canonical(value))


def test_thousands_of_choices_are_not_searched() -> None:
    each = literal(declared("c", "COMBO", choices=[f"model {n}.safetensors" for n in range(5000)]))
    assert each.findings("model 4999.safetensors") == ()
    (finding,) = each.findings("model x.safetensors")
    assert "one of the 5000 choices" in finding.text
    assert each.validations == 0


@dataclass(frozen=True)
class Verdict:
    value: Any
    of: InputDefinition
    core_type: str | None
    fine: bool = False


NUMBER = declared("i", "INT", min=0, max=100)
SHARE = declared("f", "FLOAT", min=0.0, max=1.0)
VERDICTS = [
    *(Verdict(value, NUMBER, None, True) for value in (0, 100, "16", " 7 ", "1_0", 3.7, True, -0.5)),
    *(Verdict(value, NUMBER, "invalid_input_type") for value in (None, {}, "abc", "3.5", math.nan, math.inf, [1], "")),
    *(Verdict(value, NUMBER, "value_smaller_than_min") for value in (-1, "-1", -1.5)),
    *(Verdict(value, NUMBER, "value_bigger_than_max") for value in (101, "101", 10**30)),
    *(Verdict(value, SHARE, None, True) for value in (0, 1, 0.5, "0.5", True)),
    *(Verdict(value, SHARE, "invalid_input_type") for value in (None, {}, "abc", [], 10**400)),
    *(Verdict(value, SHARE, "value_bigger_than_max") for value in (1.01, math.inf, "inf")),
    Verdict(math.nan, SHARE, None),
    Verdict("nan", SHARE, None),
    Verdict(math.inf, declared("f", "FLOAT"), None),
    *(Verdict(value, declared("s", "STRING"), None, True) for value in ("", "x", 5, None, {"a": 1}, [1, 2, 3])),
    *(Verdict(value, declared("b", "BOOLEAN"), None, True) for value in (True, 0, "false", None, [], {})),
    Verdict(True, declared("c", "COMBO", choices=[1, 2]), None, True),
    Verdict(2.0, declared("c", "COMBO", choices=[1, 2]), None, True),
    Verdict("1", declared("c", "COMBO", choices=[1, 2]), "value_not_in_list"),
    Verdict(["a"], declared("c", "COMBO", choices=["a"]), "value_not_in_list"),
    Verdict("x", declared("c", "COMBO", choices=[]), "value_not_in_list"),
    Verdict("monet", declared("c", "COMBO", options=["vangogh"]), None),
    Verdict("monet", declared("c", "COMBO", options=["vangogh"], remote={"route": "/x"}), None, True),
    Verdict("x", declared("m", "IMAGE"), None),
    Verdict(None, declared("m", "IMAGE"), None),
    Verdict(None, declared("m", "IMAGE", required=False), None, True),
    Verdict("x", declared("m", "IMAGE", required=False), None),
    Verdict(["1", 0], declared("m", "IMAGE"), None),
    Verdict({"a": 1}, declared("w", "CURVE"), None, True),
    Verdict("x", declared("w", "CURVE,IMAGE"), None, True),
]


@pytest.mark.parametrize("case", VERDICTS, ids=lambda case: f"{case.of.type}-{str(case.value)[:12]}")
def test_the_verdict_is_cores(case: Verdict) -> None:
    findings = literal(case.of).findings(case.value)
    assert (findings == ()) is case.fine
    if findings:
        assert findings[0].core_type == case.core_type


def test_bounds_and_choices_are_not_judged_where_the_node_validates_itself() -> None:
    assert literal(NUMBER, bounded=False).findings(1000) == ()
    assert literal(NUMBER, bounded=False).findings("abc") != ()
    assert literal(declared("c", "COMBO", choices=["a"]), bounded=False).findings("b") == ()


def test_values_are_unwrapped_as_core_does() -> None:
    assert unwrapped({"__value__": ["a", "b"]}) == ["a", "b"]
    assert unwrapped({"__value__": 1, "more": 2}) == 1
    assert unwrapped({"value": 1}) == {"value": 1}
    assert unwrapped("x") == "x"


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(DECLARED), VALUES), max_size=30), st.integers(1, 4))
def test_the_memory_of_verdicts_changes_no_verdict(asked: list[tuple[InputDefinition, Any]], capacity: int) -> None:
    verdicts = Verdicts(capacity)
    literals = {id(of): literal(of) for of in DECLARED}
    for of, value in [*asked, *asked]:
        assert verdicts.findings(str(id(of)), literals[id(of)], value) == literal(of).findings(value)


def test_the_memory_saves_schema_validations_and_is_bounded() -> None:
    verdicts, each = Verdicts(2), literal(NUMBER)
    for _ in range(10):
        verdicts.findings("f", each, "abc")
    assert each.validations == 1
    for value in ("b", "c", "abc"):
        verdicts.findings("f", each, value)
    assert each.validations == 4  # "abc" had been forgotten
    verdicts.findings("g", each, "abc")
    assert each.validations == 5  # another fingerprint is another question


def test_a_huge_value_makes_a_small_message() -> None:
    (finding,) = literal(NUMBER).findings("x" * 5_000_000)
    assert len(finding.text) < 200
