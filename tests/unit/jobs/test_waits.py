"""Answers to questions: what each kind takes, and that everything else is refused with its pointer and a hint."""

from __future__ import annotations

import json

import pytest

from expeditor.jobs.errors import InputInvalid
from expeditor.jobs.waits import Answer, Ask, AskKind, ask_from, ask_json, read_answer

APPROVE = Ask(AskKind.APPROVE, "Good?", "a heron")
PICK = Ask(AskKind.PICK, "Which?", pictures=4, least=1, most=3)


@pytest.mark.parametrize("message", ["", "approve", " 0,2 ", '{"approved": false}', "\x00é\ud800"])
def test_a_text_is_taken_as_it_stands(message):
    assert read_answer(Ask(), message) == Answer(text=message)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("approve", Answer("a heron", True)),
        (" Approve\n", Answer("a heron", True)),
        ("REJECT", Answer("a heron", False)),
        ('{"approved": true}', Answer("a heron", True)),
        ('{"approved": true, "text": "an egret"}', Answer("an egret", True)),
        ('{"approved": true, "text": ""}', Answer("", True)),
        ('{"text": "no", "approved": false}', Answer("no", False)),
    ],
)
def test_pictures_are_approved_or_rejected_and_the_text_edited(message, expected):
    assert read_answer(APPROVE, message) == expected


@pytest.mark.parametrize(
    ("message", "picks"),
    [
        ("2", (2,)),
        ("3,0", (3, 0)),
        (" 0 , 2,1 ", (0, 2, 1)),
        ('{"picks": [2, 0]}', (2, 0)),
        ('{"picks": [3]}', (3,)),
    ],
)
def test_pictures_are_chosen_in_the_order_given(message, picks):
    assert read_answer(PICK, message) == Answer(picks=picks)


@pytest.mark.parametrize("message", ["", "  ", '{"picks": []}'])
def test_none_may_be_chosen_where_none_must_be(message):
    assert read_answer(Ask(AskKind.PICK, pictures=4, least=0, most=1), message) == Answer(picks=())


@pytest.mark.parametrize(
    ("ask", "message", "said"),
    [
        (APPROVE, "", "approve or reject"),
        (APPROVE, "yes", "approve or reject"),
        (APPROVE, "[true]", "approve or reject"),
        (APPROVE, '{"approved": tru', "approve or reject"),
        (APPROVE, "[" * 100_000, "approve or reject"),
        (APPROVE, "{}", "approved must be true or false"),
        (APPROVE, '{"approved": 1}', "approved must be true or false"),
        (APPROVE, '{"approved": "true"}', "approved must be true or false"),
        (APPROVE, '{"approved": true, "text": 3}', "text must be text"),
        (APPROVE, '{"approved": true, "text": null}', "text must be text"),
        (APPROVE, '{"approved": true, "picks": [0]}', "picks is not known"),
        (PICK, "", "0 pictures are chosen; this wait takes 1 to 3"),
        (PICK, "first", "takes the numbers of pictures"),
        (PICK, "0;1", "takes the numbers of pictures"),
        (PICK, "0,", "takes the numbers of pictures"),
        (PICK, "-1", "takes the numbers of pictures"),
        (PICK, "٣", "takes the numbers of pictures"),
        (PICK, "[0]", "takes the numbers of pictures"),
        (PICK, "4", "no picture 4: they are numbered from 0 to 3"),
        (PICK, '{"picks": [-1]}', "no picture -1"),
        (PICK, "1,1", "chosen twice"),
        (PICK, "0,1,2,3", "4 pictures are chosen; this wait takes 1 to 3"),
        (PICK, '{"picks": "0,1"}', "must be a list of numbers"),
        (PICK, '{"picks": [true]}', "must be a list of whole numbers"),
        (PICK, '{"picks": [0.0]}', "must be a list of whole numbers"),
        (PICK, '{"picks": [NaN]}', "must be a list of whole numbers"),
        (PICK, '{"picks": [0], "text": "x"}', "text is not known"),
        (Ask(AskKind.PICK, pictures=2, least=2, most=2), "0", "this wait takes 2."),
    ],
)
def test_anything_else_is_refused_with_its_pointer_and_a_hint(ask, message, said):
    with pytest.raises(InputInvalid, match=said) as refused:
        read_answer(ask, message)
    (fault,) = refused.value.faults
    assert (fault.pointer, fault.code) == ("/message", "INPUT_INVALID")
    assert fault.message == refused.value.message
    assert fault.hint.startswith("Send ")


@pytest.mark.parametrize("ask", [Ask(), APPROVE, PICK])
def test_a_question_survives_its_wire(ask):
    assert ask_from(json.loads(json.dumps(ask_json(ask)))) == ask


@pytest.mark.parametrize("changed", [{"kind": "sing"}, {"pictures": None}, {"least": "many"}])
def test_a_question_of_a_kind_that_is_not_known_is_refused(changed):
    with pytest.raises((TypeError, ValueError)):
        ask_from({**ask_json(PICK), **changed})
