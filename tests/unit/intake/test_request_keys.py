"""What makes a repeated request the same one: which keys are keys, whose they are, and which bodies are equal."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from expeditor.intake.request_keys import HEADER, fingerprint, header_key, other_body, request_key
from expeditor.jobs.errors import InputInvalid, LimitExceeded
from expeditor.jobs.model import Principal
from expeditor.routes.errors import status_of

ADA = Principal("ada")


@pytest.mark.parametrize("key", ["a", "x" * 255, '"8e03978e-40d5-43e8-bc93-6e73e5a5e4a2"', "!~", "a,b;c=d"])
def test_visible_ascii_of_up_to_255_characters_is_a_key(key):
    assert header_key(CaseInsensitiveDict({HEADER.upper(): key})) == key


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("", "empty"),
        ("x" * 256, "256 characters; it may have 255"),
        ("a b", "no spaces"),
        ("a\tb", "visible ASCII"),
        ("\u00e9", "visible ASCII"),
        ("a\x7f", "visible ASCII"),
        ("a\n", "visible ASCII"),
    ],
)
def test_anything_else_is_refused_in_words_and_is_a_400(key, says):
    with pytest.raises(InputInvalid) as caught:
        header_key(CaseInsensitiveDict({HEADER: key}))
    assert says in caught.value.message
    assert status_of(caught.value) == 400
    assert caught.value.faults[0].input_name == HEADER


def test_without_the_header_there_is_no_key():
    assert header_key(CaseInsensitiveDict({"Client-Id": "a"})) is None
    assert request_key(ADA, None, None, {"prompt": {}}) is None


def test_a_header_and_an_id_of_the_same_text_never_meet():
    by_header, by_id = request_key(ADA, "k", None, {}), request_key(ADA, None, "k", {})
    assert by_header is not None
    assert by_id is not None
    assert by_header.key != by_id.key


def test_the_header_counts_when_both_are_there():
    assert request_key(ADA, "k", "id", {}) == request_key(ADA, "k", None, {})


@pytest.mark.parametrize(("header", "prompt_id"), [("k", None), (None, "k")])
def test_a_claimed_name_has_other_keys_than_the_user_of_that_name(header, prompt_id):
    claimed = request_key(ADA, header, prompt_id, {})
    proven = request_key(Principal("ada", trusted=True), header, prompt_id, {})
    assert claimed is not None
    assert proven is not None
    assert claimed.key != proven.key
    assert claimed.fingerprint == proven.fingerprint


@pytest.mark.parametrize("key", ["key:k", "id:k", "trusted-key:k", "trusted-id:k"])
def test_no_header_can_be_made_to_look_like_another_key(key):
    taken = {request_key(who, "k", None, {}) for who in (ADA, Principal("ada", trusted=True))}
    taken |= {request_key(who, None, "k", {}) for who in (ADA, Principal("ada", trusted=True))}
    assert request_key(ADA, key, None, {}) not in taken
    assert len(taken) == 4


def test_order_and_white_space_do_not_count_and_all_else_does():
    body = json.loads('{"prompt": {"2": {"b": 1, "a": [1, 2]}, "1": {}}, "priority": 3}')
    same = json.loads('{"priority":3,"prompt":{"1":{},"2":{"a":[1,2],"b":1}}}')
    assert fingerprint(body) == fingerprint(same)
    others = [
        {**body, "priority": 4},
        {**body, "client_id": None},
        {"prompt": body["prompt"]},
        {**body, "prompt": {"1": {}, "2": {"a": [2, 1], "b": 1}}},
        {**body, "priority": "3"},
        {**body, "priority": True},
    ]
    assert fingerprint(body) not in {fingerprint(other) for other in others}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.text(), JSON, max_size=3))
def test_any_body_has_a_digest_and_its_fields_in_another_order_the_same(body):
    turned = dict(reversed(list(body.items())))
    assert fingerprint(body) == fingerprint(turned)
    assert len(fingerprint(body)) == 64


def test_a_lone_surrogate_and_a_nan_have_a_digest_too():
    assert len(fingerprint(json.loads('{"a": "\\ud800", "b": NaN}'))) == 64


def test_a_body_that_cannot_be_written_is_refused():
    body = {}
    for _ in range(100_000):
        body = {"a": body}
    with pytest.raises(LimitExceeded):
        fingerprint(body)


def test_the_refusal_names_the_job():
    for key in (request_key(ADA, "k", None, {}), request_key(Principal("ada", trusted=True), None, "k", {})):
        assert key is not None
        conflict = other_body(key, "the-job")
        assert conflict.details == {"job_id": "the-job"}
        assert "the-job" in conflict.message
