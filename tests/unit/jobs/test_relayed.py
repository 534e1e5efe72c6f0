"""The words that instances say of runs: what is written is read again, and anything else is no word."""

from __future__ import annotations

import pytest

from expeditor.jobs.relayed import (
    BINARY,
    Message,
    Preview,
    binary_message,
    binary_of,
    message_body,
    preview_body,
    read_message,
    read_preview,
)


@pytest.mark.parametrize(
    "message",
    [
        Message("a"),
        Message("a", "executing", {"node": "1", "text": "é \ud800"}),
        Message("a", "b", [1, None], to_all=True),
    ],
)
def test_a_message_is_read_as_it_was_said(message):
    assert read_message(message_body(message)) == message


@pytest.mark.parametrize("about", [None, {"node_id": "1", "prompt_id": "a"}])
def test_a_picture_is_read_as_it_was_sent(about):
    preview = Preview("a", "JPEG", b"\xff\xd8\x00bytes", about)
    assert read_preview(preview_body(preview)) == preview


@pytest.mark.parametrize(
    "body", [b"", b"no", b"[]", b"{}", b'{"job_id": 1}', b"\xff\xff\xff\xff{", b"\x00\x00\x00\x02{}"]
)
def test_what_cannot_be_read_is_no_word(body):
    assert read_message(body) is None
    assert read_preview(body) is None


def test_a_field_of_a_later_version_is_passed_over():
    assert read_message(b'{"job_id": "a", "event": "x", "data": {}, "new": 1}') == Message("a", "x", {})


def test_a_binary_message_goes_there_and_back():
    message = binary_message("a", 3, b"\x00text", to_all=True)
    assert binary_of(read_message(message_body(message))) == (3, b"\x00text")
    assert binary_of(Message("a", "executing", {})) is None
    assert binary_of(Message("a", BINARY, {"number": "x", "base64": "!"})) is None
