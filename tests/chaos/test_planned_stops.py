"""Planned stops of a real server: SIGTERM and Ctrl-C end it as they end stock ComfyUI, and no job is suspected for it."""

from __future__ import annotations

import signal
import sys

import pytest

from tests.host.jobs_client import job, occupy, quick, submit, until_ended, until_status
from tests.host.stock_walk import TEST_NODES, open_gate
from tests.support.comfy_server import RealComfyUI

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def test_a_long_job_survives_five_planned_restarts_without_suspicion():
    with RealComfyUI(packs=[TEST_NODES]) as server:
        long = occupy(server, "long")
        for _ in range(5):
            assert server.terminate() == -signal.SIGTERM
            server.start()
            until_status(server, long, "running")
        open_gate(server, "long")
        ended = until_ended(server, long)
        assert ended["status"] == "succeeded"
        assert [attempt["cause"] for attempt in ended["attempts"]] == ["INTERRUPTED"] * 5 + [None]


def test_ctrl_c_ends_the_server_as_it_ends_stock_comfyui():
    said: list[tuple[int | None, str]] = []
    for with_expeditor in (False, True):
        with RealComfyUI(with_expeditor=with_expeditor, packs=[TEST_NODES]) as server:
            before = len(server.log_text())
            said.append((server.interrupt(), server.log_text()[before:]))
    assert said[0] == (0, "\nStopped server\n")
    assert said[1] == said[0]


def test_ctrl_c_while_a_job_runs_is_no_death_and_what_waits_goes_on():
    with RealComfyUI(packs=[TEST_NODES]) as server:
        held = occupy(server, "held")
        waits = submit(server, quick(1))["id"]
        assert server.interrupt() == 0
        open_gate(server, "held")
        server.start()
        assert until_ended(server, waits)["status"] == "succeeded"
        ended = job(server, held)
        assert (ended["status"], [attempt["cause"] for attempt in ended["attempts"]]) == (
            "succeeded",
            ["INTERRUPTED", None],
        )


def test_two_signals_end_it_too():
    with RealComfyUI(packs=[TEST_NODES]) as server:
        occupy(server, "held")
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        server.process.send_signal(signal.SIGTERM)
        assert server.wait_exit() == -signal.SIGTERM
