"""Between ComfyUI's queue tuple and our record: what is kept, what is never kept, and odd tuples of in-process code."""

from __future__ import annotations

import json

import pytest

from expeditor.host.context import Submission
from expeditor.host.native import (
    SYNTHETIC_PREFIX,
    from_both_ends,
    is_synthetic,
    native_item,
    new_job,
    to_json,
    with_client_id,
)
from expeditor.jobs.model import Payload, Principal, Source
from tests.support.jobs import a_job

PROMPT = {"1": {"class_type": "A", "inputs": {"steps": 4}}, "2": {"class_type": "B", "inputs": {}}}
KEY = "sk-partner-key"


def item(number=5, prompt_id="a", prompt=PROMPT, extra=None, outputs=("2",), sensitive=None):
    return (number, prompt_id, prompt, {} if extra is None else extra, list(outputs), sensitive or {})


def test_an_in_process_prompt_becomes_a_job_of_its_client():
    job = new_job(item(extra={"client_id": "ada", "note": 1}), None, 100.0)
    assert (job.id, job.number, job.created_at_s, job.priority, job.source) == ("a", 5.0, 100.0, 3, Source.IN_PROCESS)
    assert (job.principal, job.client_id, job.front, job.metadata) == (Principal("ada"), "ada", False, {})
    assert (job.node_count, job.prompt_length) == (2, len(json.dumps(PROMPT)))
    assert job.payload == Payload(json.dumps(PROMPT), '{"client_id": "ada", "note": 1}', '["2"]')


def test_a_submission_says_who_and_how_urgent():
    submission = Submission(
        Principal("grace", trusted=True), Source.SUBMIT, priority=9, front=True, metadata={"run": "7"}
    )
    job = new_job(item(extra={"client_id": "ada"}), submission, 0.0)
    assert (job.principal, job.priority, job.source) == (Principal("grace", trusted=True), 9, Source.SUBMIT)
    assert (job.front, job.metadata, job.client_id) == (True, {"run": "7"}, "ada")


def test_a_job_knows_the_model_files_that_it_names():
    prompt = {"9": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "xl.safetensors"}}, **PROMPT}
    assert new_job(item(prompt=prompt), None, 0.0).models == ("xl.safetensors",)
    assert new_job(item(prompt=["odd"]), None, 0.0).models == ()


def test_a_partner_key_is_remembered_as_such_and_never_stored():
    job = new_job(item(sensitive={"api_key_comfy_org": KEY}), None, 0.0)
    assert job.needs_secret
    assert KEY not in repr(job)
    assert not new_job(item(), None, 0.0).needs_secret


@pytest.mark.parametrize(
    ("number", "kept", "front"),
    [(-3, -3.0, True), (0, 0.0, False), (-0.0, 0.0, False), (2.5, 2.5, False)]
    + [(odd, 0.0, False) for odd in (float("nan"), float("inf"), float("-inf"), 10**400, -(10**400), None, "7")],
)
def test_numbers(number, kept, front):
    job = new_job(item(number=number), None, 0.0)
    assert (job.number, job.front) == (kept, front)


class FailingText:
    """An object that cannot even say what it is."""

    def __repr__(self):
        raise RuntimeError("no words")


def deep(levels):
    value: dict = {}
    for _ in range(levels):
        value = {"x": value}
    return value


@pytest.mark.parametrize(
    "odd",
    [
        item(prompt=None),
        item(prompt=[1, 2]),
        item(prompt={"1": {"class_type": "A", "inputs": {"x": object()}}}),
        item(prompt={"1": FailingText()}),
        item(prompt={"1": deep(100_000)}),
        item(extra={"client_id": ["a"]}),
        (1, 7, PROMPT, None, None),
        (1, 7, PROMPT, "extra", 5, None),
    ],
    ids=range(8),
)
def test_whatever_in_process_code_puts_becomes_a_job(odd):
    job = new_job(odd, None, 0.0)
    assert job.id == str(odd[1])
    assert job.client_id is None
    for text in (job.payload.prompt_json, job.payload.extra_json, job.payload.outputs_json):
        json.loads(text)


def test_text_of_anything():
    assert to_json({"a": {1}}) == '{"a": "{1}"}'
    assert to_json(float("nan")) == "NaN"
    assert to_json("\ud800") == '"\\ud800"'
    assert to_json(FailingText()) == "null"


def test_a_recovered_job_is_the_tuple_it_was_without_its_keys():
    before = item(number=5, extra={"client_id": "ada"}, sensitive={"api_key_comfy_org": KEY})
    new = new_job(before, None, 0.0)
    stored = a_job(id=new.id, principal=new.principal, source=new.source, number=new.number)
    assert native_item(stored, new.payload) == (*before[:5], {})


@pytest.mark.parametrize("extra", [{}, {"client_id": None}, {"note": 1}])
def test_a_job_without_a_client_runs_under_a_synthetic_one(extra):
    before = item(extra=dict(extra))
    after = with_client_id(before)
    assert after[3] == {**extra, "client_id": f"{SYNTHETIC_PREFIX}a"}
    assert before[3] == extra, "lists and history show the tuple that was put"
    assert (after[:3], after[4:]) == (before[:3], before[4:])
    assert is_synthetic(after[3]["client_id"])


@pytest.mark.parametrize("extra", [{"client_id": "ada"}, {"client_id": ""}])
def test_other_tuples_run_as_they_are(extra):
    before = (1, "a", {}, extra, [], {})
    assert with_client_id(before) is before


@pytest.mark.parametrize(
    "before",
    [(1, "a", {}, {}, []), (1, "a", {}, None, [], None), (1, "a", {}, "text", [], {}), (1, "a", {}, {}, [], 5)],
)
def test_what_cores_worker_thread_would_die_of_is_made_good(before):
    assert with_client_id(before) == (1, "a", {}, {"client_id": f"{SYNTHETIC_PREFIX}a"}, [], {})


def test_a_client_of_an_old_pack_keeps_its_id():
    assert with_client_id((1, "a", {}, {"client_id": "ada"}, [])) == (1, "a", {}, {"client_id": "ada"}, [], {})


@pytest.mark.parametrize("client_id", [None, "", "ada", 5, ["expeditor.no-client.a"], "expeditor-cli"])
def test_other_client_ids_are_not_synthetic(client_id):
    assert not is_synthetic(client_id)


@pytest.mark.parametrize("count", range(7))
def test_every_place_comes_once_the_ends_first(count: int):
    places = list(from_both_ends(count))
    assert sorted(places) == list(range(count))
    assert all(min(place, count - 1 - place) == step // 2 for step, place in enumerate(places))
