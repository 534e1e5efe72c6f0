"""The message of an event: its form, its addresses and its bound."""

from __future__ import annotations

import json
from dataclasses import replace

from expeditor.jobs.events import JobEvent
from expeditor.jobs.model import Output
from expeditor.routes.webhooks import BODY_BYTES_MAX, webhook_body
from tests.conformance.harness import done, enqueue


def ended(edge, outputs):
    enqueue(edge.store, "a", 3, "ada")
    job = replace(done(edge.store.cancel("a")), outputs=tuple(outputs))
    return replace(JobEvent.of(job, edge.clock()), position=9, number=2), job


def output(number, name="ä.png"):
    return Output("9", f"{number}-{name}", "", "output", "image", "image/png", 5)


def test_a_message_has_the_form_of_standard_webhooks(edge):
    event, job = ended(edge, [output(0)])
    message = json.loads(webhook_body(event.logged(), job, "https://comfy.example.com"))
    assert set(message) == {"type", "timestamp", "data"}
    assert (message["type"], message["data"]["event"]["number"]) == ("job.canceled", 2)
    assert message["timestamp"] == message["data"]["event"]["at"]
    (told,) = message["data"]["job"]["outputs"]
    assert told["url"].startswith("https://comfy.example.com/")
    assert "truncated" not in message["data"]


def test_it_is_bounded_however_many_files_there_are(edge):
    event, job = ended(edge, [output(number, "x" * 200) for number in range(5_000)])
    text = webhook_body(event.logged(), job, "")
    data = json.loads(text)["data"]
    assert len(text) <= BODY_BYTES_MAX
    assert data["truncated"] is True
    assert 100 < len(data["job"]["outputs"]) < 5_000
    assert data["job"]["id"] == "a"


def test_text_that_no_utf_8_can_hold_is_written_all_the_same(edge):
    event, job = ended(edge, [output(0, "\ud800.png")])
    assert webhook_body(event.logged(), job, "").encode("ascii")
