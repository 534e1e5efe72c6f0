"""Cursors of events: what we gave is read back, and nothing else is taken for one."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expeditor.jobs.cursors import cursor_of, position_of
from expeditor.jobs.errors import InputInvalid


@given(st.integers(0, 10**18 - 1))
def test_a_cursor_stands_for_its_position(position):
    assert position_of(cursor_of(position)) == position


@given(st.text(max_size=30))
def test_no_text_does_any_harm(text):
    try:
        position = position_of(text)
    except InputInvalid as refusal:
        assert refusal.faults[0].pointer == "/after"  # noqa: PT017 - either is right
    else:
        assert position >= 0


@pytest.mark.parametrize(
    "plain", [b"event:", b"event:-1", b"event:1x", b"jobs:1", b"event:" + b"9" * 19, "event:١".encode()]
)
def test_what_is_not_ours_is_refused(plain):
    with pytest.raises(InputInvalid, match="not one that this server gave"):
        position_of(base64.urlsafe_b64encode(plain).decode())
