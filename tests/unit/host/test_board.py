"""The board of hooks: states as they were set, and each reason told once."""

from __future__ import annotations

import logging

from expeditor.host.board import OFF, ON, HookBoard


def test_states_are_kept_and_handed_out_as_a_copy():
    board = HookBoard()
    assert (board.states(), board.is_on("queue")) == ({}, False)
    board.set("queue", ON)
    board.set("send", OFF)
    board.set("observer", "no send_sync")
    assert board.states() == {"queue": "on", "send": "off", "observer": "no send_sync"}
    assert [name for name in ("queue", "send", "observer", "other") if board.is_on(name)] == ["queue"]
    board.states()["queue"] = OFF
    assert board.is_on("queue")


def test_a_reason_is_logged_once_and_a_state_never(caplog):
    board = HookBoard()
    with caplog.at_level(logging.INFO, "expeditor.host"):
        for state in (ON, OFF, "another pack owns it", "another pack owns it"):
            board.set("queue", state)
    assert caplog.messages == ["Hook queue stands down: another pack owns it"]
    board.set("queue", "it broke")
    assert len(caplog.messages) == 2
