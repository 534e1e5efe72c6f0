"""Bodies that are wrong in every way: always the contract's envelope, never a 500, and no job is left behind."""

from __future__ import annotations

import json

import pytest

from expeditor.jobs.model import JsonObject
from tests.conformance.harness import done
from tests.http.edge import MAX_BYTES, PROMPT
from tests.http.v2_edge import told

JOBS = "/api/v2/jobs"
DRAWN = {"nodes": [{"id": 1, "type": "KSampler"}], "links": [], "version": 0.4}
SECRET = {"api_key_comfy_org": "s3cret"}


def nested(depth: int) -> str:
    return '{"workflow": ' + '{"a": ' * depth + "1" + "}" * depth + "}"


BYTES = [
    (b"", 400, "invalid_request"),
    (b"{", 400, "invalid_request"),
    (b"[]", 400, "invalid_request"),
    (b"null", 400, "invalid_request"),
    (b"\xff\xfe", 400, "invalid_request"),
    (b'{"workflow": "\xff"}', 400, "invalid_request"),
    (b'{"workflow": NaN}', 400, "invalid_request"),
    (b'{"workflow": 1e999999}', 400, "invalid_request"),
    (b'{"workflow": {"1": {"class_type": "A", "inputs": {"x": -1e999}}}}', 400, "invalid_request"),
    (nested(2500).encode(), 400, "invalid_request"),
    (b"[" * MAX_BYTES, 400, "invalid_request"),
    (b" " * (MAX_BYTES + 1), 413, "payload_too_large"),
    (json.dumps({"workflow": PROMPT, "x": "x" * MAX_BYTES}).encode(), 413, "payload_too_large"),
]
BODIES: list[tuple[JsonObject, int, str]] = [
    ({}, 422, "invalid_workflow"),
    ({"workflow": None}, 422, "invalid_workflow"),
    ({"workflow": []}, 422, "invalid_workflow"),
    ({"workflow": "{}"}, 422, "invalid_workflow"),
    ({"workflow": DRAWN}, 422, "workflow_format_ui"),
    ({"workflow": {**PROMPT, "_priority": 11}}, 422, "invalid_workflow"),
    ({"workflow": {**PROMPT, "_priority": "high"}}, 422, "invalid_workflow"),
    ({"workflow": PROMPT, "webhook_url": "http://example.org"}, 422, "invalid_request"),
    ({"workflow": PROMPT, "inputs": {}}, 422, "invalid_request"),
    ({"workflow": PROMPT, "priority": 3}, 422, "invalid_request"),
    ({"workflow": PROMPT, "\ud800": 3}, 422, "invalid_request"),
    ({"workflow": PROMPT, "extra_data": []}, 422, "invalid_request"),
    ({"workflow": PROMPT, "extra_data": {"client_id": "me"}}, 422, "invalid_request"),
    ({"workflow": PROMPT, "extra_data": {"api_key_comfy_org": 7}}, 422, "invalid_request"),
    ({"workflow": PROMPT, "extra_data": {"api_key_comfy_org": None}}, 422, "invalid_request"),
    ({"workflow": {"1": {"__type": "core/ASSET", "info": {"id": "x"}}}}, 422, "missing_asset"),
    ({"workflow": {"1": {"inputs": {"a": [{"__type": "core/ASSET"}]}}}}, 422, "missing_asset"),
]
LABELS = [
    7,
    "text",
    [],
    {"a": 1},
    {"a": None},
    {"a": {"b": "c"}},
    {"": "v"},
    {"k" * 41: "v"},
    {"a b": "v"},
    {"\u00fc": "v"},
    {"a\n": "v"},
    {"a": "x" * 257},
    {"a": "\u00fc" * 129},
    {"a": "\x00"},
    {"a": "\x7f"},
    {"a": "\x85"},
    {"a": "\u202e"},
    {"a": "\u2069"},
    {"a": "\ud800"},
    {str(number): "v" for number in range(17)},
    {"expeditor.priority": "0"},
    {"expeditor.priority": "11"},
    {"expeditor.priority": "high"},
    {"expeditor.priority": " 3"},
    {"expeditor.priority": "\u0663"},
]


@pytest.fixture
def nothing_stored(v2_edge):
    yield
    assert done(v2_edge.store.summary()).rows == ()
    assert not v2_edge.door.entries
    assert v2_edge.reservations.held == 0


@pytest.mark.usefixtures("nothing_stored")
class TestRefused:
    @pytest.mark.parametrize(("body", "status", "word"), BYTES, ids=range(len(BYTES)))
    async def test_bytes(self, v2, body, status, word):
        response = await v2.post(JOBS, data=body, headers={"Idempotency-Key": "k"})
        assert await told(response) == (status, word)

    @pytest.mark.parametrize(("body", "status", "word"), BODIES, ids=range(len(BODIES)))
    async def test_bodies(self, v2, body, status, word):
        response = await v2.post(JOBS, json=body, headers={"Idempotency-Key": "k"})
        assert await told(response) == (status, word)
        assert "s3cret" not in await response.text()

    @pytest.mark.parametrize("labels", LABELS, ids=range(len(LABELS)))
    async def test_labels(self, v2, labels):
        response = await v2.post(JOBS, json={"workflow": PROMPT, "metadata": labels})
        assert await told(response) == (422, "metadata_invalid")

    async def test_a_body_that_ends_early_or_lies_about_its_coding(self, v2):
        response = await v2.post(JOBS, data=b"no gzip", headers={"Content-Encoding": "gzip"})
        assert await told(response) == (400, "invalid_request")

    async def test_faults_point_into_the_body_as_it_was_sent(self, v2, v2_edge):
        v2_edge.core.error = {"type": "prompt_outputs_failed_validation", "message": "no", "details": ""}
        v2_edge.core.node_errors = {
            "2": {
                "errors": [
                    {"type": "value_not_in_list", "message": "no", "details": "x", "extra_info": {"input_name": "x"}}
                ],
                "dependent_outputs": ["2"],
                "class_type": "B",
            }
        }
        response = await v2.post(JOBS, json={"workflow": PROMPT})
        assert await told(response) == (422, "invalid_workflow")
        text = await response.text()
        assert "/prompt" not in text
        assert (await response.json())["error"]["details"]["node_errors"]["2"]["class_type"] == "B"


@pytest.mark.parametrize(
    "labels",
    [
        None,
        {},
        {"A-z_0.9": ""},
        {"k" * 40: "\u00fc" * 128},
        {"a": "\u200f emoji \U0001f600"},
        {str(number): "v" for number in range(16)},
    ],
    ids=range(6),
)
async def test_good_labels_are_echoed_as_sent(v2, labels):
    response = await v2.post(JOBS, json={"workflow": PROMPT, "metadata": labels})
    assert response.status == 201, await response.text()
    assert (await response.json())["metadata"] == (labels or {})
