"""A job whose node ends ComfyUI's process: after three deaths it is given up with what was seen last, and all others finish."""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from typing import Any

from tests.host.jobs_client import job, occupy, quick, submit, until_ended
from tests.host.socket_reader import SocketReader
from tests.host.stock_walk import TEST_NODES, open_gate
from tests.support.comfy_server import RealComfyUI, ServerDidNotStart
from tests.support.waiting import wait_until

LAST_WORDS = "the driver says goodbye"


def kills(key: str) -> dict[str, Any]:
    """A prompt whose second node ends the process each time."""
    inputs = {"code": 9, "text": LAST_WORDS, "key": key}
    return {"1": quick(1)["1"], "7": {"class_type": "ExpeditorTestExits", "inputs": inputs}}


def test_a_job_that_kills_the_server_is_given_up_with_its_last_node_and_the_others_finish():
    with RealComfyUI(packs=[TEST_NODES]) as server:
        first = occupy(server, "first")
        client = str(uuid.uuid4())
        poison = submit(server, kills("poison"), priority=8, client_id=client)["id"]
        others = [submit(server, quick(10 + number), priority=3)["id"] for number in range(4)]
        open_gate(server, "first")
        for _ in range(3):
            assert server.wait_exit(60) == 9
            with suppress(ServerDidNotStart):  # the job may end it again before it answers
                server.start()
        ended = until_ended(server, poison)
        with SocketReader(server, client) as socket:
            frames = socket.until(lambda frame: frame.kind == "executing" and frame.ends_prompt)
        told_to_client = [(frame.kind, frame.data["prompt_id"]) for frame in frames if frame.kind != "status"]
        assert told_to_client == [("execution_error", poison), ("executing", poison)]
        assert (ended["status"], ended["cause"], ended["attempt"]) == ("failed", "POISON", 3)
        assert [attempt["cause"] for attempt in ended["attempts"]] == ["PROCESS_DIED"] * 3
        error = ended["error"]
        assert (error["node_id"], error["class_type"]) == ("7", "ExpeditorTestExits")
        assert LAST_WORDS in error["log_tail"]
        told = _failed(server, poison)
        assert LAST_WORDS in told["exc_info"]
        assert (told["node_id"], told["class_type"], told["cause"]) == ("7", "ExpeditorTestExits", "POISON")

        for other in (first, *others):
            assert until_ended(server, other)["status"] == "succeeded"
        assert [len(job(server, other)["attempts"]) for other in others] == [1, 1, 1, 1]
        # A suspect after two deaths: its third run began when nothing else waited any more.
        last = ended["attempts"][2]["started_at"]
        assert max(job(server, other)["attempts"][0]["started_at"] for other in others) < last


def _failed(server: RealComfyUI, job_id: str) -> dict[str, Any]:
    """The log line of the job's failure."""

    def found() -> dict[str, Any] | None:
        lines = [json.loads(line) for line in server.log_text().splitlines() if line.startswith('{"')]
        return next(
            (line for line in lines if line.get("event") == "job.failed" and line.get("job_id") == job_id), None
        )

    line = wait_until(found, what="the log line of the failure")
    assert line is not None
    return line
