"""Core's verdict as our faults: one for each error of a node, with a pointer into the body."""

from __future__ import annotations

import pytest

from expeditor.intake.core_faults import faults_of

ERROR = {
    "type": "prompt_outputs_failed_validation",
    "message": "Prompt outputs failed validation",
    "details": "",
    "extra_info": {},
}


def core_error(kind, message="Message", details="", **extra):
    return {"type": kind, "message": message, "details": details, "extra_info": extra}


def test_each_error_of_each_node_is_a_fault():
    node_errors = {
        "3": {
            "errors": [
                core_error("required_input_missing", "Required input is missing", "seed", input_name="seed"),
                core_error("value_not_in_list", "Value not in list", "x not in [y]", input_name="sampler/name"),
            ],
            "dependent_outputs": ["9"],
            "class_type": "KSampler",
        },
        "4~1": {"errors": [core_error("custom_validation_failed")], "class_type": "Odd"},
    }
    first, second, third = faults_of(ERROR, node_errors)
    assert (first.pointer, first.code, first.message) == (
        "/prompt/3/inputs/seed",
        "INPUT_INVALID",
        "Required input is missing: seed",
    )
    assert (first.node_id, first.class_type, first.input_name) == ("3", "KSampler", "seed")
    assert (first.core_type, first.core_details) == ("required_input_missing", "seed")
    assert second.pointer == "/prompt/3/inputs/sampler~1name"
    assert (third.pointer, third.message, third.input_name) == ("/prompt/4~01/inputs", "Message", None)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("prompt_no_outputs", "NO_OUTPUT"),
        ("missing_node_type", "UNKNOWN_NODE"),
        ("invalid_prompt", "INVALID_PROMPT"),
        ("dependency_cycle", "CYCLE"),
        ("something_new", "INPUT_INVALID"),
    ],
)
def test_the_prompts_own_error_counts_when_no_node_is_to_blame(kind, code):
    (fault,) = faults_of(core_error(kind, "It is wrong", "in this way"), {})
    assert (fault.pointer, fault.code, fault.message, fault.core_type) == (
        "/prompt",
        code,
        "It is wrong: in this way",
        kind,
    )


@pytest.mark.parametrize(
    ("kind", "code"), [("bad_linked_input", "LINK_INVALID"), ("return_type_mismatch", "LINK_INVALID")]
)
def test_links_have_their_own_code(kind, code):
    (fault,) = faults_of(ERROR, {"1": {"errors": [core_error(kind, input_name="image")], "class_type": "A"}})
    assert fault.code == code


@pytest.mark.parametrize(
    ("error", "node_errors"),
    [
        (None, {}),
        (None, {"1": "text"}),
        (None, {"1": {}}),
        (None, {"1": {"errors": None}}),
    ],
)
def test_nothing_said_is_no_fault(error, node_errors):
    assert faults_of(error, node_errors) == ()


@pytest.mark.parametrize("extra_info", [None, [], "x", {"input_name": 5}])
def test_odd_extras_of_custom_nodes_are_passed_over(extra_info):
    (fault,) = faults_of(None, {"1": {"errors": [{"type": "x", "extra_info": extra_info}]}})
    assert (fault.pointer, fault.message, fault.input_name) == ("/prompt/1/inputs", "Invalid", None)
