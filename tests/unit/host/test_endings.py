"""What a run says at its end is told when its job has ended, once, and never when the job runs again."""

from __future__ import annotations

import logging

import pytest

from expeditor.host.endings import LAST_WORDS, Endings
from expeditor.host.observer import observe

NULL = "executing"


class FakeServer:
    """Notes what goes out on its sockets."""

    def __init__(self) -> None:
        self.sent = []

    def send_sync(self, event, data, sid=None):
        self.sent.append((event, data, sid))


class FakeSignals:
    """Notes what it hears."""

    def __init__(self) -> None:
        self.heard = []

    def signal(self, event, fields):
        self.heard.append(event)


class Stage:
    """A server whose socket is observed, and short words for what ComfyUI says."""

    def __init__(self) -> None:
        self.server, self.signals, self.endings = FakeServer(), FakeSignals(), Endings()
        observe(self.server, self.signals, self.endings)

    def says(self, event, job_id="a", sid="ada", **fields):
        if event == NULL:
            fields.setdefault("node", None)
        self.server.send_sync(event, {"prompt_id": job_id, **fields}, sid)

    def told(self):
        return [event for event, _, _ in self.server.sent]


@pytest.fixture
def stage():
    return Stage()


@pytest.mark.parametrize("word", sorted(LAST_WORDS))
def test_the_last_word_waits_for_the_committed_end(stage, word):
    stage.endings.begin("a", "ada")
    stage.says("execution_start")
    stage.says(NULL, node="1")
    stage.says(word)
    assert stage.told() == ["execution_start", NULL]
    stage.endings.ended("a")
    assert stage.told() == ["execution_start", NULL, word]
    stage.says(NULL)
    assert stage.told() == ["execution_start", NULL, word, NULL]
    stage.endings.ended("a")
    assert len(stage.server.sent) == 4, "told once"


def test_what_is_withheld_is_heard_by_our_own_listeners_at_once(stage):
    stage.endings.begin("a", "ada")
    stage.says("execution_error")
    assert stage.signals.heard == ["execution_error"]


def test_a_run_that_is_not_ours_is_told_at_once(stage):
    stage.endings.begin("a", "ada")
    stage.says("execution_error", job_id="b")
    stage.says(NULL, job_id="b")
    stage.says(NULL, job_id="a", node="7")
    stage.server.send_sync(NULL, {"node": None}, "ada")
    assert len(stage.server.sent) == 4


def test_of_an_attempt_that_is_not_the_last_nothing_is_told(stage):
    stage.endings.begin("a", "ada")
    stage.says("execution_error")
    stage.endings.put_back("a")
    stage.says(NULL)
    assert stage.told() == []
    assert stage.endings.rest() == ("ada",)
    stage.endings.begin("a", "ada")
    stage.says("execution_success")
    stage.endings.ended("a")
    stage.says(NULL)
    assert stage.told() == ["execution_success", NULL]


def test_only_one_closing_word_of_a_run_that_was_put_back_is_dropped(stage):
    stage.endings.begin("a", "ada")
    stage.endings.put_back("a")
    stage.says(NULL)
    stage.says(NULL)
    assert stage.told() == [NULL]


def test_a_run_that_starts_over_in_place_tells_its_last_execution_alone(stage):
    stage.endings.begin("a", "ada")
    stage.says("execution_error", exception_type="OutOfMemoryError")
    stage.endings.again_now("a")
    stage.says("execution_success")
    stage.endings.ended("a")
    assert stage.told() == ["execution_success"]


def test_while_the_end_is_owed_the_closing_word_waits_too(stage):
    stage.endings.begin("a", "ada")
    stage.says("execution_success")
    stage.says(NULL)
    assert stage.endings.rest() == ()
    assert stage.endings.running_for("ada")
    assert stage.told() == []
    stage.endings.ended("a")
    assert stage.told() == ["execution_success", NULL]
    assert stage.endings.rest() == ("ada",)
    assert not stage.endings.running_for("ada")


def test_an_error_outside_the_nodes_takes_back_a_success(stage):
    stage.endings.begin("a", "ada")
    stage.says("execution_success")
    stage.says("execution_error")
    stage.endings.ended("a")
    assert stage.told() == ["execution_error"]


def test_a_blocked_branch_is_no_end(stage):
    stage.endings.begin("a", "ada")
    stage.says("execution_error", exception_type="ExecutionBlocked")
    stage.says("execution_success")
    assert stage.told() == ["execution_error"]
    stage.endings.ended("a")
    assert stage.told() == ["execution_error", "execution_success"]


def test_a_job_without_a_client_is_told_as_on_stock(stage):
    stage.endings.begin("a", None)
    for word in ("execution_interrupted", "execution_success"):
        stage.says(word, sid="expeditor.no-client.a")
        stage.endings.ended("a")
        stage.endings.begin("a", None)
    assert [(event, sid) for event, _, sid in stage.server.sent] == [("execution_interrupted", None)]
    assert stage.endings.rest() == ()


def test_a_frame_that_cannot_be_sent_does_not_stop_the_next(stage, caplog):
    def broken(*_):
        raise RuntimeError("no loop")

    stage.endings.begin("a", "ada")
    stage.endings.withhold("execution_success", {"prompt_id": "a"}, broken)
    stage.says(NULL)
    with caplog.at_level(logging.WARNING, "expeditor.host"):
        stage.endings.ended("a")
    assert stage.told() == [NULL]
    assert "The end of a run could not be told" in caplog.text


def test_fields_that_cannot_be_looked_at_go_out_as_they_are(stage, caplog):
    class Odd:
        def __str__(self):
            raise RuntimeError("no words")

    with caplog.at_level(logging.WARNING, "expeditor.host"):
        stage.says("execution_success", job_id=Odd())
    assert stage.told() == ["execution_success"]
