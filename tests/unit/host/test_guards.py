"""The guards around `send` and `execute`: everything passes through; what would end the process does not."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace

import pytest

from expeditor.host.guards import guard_execute, guard_send


class FakeServer:
    """Sends, or fails as told; notes what went out."""

    def __init__(self, failure=None, client_id="ada") -> None:
        self.failure = failure
        self.client_id = client_id
        self.sent = []

    async def send(self, event, data, sid=None):
        if self.failure is not None:
            raise self.failure
        return (event, data, sid)

    def send_sync(self, event, data, sid=None):
        if self.failure is not None:
            raise self.failure
        self.sent.append((event, data["prompt_id"], sid))


async def test_send_passes_everything_through():
    server = FakeServer()
    guard_send(server)
    assert await server.send("status", 1, sid="ada") == ("status", 1, "ada")


@pytest.mark.parametrize(
    "failure", [TypeError("unhashable"), ValueError("not JSON"), ConnectionResetError(), OSError(5)]
)
async def test_a_message_that_cannot_be_sent_is_dropped_and_told(failure, caplog):
    server = FakeServer(failure)
    guard_send(server)
    with caplog.at_level(logging.WARNING, "expeditor.host"):
        assert await server.send(event="odd", data={}) is None
    assert "could not be sent and was dropped: odd" in caplog.text


async def test_a_cancelled_send_stays_cancelled():
    server = FakeServer(asyncio.CancelledError())
    guard_send(server)
    with pytest.raises(asyncio.CancelledError):
        await server.send("status", 1)


def executor_class(failure=None, ran=None):
    """A class of its own for each test, since the guard wraps the class."""

    class FakeExecutor:
        """Runs, or fails as told."""

        def __init__(self, server=None) -> None:
            self.server = server or FakeServer()
            self.success = True
            self.history_result = None
            self.status_messages = [("execution_start", {}), ("execution_success", {})]

        def execute(self, prompt, prompt_id, extra_data=None, execute_outputs=()):
            if failure is not None:
                raise failure
            return (prompt, prompt_id, extra_data, execute_outputs)

    guard_execute(FakeExecutor, ran=ran)
    return FakeExecutor


def test_execute_passes_everything_through():
    executor = executor_class()()
    assert executor.execute({}, "a", {"x": 1}, execute_outputs=["9"]) == ({}, "a", {"x": 1}, ["9"])
    assert executor.success is True


@pytest.mark.parametrize("failure", [None, SystemExit(3)])
def test_whoever_asked_is_told_of_each_run_however_it_ended(failure):
    told = []
    executor = executor_class(failure, ran=lambda *facts: told.append(facts))()
    executor.execute({"1": {}}, "a")
    executor.execute(prompt={"2": {}}, prompt_id="b")
    assert told == [(executor, {"1": {}}), (executor, {"2": {}})]


class Wordless(BaseException):
    """Fails even to say what it is."""

    def __str__(self):
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("failure", "message", "kind"),
    [
        (SystemExit(3), "3", "SystemExit"),
        (KeyboardInterrupt(), "KeyboardInterrupt", "KeyboardInterrupt"),
        (RuntimeError("it broke"), "it broke", "RuntimeError"),
        (Wordless(), "Wordless", "Wordless"),
    ],
)
def test_what_leaves_execute_is_a_failed_run(failure, message, kind, caplog):
    executor = executor_class(failure)()
    with caplog.at_level(logging.WARNING, "expeditor.host"):
        assert executor.execute({}, "a") is None
    assert (executor.success, executor.history_result) == (False, {"outputs": {}, "meta": {}})
    assert [event for event, _ in executor.status_messages] == ["execution_start", "execution_error"]
    fields = executor.status_messages[-1][1]
    assert (fields["prompt_id"], fields["exception_message"], fields["exception_type"]) == ("a", message, kind)
    assert any("raise failure" in line for line in fields["traceback"])
    assert executor.server.sent == [("execution_error", "a", "ada")]
    assert "A run ended outside its nodes" in caplog.text


def test_the_prompt_id_may_come_by_name_and_the_client_may_be_nobody():
    executor = executor_class(SystemExit())(FakeServer(client_id=None))
    executor.execute(prompt={}, prompt_id="b")
    assert executor.status_messages[-1][1]["prompt_id"] == "b"
    assert executor.server.sent == []


@pytest.mark.parametrize("server", [FakeServer(RuntimeError("no loop")), SimpleNamespace(client_id="ada"), None])
def test_the_worker_thread_lives_also_when_the_end_cannot_be_told(server, caplog):
    executor = executor_class(SystemExit())(server)
    executor.server = server
    with caplog.at_level(logging.WARNING, "expeditor.host"):
        executor.execute({}, "a")
    assert executor.success is False
