"""The end of a job that never ran, told to its client: in core's shape, once, and when it does no harm."""

from __future__ import annotations

import pytest

from expeditor.host.endings import Endings
from expeditor.host.farewells import CLIENTS_MAX, TELL_LATER_S, Farewells, last_word
from expeditor.host.native import SYNTHETIC_PREFIX
from expeditor.jobs.model import Cause, JobError, JobStatus, Source
from tests.support.clocks import HandMonotonic
from tests.support.jobs import a_job

PAGE = {"ada": {"feature_flags": {"supports_preview_metadata": True}}}


class FakeServer:
    """Notes what goes out on its sockets."""

    def __init__(self) -> None:
        self.sent = []
        self.sockets = {"ada": object()}
        self.sockets_metadata = {"ada": {"feature_flags": {}}}

    def send_sync(self, event, data, sid=None):
        self.sent.append((event, data.get("prompt_id"), sid))


@pytest.fixture
def server():
    return FakeServer()


@pytest.fixture
def endings():
    return Endings()


@pytest.fixture
def clock():
    return HandMonotonic()


@pytest.fixture
def farewells(server, endings, clock):
    return Farewells(server, endings, clock, lambda: 12.5)


def ended(status=JobStatus.CANCELED, job_id="a", client_id="ada", error=None, cause=None):
    return a_job(id=job_id, source=Source.PROMPT, status=status, client_id=client_id, error=error, cause=cause)


INTERRUPTED = [("execution_interrupted", "a", "ada"), ("executing", "a", "ada")]


def test_a_connected_client_is_told_at_once_and_once(server, farewells):
    farewells.tell(ended())
    assert server.sent == INTERRUPTED
    farewells.catch_up("ada")
    assert server.sent == INTERRUPTED


@pytest.mark.parametrize("client_id", [None, f"{SYNTHETIC_PREFIX}a"])
def test_a_job_without_a_client_is_told_to_nobody(server, farewells, client_id):
    farewells.tell(ended(client_id=client_id))
    assert server.sent == []


def test_a_client_that_is_away_is_told_when_it_connects(server, farewells):
    socket = server.sockets.pop("ada")
    farewells.tell(ended())
    farewells.catch_up("ada")
    assert server.sent == []
    server.sockets["ada"] = socket
    farewells.catch_up("ada")
    farewells.catch_up("ada")
    assert server.sent == INTERRUPTED


def test_what_is_too_old_is_not_told_any_more(server, farewells, clock):
    socket = server.sockets.pop("ada")
    farewells.tell(ended())
    clock.now_s = TELL_LATER_S + 1
    farewells.tell(ended(job_id="b"))
    server.sockets["ada"] = socket
    farewells.catch_up("ada")
    assert [job_id for _, job_id, _ in server.sent] == ["b", "b"]


def test_clients_that_never_come_are_forgotten(server, farewells):
    for index in range(CLIENTS_MAX + 1):
        farewells.tell(ended(client_id=f"client {index}"))
    server.sockets |= {"client 0": object(), "client 1": object()}
    farewells.catch_up("client 0")
    assert server.sent == []
    farewells.catch_up("client 1")
    assert len(server.sent) == 2


@pytest.mark.parametrize(("metadata", "told"), [(PAGE, 0), ({"ada": {"feature_flags": {}}}, 2), ({}, 2), (None, 2)])
def test_only_a_page_that_shows_a_run_hears_it_later(server, endings, farewells, metadata, told):
    server.sockets_metadata = metadata
    endings.begin("b", "ada")
    farewells.tell(ended())
    assert len(server.sent) == told
    endings.ended("b")
    farewells.catch_up("ada")
    assert len(server.sent) == told, "its own closing word is still to come"
    for client_id in endings.rest():
        farewells.catch_up(client_id)
    assert server.sent == INTERRUPTED


def test_a_page_hears_at_once_while_others_run(server, endings, farewells):
    server.sockets_metadata = PAGE
    endings.begin("b", "bob")
    farewells.tell(ended())
    assert server.sent == INTERRUPTED


def test_a_failure_is_said_as_core_says_it():
    error = JobError("POISON", "It died three times.", node_id="7", class_type="KSampler", traceback="the log's tail")
    event, fields = last_word(ended(JobStatus.FAILED, error=error, cause=Cause.POISON), 12.5)
    assert event == "execution_error"
    assert fields == {
        "prompt_id": "a",
        "node_id": "7",
        "node_type": "KSampler",
        "executed": [],
        "exception_message": "It died three times.",
        "exception_type": "POISON",
        "traceback": ["the log's tail"],
        "current_inputs": {},
        "current_outputs": [],
        "timestamp": 12500,
    }


def test_a_cancel_is_said_as_core_says_it():
    assert last_word(ended(), 1.0) == (
        "execution_interrupted",
        {"prompt_id": "a", "node_id": None, "node_type": None, "executed": [], "timestamp": 1000},
    )


def test_an_expiry_is_an_error():
    event, fields = last_word(
        ended(JobStatus.EXPIRED, error=JobError("EXPIRED", "Too late."), cause=Cause.EXPIRED), 1.0
    )
    assert (event, fields["exception_type"], fields["exception_message"]) == ("execution_error", "EXPIRED", "Too late.")


def test_a_socket_that_fails_fails_nobody(server, farewells, caplog):
    server.send_sync = None
    farewells.tell(ended())
    assert "could not be told" in caplog.text
