"""The fields around the prompt on our own submit: what is taken, what is refused and where the fault points."""

from __future__ import annotations

import pytest

from expeditor.intake.submission import MAX_EXTRA_DEPTH, MAX_FAULTS, parse_submission
from expeditor.jobs.errors import InputInvalid, InvalidPromptId, Refused

UUID = "0b8f9c1e-0000-4000-8000-00000000abcd"


def parsed(**fields):
    return parse_submission({"prompt": {}, **fields})


def refused(**fields):
    with pytest.raises(Refused) as refusal:
        parsed(**fields)
    return refusal.value


def pointers(error):
    return [fault.pointer for fault in error.faults]


def test_a_prompt_alone_is_enough():
    request = parsed()
    assert (request.prompt, request.priority, request.prompt_id, request.client_id) == ({}, 3, None, None)
    assert (request.extra_data, request.metadata, request.front, request.number, request.targets) == (
        {},
        {},
        False,
        None,
        None,
    )


def test_every_field_is_taken():
    request = parsed(
        prompt_id=UUID,
        priority=9,
        client_id="ada",
        extra_data={"a": 1},
        metadata={"run": "7"},
        front=True,
        number=4,
        partial_execution_targets=["9"],
    )
    assert (request.prompt_id, request.priority, request.client_id) == (UUID, 9, "ada")
    assert (request.extra_data, request.metadata, request.targets) == ({"a": 1}, {"run": "7"}, ["9"])
    assert (request.front, request.number) == (True, 4.0)


def test_null_is_absent():
    request = parsed(prompt_id=None, priority=None, client_id=None, extra_data=None, metadata=None, number=None)
    assert request == parsed()


@pytest.mark.parametrize(("number", "front"), [(-1, True), (-0.5, True), (0, False), (-0.0, False), (7, False)])
def test_a_negative_number_asks_for_the_front(number, front):
    assert parsed(number=number).front is front


def test_the_prompt_itself_is_not_judged_here():
    assert parse_submission({"prompt": "no graph"}).prompt == "no graph"


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"client_id": 5}, "/client_id"),
        ({"client_id": ["a"]}, "/client_id"),
        ({"front": "true"}, "/front"),
        ({"front": None}, "/front"),
        ({"front": 1}, "/front"),
        ({"extra_data": []}, "/extra_data"),
        ({"extra_data": "x"}, "/extra_data"),
        ({"extra_data": {"client_id": {}}}, "/extra_data/client_id"),
        ({"extra_data": {"extra_pnginfo": []}}, "/extra_data/extra_pnginfo"),
        ({"extra_data": {"extra_pnginfo": {"workflow": 5}}}, "/extra_data/extra_pnginfo/workflow"),
        ({"metadata": "x"}, "/metadata"),
        ({"metadata": {str(n): "x" for n in range(17)}}, "/metadata"),
        ({"metadata": {"a/b~c": 5}}, "/metadata/a~1b~0c"),
        ({"metadata": {"a": "x" * 257}}, "/metadata/a"),
        ({"number": "3"}, "/number"),
        ({"number": True}, "/number"),
        ({"number": float("nan")}, "/number"),
        ({"number": float("inf")}, "/number"),
        ({"number": 10**400}, "/number"),
        ({"partial_execution_targets": "9"}, "/partial_execution_targets"),
        ({"partial_execution_targets": [9]}, "/partial_execution_targets"),
        ({"priority": 11}, "/priority"),
        ({"_priority": "5"}, "/_priority"),
        ({"prompt": {"_priority": 0}}, "/prompt/_priority"),
    ],
)
def test_wrong_values_are_refused_where_they_stand(fields, pointer):
    error = refused(**fields)
    assert isinstance(error, InputInvalid)
    assert pointers(error) == [pointer]


@pytest.mark.parametrize(
    "prompt_id", ["", "x", UUID.upper(), f" {UUID}", f"{UUID}\n", UUID.replace("-", ""), 5, ["a"], {}, True]
)
def test_a_prompt_id_is_a_canonical_uuid_or_absent(prompt_id):
    error = refused(prompt_id=prompt_id)
    assert isinstance(error, InvalidPromptId)
    assert (pointers(error), error.faults[0].code) == (["/prompt_id"], "INVALID_PROMPT_ID")


def test_an_unknown_field_names_the_nearest():
    error = refused(metdata={})
    assert (pointers(error), error.faults[0].hint) == (["/metdata"], "Did you mean metadata?")
    assert "Known fields: _priority, client_id" in refused(zzz=1).faults[0].hint
    assert pointers(refused(**{"a/b": 1})) == ["/a~1b"]


def test_a_missing_prompt_is_named():
    with pytest.raises(InputInvalid) as refusal:
        parse_submission({})
    assert pointers(refusal.value) == ["/prompt"]


def test_all_faults_are_told_at_once():
    error = refused(priority=0, client_id=5, prompt_id="x", metdata=1, extra_data={"extra_pnginfo": 1})
    assert set(pointers(error)) == {
        "/priority",
        "/client_id",
        "/prompt_id",
        "/metdata",
        "/extra_data/extra_pnginfo",
    }


def test_a_flood_of_unknown_fields_is_told_in_part():
    error = refused(**{"x" * 500 + str(number): 1 for number in range(5_000)})
    assert len(error.faults) == MAX_FAULTS
    assert all(len(fault.pointer) < 100 for fault in error.faults)


def test_extra_data_that_comfyui_could_not_copy_is_refused():
    deep: list = []
    for _ in range(MAX_EXTRA_DEPTH - 2):
        deep = [deep]
    assert parsed(extra_data={"x": deep}).extra_data == {"x": deep}
    assert pointers(refused(extra_data={"x": [deep]})) == ["/extra_data"]
