"""A database that is damaged, locked, too new or nowhere, on a real server: a clear state, and stock ComfyUI goes on."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.host.jobs_client import job, quick, submit, until_ended
from tests.host.stock_walk import TEST_NODES, ended, gate_prompt, image_prompt, open_gate, prompt_id, running
from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until


def _health(server: RealComfyUI) -> dict[str, Any]:
    return server.get("/expeditor/health").json()


def _ready(server: RealComfyUI) -> bool:
    return server.get("/expeditor/ready").status_code == 200


def _put(server: RealComfyUI, name: str, prompt: dict[str, Any]) -> None:
    answer = server.post("/prompt", json={"prompt": prompt, "prompt_id": prompt_id(name)})
    assert answer.status_code == 200, answer.text


def _stands_down(server: RealComfyUI, words: str) -> None:
    assert words in _health(server)["fault"]
    assert _health(server)["hooks"]["queue"] == _health(server)["fault"].removeprefix("queue: ")
    assert not _ready(server)
    refused = server.post("/expeditor/submit", json={"prompt": image_prompt(1)})
    assert (refused.status_code, refused.reason) == (503, "STORE_UNAVAILABLE")


def _database(folder: Path) -> Path:
    home = folder / "user" / "__expeditor"
    home.mkdir(parents=True)
    return home / "expeditor.sqlite3"


def test_a_damaged_database_is_set_aside_and_the_server_works(tmp_path: Path):
    path = _database(tmp_path)
    path.write_bytes(b"no database at all" * 1000)
    with RealComfyUI(packs=[TEST_NODES], data_dir=tmp_path) as server:
        health = _health(server)
        (aside,) = path.parent.glob("*.corrupt-*")
        assert aside.read_bytes() == b"no database at all" * 1000
        assert health["status"] == "degraded"
        assert str(aside) in health["fault"]
        assert server.log_text().count("was set aside as") == 1
        assert _ready(server)
        done = submit(server, quick(1))["id"]
        assert until_ended(server, done)["status"] == "succeeded"
        server.restart()
        assert _health(server)["status"] == "ok"
        assert job(server, done)["status"] == "succeeded"

        server.kill()
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA user_version = 99")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        before = path.read_bytes()
        server.start()
        _stands_down(server, "newer version of Expeditor (schema 99;")
        _put(server, "stock", image_prompt(2))
        ended(server, prompt_id("stock"))
        assert path.read_bytes() == before


def test_a_locked_database_is_tried_again_and_the_queue_comes_back_with_what_waits(tmp_path: Path):
    path = _database(tmp_path)
    with RealComfyUI(packs=[TEST_NODES], data_dir=tmp_path) as server:
        earlier = submit(server, gate_prompt("never"))["id"]
        server.kill()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("PRAGMA locking_mode = EXCLUSIVE")
            other.execute("BEGIN EXCLUSIVE")
            server.start()
            _stands_down(server, "another program has it locked")
            _put(server, "runs", gate_prompt("runs"))
            running(server, prompt_id("runs"))
            _put(server, "waits", image_prompt(3))
        wait_until(lambda: _ready(server), what="the queue to come back")
        assert server.log_text().count('"event": "hook.stands_down"') == 1
        assert _health(server)["status"] == "ok"
        # What came in meanwhile is a job now, behind what was stored before; what core ran, core ends.
        assert job(server, prompt_id("waits"))["status"] == "queued"
        assert job(server, earlier)["status"] == "queued"
        open_gate(server, "runs")
        told = ended(server, prompt_id("runs"))
        assert told[prompt_id("runs")]["status"]["status_str"] == "success"
        open_gate(server, "never")
        assert until_ended(server, earlier)["status"] == "succeeded"
        assert until_ended(server, prompt_id("waits"))["attempt"] == 1
        assert until_ended(server, submit(server, quick(2))["id"])["status"] == "succeeded"


def test_a_folder_that_cannot_be_made_stands_down():
    with RealComfyUI(packs=[TEST_NODES], env={"EXPEDITOR_DATA_DIR": "/proc/expeditor"}) as server:
        _stands_down(server, "/proc/expeditor")
        _put(server, "stock", image_prompt(2))
        ended(server, prompt_id("stock"))
