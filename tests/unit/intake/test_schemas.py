"""JSON Schemas of classes and prompts: proper draft 2020-12, and the same verdict as the stages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from expeditor.intake.structure import NODE_SCHEMA, shape_of
from expeditor.intake.validation import PromptValidation, ValidationRules
from expeditor.jobs.errors import Refused
from tests.unit.intake.fake_definitions import ALL, BLEND, FakeDefinitions, declared, graph, node, refusal_of
from tests.unit.intake.test_limits import JSON


def validation(*definitions: Any) -> PromptValidation:
    return PromptValidation(FakeDefinitions(*definitions), ValidationRules(fill_defaults=False))


@pytest.mark.parametrize("class_type", [each.class_type for each in ALL])
def test_each_class_has_a_proper_schema(class_type: str) -> None:
    schema = validation().schema(class_type)
    assert schema is not None
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)
    assert json.loads(json.dumps(schema)) == schema


def test_an_unknown_class_has_none() -> None:
    assert validation().schema("Nope") is None


def test_the_schema_of_prompts_holds_every_class_and_follows_the_declaration() -> None:
    definitions = FakeDefinitions()
    checked = PromptValidation(definitions, ValidationRules())
    schema = checked.schemas()
    Draft202012Validator.check_schema(schema)
    assert set(schema["$defs"]) == {each.class_type for each in ALL}
    validator = Draft202012Validator(schema)
    assert validator.is_valid(graph())
    assert not validator.is_valid({**graph(), "9": {"class_type": "Nope", "inputs": {}}})
    assert not validator.is_valid({**graph(), "9": {"class_type": "EmptyImage", "inputs": {"width": 0}}})
    assert checked.schema("EmptyImage") is checked.schema("EmptyImage")
    definitions.change("ImageScale", "crop", choices=("left",))
    assert not Draft202012Validator(checked.schemas()).is_valid(graph())


def test_names_that_a_pointer_or_an_address_would_misread_are_found() -> None:
    odd = node("a/b ~ü#%", declared("x", "INT"), output=True)
    validator = Draft202012Validator(validation(odd).schemas())
    assert validator.is_valid({"1": {"class_type": odd.class_type, "inputs": {"x": 1}}})
    assert not validator.is_valid({"1": {"class_type": odd.class_type, "inputs": {"x": "a"}}})


def test_declarations_that_are_no_json_are_shown_as_text() -> None:
    odd = node(
        "Odd",
        declared("x", "INT", default=object(), min=float("-inf")),
        declared("y", "COMBO", choices=[object(), "a"]),
    )
    schema = validation(odd).schema("Odd")
    Draft202012Validator.check_schema(schema)
    json.dumps(schema, allow_nan=False)


def test_meta_wrapped_values_and_dotted_names_are_not_forbidden() -> None:
    schema = validation().schema("Anything")
    assert schema is not None
    node_of = {
        "class_type": "Anything",
        "inputs": {"value": {"__value__": [1]}, "a.b": 1},
        "_meta": {"title": "x"},
        "more": 1,
    }
    assert Draft202012Validator(schema).is_valid(node_of)


# Values in canonical form: those that core would not change before it judges.
CANONICAL = {
    "factor": st.floats(-1, 2, allow_nan=False) | st.none(),
    "free": st.floats(allow_nan=False, allow_infinity=False) | st.just("abc"),
    "note": st.text(max_size=3),
    "flip": st.booleans(),
    "level": st.sampled_from([1, 2, 3, 4, "x"]),
}


@settings(deadline=None)
@given(st.fixed_dictionaries({}, optional={"a": st.sampled_from([["1", 0], "x", 5]), **CANONICAL}))
def test_the_published_schema_and_the_stage_say_the_same(inputs: dict[str, Any]) -> None:
    checked = validation()
    fields = {"class_type": BLEND.class_type, "inputs": inputs}
    schema = checked.schema(BLEND.class_type)
    assert schema is not None
    by_schema = {
        error.path[1] if len(error.path) > 1 else error.message.split("'")[1]
        for error in Draft202012Validator(schema).iter_errors(fields)
    }
    error = refusal_of(checked.submit, {**graph(), "9": fields})
    by_stage = {fault.input_name for fault in error.faults} if isinstance(error, Refused) else set()
    assert by_schema == by_stage


@settings(deadline=None)
@given(JSON | st.dictionaries(st.sampled_from(["class_type", "inputs", "x"]), JSON, max_size=3))
def test_the_structure_stage_is_its_schema(value: Any) -> None:
    found = shape_of({"1": value}, numeric_ids_only=False).all
    assert (not found) is Draft202012Validator(NODE_SCHEMA).is_valid(value)
