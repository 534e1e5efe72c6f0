"""The wrapped `send_sync`: who gets a message, who hears of it, and that listening never disturbs a node."""

from __future__ import annotations

import logging

import pytest

from expeditor.host.endings import Endings
from expeditor.host.native import SYNTHETIC_PREFIX
from expeditor.host.observer import RUN_EVENTS, observe

NOBODY = f"{SYNTHETIC_PREFIX}a"
PREVIEW = 1


class FakeServer:
    """Notes what would go out on its sockets."""

    def __init__(self) -> None:
        self.sent = []

    def send_sync(self, event, data, sid=None):
        self.sent.append((event, data, sid))
        return "sent"


class FakeSignals:
    """Notes what it hears; fails when told to."""

    def __init__(self) -> None:
        self.heard = []
        self.failing = False

    def signal(self, event, fields):
        self.heard.append((event, fields))
        if self.failing:
            raise RuntimeError("a fault of ours")


@pytest.fixture
def server():
    return FakeServer()


@pytest.fixture
def signals(server):
    made = FakeSignals()
    observe(server, made, Endings())
    return made


@pytest.mark.parametrize("sid", [None, "ada"])
@pytest.mark.parametrize("event", ["status", "executing", "executed", "a.custom.event", PREVIEW, ["no", "word"]])
def test_messages_go_where_they_went(server, signals, event, sid):
    assert server.send_sync(event, {"x": 1}, sid) == "sent"
    assert server.sent == [(event, {"x": 1}, sid)]


def test_arguments_by_name_work_as_before(server, signals):
    server.send_sync(event="executing", data={"node": "1"}, sid="ada")
    server.send_sync("status", {"x": 1})
    assert server.sent == [("executing", {"node": "1"}, "ada"), ("status", {"x": 1}, None)]
    assert signals.heard == [("executing", {"node": "1"})]


@pytest.mark.parametrize("event", ["execution_interrupted", "progress_state", "progress", PREVIEW])
def test_what_stock_tells_everybody_of_a_clientless_job_still_reaches_everybody(server, signals, event):
    server.send_sync(event, {"prompt_id": "a"}, NOBODY)
    assert server.sent == [(event, {"prompt_id": "a"}, None)]


@pytest.mark.parametrize(
    "event", ["execution_start", "execution_cached", "executing", "executed", "execution_error", "execution_success"]
)
def test_what_stock_does_not_send_for_a_clientless_job_is_not_sent(server, signals, event):
    server.send_sync(event, {"prompt_id": "a"}, NOBODY)
    assert server.sent == []


def test_signals_of_runs_are_heard_whoever_they_are_for(server, signals):
    for sid in (None, "ada", NOBODY):
        for event in (*sorted(RUN_EVENTS), "status", "a.custom.event"):
            server.send_sync(event, {"prompt_id": "a"}, sid)
    assert [event for event, _ in signals.heard] == sorted(RUN_EVENTS) * 3


def test_a_preview_names_no_run_and_is_heard_as_a_sign_of_life(server, signals):
    server.send_sync(PREVIEW, ("JPEG", object(), 512), NOBODY)
    assert signals.heard == [("preview", {})]


@pytest.mark.parametrize("data", [None, b"bytes", [1], "text"])
def test_data_that_is_no_object_is_not_heard(server, signals, data):
    server.send_sync("executing", data, "ada")
    assert (len(server.sent), signals.heard) == (1, [])


def test_a_listener_that_fails_does_not_disturb_the_node(server, signals, caplog):
    signals.failing = True
    with caplog.at_level(logging.WARNING, "expeditor.host"):
        assert server.send_sync("executing", {"prompt_id": "a"}, "ada") == "sent"
    assert "A listener failed on executing" in caplog.text
