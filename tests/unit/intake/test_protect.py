"""`PromptValidation.protect`, in front of stock `/prompt`: refuses only what core refuses or what would hurt."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expeditor.intake.core_shape import core_error
from expeditor.intake.validation import PromptValidation, ValidationRules
from expeditor.jobs.errors import Refused
from tests.unit.intake.fake_definitions import FakeDefinitions, graph, refusal_of
from tests.unit.intake.test_limits import JSON

PROMPT_ID = "11111111-2222-4333-8444-555555555555"


def protect(body: Any, **rules: Any) -> None:
    PromptValidation(FakeDefinitions(), ValidationRules(**rules)).protect(body)


def refused(body: Any, **rules: Any) -> tuple[str, list[str]]:
    with pytest.raises(Refused) as caught:
        protect(body, **rules)
    return caught.value.code, [fault.pointer for fault in caught.value.faults]


def around(**fields: Any) -> dict[str, Any]:
    return {"prompt": graph(), **fields}


def changed(node_id: str, **inputs: Any) -> dict[str, Any]:
    prompt = graph()
    prompt[node_id]["inputs"].update(inputs)
    return {"prompt": prompt}


@pytest.mark.parametrize("body", [None, 5, "abc", [], ["prompt"]])
def test_a_body_is_an_object(body: Any) -> None:
    assert refused(body) == ("INVALID_PROMPT", [""])


@pytest.mark.parametrize(
    ("fields", "faults"),
    [
        ({"number": "abc"}, ["/number"]),
        ({"number": None}, ["/number"]),
        ({"number": [1]}, ["/number"]),
        ({"number": float("nan")}, ["/number"]),
        ({"number": "-inf"}, ["/number"]),
        ({"number": 10**400}, ["/number"]),
        ({"client_id": []}, ["/client_id"]),
        ({"client_id": {}}, ["/client_id"]),
        ({"extra_data": {"client_id": []}}, ["/extra_data/client_id"]),
        ({"extra_data": None}, ["/extra_data"]),
        ({"extra_data": {"extra_pnginfo": None}}, ["/extra_data/extra_pnginfo"]),
        ({"extra_data": {"extra_pnginfo": {"workflow": []}}}, ["/extra_data/extra_pnginfo/workflow"]),
        ({"partial_execution_targets": "3"}, ["/partial_execution_targets"]),
        ({"partial_execution_targets": ["3", 5]}, ["/partial_execution_targets/1"]),
        ({"client_id": [], "number": "x", "extra_data": 5}, ["/client_id", "/number", "/extra_data"]),
    ],
)
def test_fields_around_the_prompt_that_hurt(fields: dict[str, Any], faults: list[str]) -> None:
    assert refused(around(**fields)) == ("INVALID_PROMPT", faults)


@pytest.mark.parametrize(
    "prompt_id", [5, "", "mine", {}, PROMPT_ID.replace("1", "A"), PROMPT_ID + "\n", PROMPT_ID.replace("-", "")]
)
def test_a_prompt_id_is_a_canonical_uuid(prompt_id: Any) -> None:
    assert refused(around(prompt_id=prompt_id)) == ("INVALID_PROMPT_ID", ["/prompt_id"])


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"number": "3"},
        {"number": -5, "front": "false"},
        {"number": True},
        {"client_id": None},
        {"client_id": 5},
        {"prompt_id": None},
        {"prompt_id": PROMPT_ID},
        {"extra_data": {}},
        {"extra_data": {"extra_pnginfo": {}}},
        {"extra_data": {"extra_pnginfo": {"workflow": {}, "other": None}}},
        {"partial_execution_targets": None},
        {"partial_execution_targets": ["3"]},
        {"something": ["else"]},
    ],
)
def test_fields_that_stock_takes_pass(fields: dict[str, Any]) -> None:
    protect(around(**fields))


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"prompt": {}},
        {"prompt": {"1": graph()["1"]}},
        {"prompt": {**graph(), "9": {"inputs": {}}}},
        {"prompt": {**graph(), "9": {"class_type": None, "inputs": {}}}},
        {"prompt": {**graph(), "9": {"class_type": "NoSuchNode", "inputs": {"a": [5, 0]}}}},
        changed("1", width="abc"),
        changed("2", crop="centre"),
        changed("3", images=["2"]),
        changed("3", images=["2", 0, 0]),
    ],
)
def test_what_core_refuses_precisely_is_left_to_core(body: dict[str, Any]) -> None:
    protect(body)


@pytest.mark.parametrize(
    "body",
    [
        changed("3", images="text"),
        changed("3", images=5),
        changed("1", width={"__value__": 16}),
        changed("3", images=["2", -1]),
        changed("3", images=["2", False]),
        changed("2", other=[1, 2]),
        changed("2", other=["a", "b"]),
        changed("2", other={"a": [{"b": None}]}),
        {"prompt": {**graph(), "9": {"class_type": "ImageScale", "inputs": {"image": [5, 0], "crop": 7}}}},
        {"prompt": {**graph(), "9": {"class_type": "ImageScale", "inputs": {"image": ["9", 0]}}}},
        changed("1", other=["1", 0]),
        changed("2", _meta=None),
        {"prompt": {**graph(), "9": {"class_type": "EmptyImage", "inputs": {}, "_meta": None}}},
    ],
)
def test_what_runs_on_stock_passes(body: dict[str, Any]) -> None:
    protect(body)


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        ({"prompt": {**graph(), "9": {"class_type": "EmptyImage"}}}, "INVALID_PROMPT", "/prompt/9"),
        ({"prompt": {**graph(), "9": {"class_type": ["x"], "inputs": {}}}}, "INVALID_PROMPT", "/prompt/9/class_type"),
        ({"prompt": {**graph(), "9": {"_meta": None, "inputs": {}}}}, "INVALID_PROMPT", "/prompt/9/_meta"),
        (changed("2", other=["9", 0]), "LINK_INVALID", "/prompt/2/inputs/other"),
        (changed("3", images=["2", 1]), "LINK_INVALID", "/prompt/3/inputs/images"),
        (changed("3", images=["2", 0.0]), "LINK_INVALID", "/prompt/3/inputs/images"),
        (changed("3", images=[2, 0]), "LINK_INVALID", "/prompt/3/inputs/images"),
        (changed("3", images=["2", "0"]), "LINK_INVALID", "/prompt/3/inputs/images"),
        (changed("2", image=["2", 0]), "CYCLE", "/prompt/2/inputs/image"),
    ],
)
def test_what_hurts_or_what_core_tells_badly_is_refused_here(body: dict[str, Any], code: str, pointer: str) -> None:
    told, pointers = refused(body)
    assert told == code
    assert pointer in pointers


def test_a_half_valid_graph_is_left_to_core_even_with_a_cycle_or_an_odd_link() -> None:
    second = {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}}
    for inputs in ({"image": ["2", 0]}, {"image": [5, 0]}):
        body = changed("2", **inputs)
        assert refused(body)[0] in {"CYCLE", "LINK_INVALID"}
        body["prompt"]["4"] = second
        protect(body)
        # Unless only the bad half is asked for.
        assert refused({**body, "partial_execution_targets": ["3"]})[0] in {"CYCLE", "LINK_INVALID"}
        protect({**body, "partial_execution_targets": ["4"]})


def test_limits_and_the_servers_lists_hold_on_stock_routes_too() -> None:
    assert refused({"prompt": graph()}, max_nodes=2)[0] == "LIMIT_EXCEEDED"
    assert refused(changed("2", other=[[[[1]]]]), max_depth=3)[0] == "LIMIT_EXCEEDED"
    assert refused({"prompt": graph()}, deny=("SaveImage",))[0] == "NODE_NOT_ALLOWED"
    assert refused({"prompt": {**graph(), "a": graph()["1"]}}, numeric_ids_only=True)[0] == "INVALID_PROMPT"


def many(failing: int, good: int) -> dict[str, Any]:
    prompt: dict[str, Any] = {"e": graph()["1"]}
    for n in range(failing):
        prompt[f"f{n}"] = {"class_type": "SaveImage", "inputs": {"filename_prefix": "x"}}
    for n in range(good):
        prompt[f"g{n}"] = {"class_type": "SaveImage", "inputs": {"images": ["e", 0], "filename_prefix": "x"}}
    return {"prompt": prompt}


def test_a_report_that_would_block_the_server_is_given_in_linear_time() -> None:
    with pytest.raises(Refused) as caught:
        protect(many(2000, 0))
    answer = core_error(caught.value)
    assert len(answer["node_errors"]) == 2000
    assert answer["error"]["type"] == "prompt_outputs_failed_validation"
    assert answer["node_errors"]["f0"]["errors"][0]["type"] == "required_input_missing"
    assert len(json.dumps(answer)) < 1_000_000
    assert refused(many(60, 500))[0] == "INPUT_INVALID"  # half-valid, but 60 × 60 entries


def test_a_report_that_hurts_nobody_is_left_to_core() -> None:
    protect(many(50, 0))
    protect(many(40, 300))
    protect(many(0, 300))


FIELDS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("number", "front", "client_id", "prompt_id", "extra_data", "partial_execution_targets", "prompt"), JSON
    ),
)


@settings(deadline=None)
@given(FIELDS)
def test_nothing_but_a_refusal_comes_out_for_any_body(body: dict[str, Any]) -> None:
    error = refusal_of(protect, body)
    if error is not None:
        assert error.faults
        json.dumps(core_error(error))


def test_a_dangling_link_that_core_drops_is_left_to_core() -> None:
    """A graph that somebody still works on: one output is good, the others are dropped by core."""
    save = {"class_type": "SaveImage", "inputs": {"images": ["77", 0], "filename_prefix": "x"}}
    for further in (
        {"8": save},
        {"8": {"class_type": "ImageScale", "inputs": {"image": ["77", 0]}}},
        {
            "8": {**save, "inputs": {**save["inputs"], "images": ["9", 0]}},
            "9": {**save, "inputs": {"other": ["77", 0]}},
        },
    ):
        protect({"prompt": {**graph(), **further}})


def test_an_undeclared_dangling_link_of_what_would_run_is_refused_also_beside_a_bad_output() -> None:
    body = changed("1", other=["77", 0])
    bad = {"class_type": "SaveImage", "inputs": {"images": ["78", 0], "filename_prefix": "x"}}
    body["prompt"]["8"] = bad
    assert refused(body) == ("LINK_INVALID", ["/prompt/1/inputs/other"])
