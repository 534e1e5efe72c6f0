"""`PromptValidation.submit`: every stage, strictly, all faults of a stage at once."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expeditor.intake.core_shape import core_error
from expeditor.intake.validation import PromptValidation, ValidationRules
from expeditor.jobs.errors import (
    Cycle,
    InputInvalid,
    InvalidPrompt,
    LimitExceeded,
    LinkInvalid,
    NodeNotAllowed,
    NoOutput,
    Refused,
    UnknownNode,
)
from tests.unit.intake.fake_definitions import FakeDefinitions, graph, refusal_of
from tests.unit.intake.test_limits import JSON


def validation(**rules: Any) -> PromptValidation:
    return PromptValidation(FakeDefinitions(), ValidationRules(**rules))


def with_inputs(node_id: str, **inputs: Any) -> dict[str, Any]:
    prompt = graph()
    prompt[node_id]["inputs"].update(inputs)
    return prompt


def refused(prompt: Any, kind: type[Refused], **rules: Any) -> Refused:
    with pytest.raises(kind) as caught:
        validation(**rules).submit(prompt)
    assert caught.value.faults
    return caught.value


def pointers(error: Refused) -> list[str]:
    return [fault.pointer for fault in error.faults]


def test_a_good_prompt_comes_back_as_it_is() -> None:
    prompt = graph()
    assert validation().submit(prompt).prompt is prompt
    assert prompt == graph()


@pytest.mark.parametrize("prompt", [None, 5, "abc", [], [graph()["1"]], True])
def test_a_prompt_is_an_object(prompt: Any) -> None:
    assert pointers(refused(prompt, InvalidPrompt)) == ["/prompt"]


def test_all_faults_of_the_structure_are_told_at_once() -> None:
    prompt = {**graph(), "a": None, "b": {"inputs": {}}, "c": {"class_type": [], "inputs": 5}, "d/~": "x"}
    assert pointers(refused(prompt, InvalidPrompt)) == [
        *("/prompt/a", "/prompt/c/class_type", "/prompt/c/inputs", "/prompt/d~1~0", "/prompt/b"),
    ]


def test_node_ids_are_free_unless_only_digits_are_wanted() -> None:
    prompt = {**graph(), "12:3": graph()["1"], "": graph()["1"], "٣": graph()["1"], "7": graph()["1"]}
    validation().submit(prompt)
    assert pointers(refused(prompt, InvalidPrompt, numeric_ids_only=True)) == ["/prompt/12:3", "/prompt/", "/prompt/٣"]


def test_limits_come_before_everything_that_costs() -> None:
    refused({str(n): {"class_type": "Nope", "inputs": {}} for n in range(11)}, LimitExceeded, max_nodes=10)
    error = refused(
        with_inputs("1", width={"a": {"b": {"c": 1}}}, color="x" * 50), LimitExceeded, max_depth=2, max_string_bytes=40
    )
    assert pointers(error) == ["/prompt/1/inputs/width", "/prompt/1/inputs/color"]


def test_the_servers_lists_decide_over_classes() -> None:
    assert pointers(refused(graph(), NodeNotAllowed, deny=("Image*",))) == ["/prompt/2/class_type"]
    assert pointers(refused(graph(), NodeNotAllowed, allow=("*Image",))) == ["/prompt/2/class_type"]
    validation(allow=("*Image", "ImageScal?"), deny=("image*",)).submit(graph())
    assert len(refused(graph(), NodeNotAllowed, allow=("*",), deny=("*",)).faults) == 3


def test_unknown_classes_are_all_told_with_the_nearest_name() -> None:
    prompt = graph()
    prompt["1"]["class_type"], prompt["3"]["class_type"] = "EmptyImge", "saveimage"
    error = refused(prompt, UnknownNode)
    assert [fault.hint for fault in error.faults] == ["did you mean 'EmptyImage'?", "did you mean 'SaveImage'?"]


def test_a_class_that_the_server_would_replace_is_left_to_core() -> None:
    prompt = graph()
    prompt["3"]["class_type"] = "OldSave"
    PromptValidation(FakeDefinitions(), ValidationRules(), replaceable=lambda name: name == "OldSave").submit(prompt)


@pytest.mark.parametrize("prompt", [{}, {"1": graph()["1"]}])
def test_there_must_be_something_to_run(prompt: dict[str, Any]) -> None:
    assert pointers(refused(prompt, NoOutput)) == ["/prompt"]


def test_links_of_all_inputs_of_all_nodes_are_resolved() -> None:
    prompt = with_inputs("2", image=["7", 0], other=["1", 4])
    prompt["9"] = {"class_type": "Blend", "inputs": {"a": ["8", 0]}}
    assert pointers(refused(prompt, LinkInvalid)) == [
        *("/prompt/2/inputs/image", "/prompt/2/inputs/other", "/prompt/9/inputs/a"),
    ]


def test_cycles_are_told_with_their_path() -> None:
    error = refused(with_inputs("2", image=["2", 0]), Cycle)
    assert "2 → 2" in error.faults[0].message


def test_faults_of_inputs_are_told_at_once_with_hints() -> None:
    prompt = with_inputs("2", crop="centre", width="abc", height=99_999, other="fine")
    prompt["3"]["inputs"] = {"image": ["2", 0], "filename_prefix": "x"}
    error = refused(prompt, InputInvalid)
    told = {fault.pointer: fault for fault in error.faults}
    assert set(told) == {f"/prompt/2/inputs/{name}" for name in ("crop", "width", "height")} | {
        "/prompt/3/inputs/images"
    }
    assert told["/prompt/2/inputs/crop"].hint == "did you mean 'center'?"
    assert told["/prompt/3/inputs/images"].hint == "'image' is no input of this class; did you mean 'images'?"
    assert {fault.core_type for fault in error.faults} == {
        *("value_not_in_list", "invalid_input_type", "value_bigger_than_max", "required_input_missing"),
    }


@pytest.mark.parametrize(
    ("node_id", "inputs"),
    [
        ("2", {"image": "text"}),
        ("2", {"image": 5}),
        ("2", {"image": {"__value__": ["1", 0]}}),
        ("9", {"free": math.nan}),
        ("9", {"free": "inf"}),
        ("8", {"style": "monet"}),
    ],
)
def test_what_could_only_fail_in_the_run_is_refused(node_id: str, inputs: dict[str, Any]) -> None:
    prompt = graph()
    prompt["8"] = {"class_type": "Style", "inputs": {"image": ["1", 0], "style": "vangogh"}}
    prompt["9"] = {"class_type": "Blend", "inputs": {"a": ["1", 0], "factor": 1, "free": 1, "note": "", "flip": True}}
    validation().submit(prompt)
    prompt[node_id]["inputs"].update(inputs)
    (fault,) = refused(prompt, InputInvalid).faults
    assert fault.core_type is None


@pytest.mark.parametrize(
    "inputs",
    [
        {"width": "16"},
        {"width": {"__value__": 16}},
        {"width": 3.7},
        {"width": True},
        {"undeclared": [1, 2]},
        {"a.b": {"c": None}},
    ],
)
def test_what_core_coerces_passes(inputs: dict[str, Any]) -> None:
    prompt = with_inputs("1", **inputs)
    pristine = copy.deepcopy(prompt)
    assert validation().submit(prompt).prompt is prompt
    assert prompt == pristine


def test_templates_and_self_validated_inputs_are_left_to_core() -> None:
    prompt = {
        "1": {"class_type": "Loader", "inputs": {"image": "uploaded just now.png"}},
        "2": {"class_type": "Grow", "inputs": {"images.image0": ["1", 0]}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
    }
    validation().submit(prompt)


def test_missing_widgets_get_their_declared_defaults_in_a_copy() -> None:
    prompt = graph()
    del prompt["1"]["inputs"]["width"], prompt["3"]["inputs"]["filename_prefix"]
    pristine = copy.deepcopy(prompt)
    filled = validation().submit(prompt).prompt
    assert prompt == pristine
    assert filled["1"]["inputs"]["width"] == 512
    assert filled["3"]["inputs"]["filename_prefix"] == "ComfyUI"
    assert filled["2"] is prompt["2"]
    assert pointers(refused(prompt, InputInvalid, fill_defaults=False)) == [
        *("/prompt/1/inputs/width", "/prompt/3/inputs/filename_prefix"),
    ]


def test_a_misspelt_input_is_told_instead_of_being_replaced_by_a_default() -> None:
    prompt = graph()
    prompt["1"]["inputs"]["heigth"] = prompt["1"]["inputs"].pop("height")
    (fault,) = refused(prompt, InputInvalid).faults
    assert (fault.pointer, fault.hint) == ("/prompt/1/inputs/heigth", "did you mean 'height'?")


def test_an_undeclared_input_that_resembles_nothing_missing_stays_legal() -> None:
    prompt = with_inputs("1", heigth=6, note="kept")
    assert validation().submit(prompt).prompt["1"]["inputs"]["heigth"] == 6
    del prompt["1"]["inputs"]["color"]
    assert validation().submit(prompt).prompt["1"]["inputs"]["note"] == "kept"


def test_links_and_combos_without_a_default_are_not_filled() -> None:
    prompt = graph()
    del prompt["2"]["inputs"]["image"], prompt["2"]["inputs"]["crop"], prompt["2"]["inputs"]["width"]
    assert pointers(refused(prompt, InputInvalid)) == ["/prompt/2/inputs/image", "/prompt/2/inputs/crop"]


def test_a_changed_declaration_is_heard() -> None:
    definitions = FakeDefinitions()
    checked = PromptValidation(definitions, ValidationRules())
    checked.submit(graph())
    definitions.change("ImageScale", "upscale_method", choices=("bilinear",))
    with pytest.raises(InputInvalid):
        checked.submit(graph())
    definitions.change("ImageScale", "upscale_method", choices=("area",))
    checked.submit(graph())


def test_each_class_is_asked_for_once_per_prompt() -> None:
    definitions = FakeDefinitions()
    prompt = {**graph(), **{str(n): graph()["1"] for n in range(10, 50)}}
    PromptValidation(definitions, ValidationRules()).submit(prompt)
    assert sorted(definitions.asked) == ["EmptyImage", "ImageScale", "SaveImage"]


def test_two_thousand_faulty_nodes_cost_linear_work_and_a_small_answer() -> None:
    prompt: dict[str, Any] = {}
    for n in range(1000):
        prompt[f"a{n}"] = {
            "class_type": "EmptyImage",
            "inputs": {"width": f"x{n}", "height": 1, "batch_size": 1, "color": 0},
        }
        prompt[f"b{n}"] = {"class_type": "SaveImage", "inputs": {"images": ["a", "b", "c"], "filename_prefix": f"p{n}"}}
    checked = validation()
    with pytest.raises(InputInvalid) as caught:
        checked.submit(prompt)
    assert len(caught.value.faults) == 2000
    assert checked._inputs.verdicts.validations == 1000  # white-box: the costly part of the work
    assert len(json.dumps(core_error(caught.value))) < 1_000_000


def test_the_list_of_faults_is_capped_and_says_so() -> None:
    prompt = {str(n): None for n in range(50)}
    error = refused(prompt, InvalidPrompt, max_faults=7)
    assert len(error.faults) == 7
    assert error.details == {"faults": 50, "listed": 7}
    assert "50 faults" in error.message


IDS = st.sampled_from(["1", "2", "3", "4", "x"])
CLASSES = st.sampled_from(
    ["EmptyImage", "ImageScale", "SaveImage", "Blend", "Anything", "Style", "Grow", "Loader", "Nope", ""]
)
NAMES = st.sampled_from(["image", "images", "width", "crop", "a", "free", "value", "style", "level", "other"])
LINKS = st.tuples(IDS, st.sampled_from([0, 1, -1, 2, 0.5, False])).map(list)
NODES = st.fixed_dictionaries({"class_type": CLASSES, "inputs": st.dictionaries(NAMES, LINKS | JSON, max_size=5)})


@settings(deadline=None)
@given(st.dictionaries(IDS, NODES | JSON, max_size=5) | JSON)
def test_nothing_but_a_refusal_comes_out_for_any_json(prompt: Any) -> None:
    pristine = json.dumps(prompt)
    checked = validation()
    for door in (checked.submit, lambda each: checked.protect({"prompt": each})):
        error = refusal_of(door, prompt)
        if error is not None:
            assert error.faults
            assert all(fault.pointer.startswith("/prompt") for fault in error.faults)
            json.dumps(core_error(error))
    assert json.dumps(prompt) == pristine


@pytest.mark.long
@settings(deadline=None)
@given(st.dictionaries(IDS, NODES, max_size=5))
def test_the_second_time_says_the_same(prompt: Any) -> None:
    checked = validation()

    def verdict(once: PromptValidation) -> Any:
        try:
            return once.submit(prompt).prompt
        except Refused as error:
            return error.code, error.faults

    assert verdict(checked) == verdict(checked) == verdict(validation())
