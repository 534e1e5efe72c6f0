"""A disk that is full, on a real server: nothing is accepted that is not stored, nothing that ran is forgotten.

The kernel plays the full disk: the process's limit on file sizes (RLIMIT_FSIZE) is set to what the database has already,
so that its next write fails as it would on a full one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

resource = pytest.importorskip("resource", reason="prlimit is Linux's")

from tests.host.jobs_client import job, occupy, quick, submit, until_ended
from tests.host.stock_walk import TEST_NODES, open_gate
from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="prlimit is Linux's")


@pytest.fixture(scope="module")
def server() -> Iterator[RealComfyUI]:
    with RealComfyUI(packs=[TEST_NODES]) as running:
        # The journal has to be larger than the server's own log file, which must stay writable.
        for salt in range(12):
            submit(running, quick(salt), extra_data={"padding": "x" * 60_000})
        yield running


@contextmanager
def disk_full(server: RealComfyUI) -> Iterator[None]:
    files = [*server.base.rglob("expeditor.sqlite3*")]
    size = max(file.stat().st_size for file in files)
    assert size > server.log_path.stat().st_size + 100_000
    _, hard = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (hard, hard))


def fill(server: RealComfyUI) -> None:
    """Fill what the journal has left, so that the end of a job meets the limit."""
    while server.post("/expeditor/submit", json={"prompt": quick(111), "extra_data": {"p": "z" * 100_000}}).ok:
        pass


def owed_ends(server: RealComfyUI) -> int:
    """How many runs ended whose end could not be stored."""
    return server.log_text().count("could not be stored yet")


def idle(server: RealComfyUI) -> bool:
    return server.get("/prompt").json()["exec_info"]["queue_remaining"] == 0


def test_a_submit_is_refused_and_changes_nothing(server: RealComfyUI):
    wait_until(lambda: idle(server), what="an idle queue")
    before = server.get("/expeditor/jobs?limit=1000").json()["jobs"]
    padding = {"padding": "y" * 200_000}
    with disk_full(server):
        for route in ("/expeditor/submit", "/prompt"):
            refused = server.post(route, json={"prompt": quick(100), "extra_data": padding})
            assert (refused.status_code, refused.reason) == (503, "STORE_UNAVAILABLE"), refused.text
            assert int(refused.headers["Retry-After"]) >= 1
            assert idle(server)
        assert server.get("/expeditor/ready").status_code == 503
        assert len(server.get("/expeditor/jobs?limit=1000").json()["jobs"]) == len(before)
    # Nobody writes: the server finds out by itself that it may be given work again.
    wait_until(lambda: server.get("/expeditor/ready").status_code == 200, what="readiness")
    accepted = submit(server, quick(101), extra_data=padding)["id"]
    assert until_ended(server, accepted)["status"] == "succeeded"
    assert server.get("/expeditor/ready").status_code == 200


def test_a_job_that_ends_on_a_full_disk_is_settled_later_and_not_run_again(server: RealComfyUI):
    held = occupy(server, "full")
    waiting = submit(server, quick(110))["id"]
    with disk_full(server):
        fill(server)
        before = owed_ends(server)
        open_gate(server, "full")
        wait_until(lambda: owed_ends(server) > before, what="the end of the run")
        assert job(server, held)["status"] == "running"
        assert job(server, waiting)["status"] == "queued"
    assert until_ended(server, held)["attempt"] == 1
    assert job(server, held)["status"] == "succeeded"
    assert until_ended(server, waiting)["status"] == "succeeded"


def test_an_ending_on_a_full_disk_is_settled_by_itself_when_nothing_waits(server: RealComfyUI):
    wait_until(lambda: idle(server), what="an idle queue")
    held = occupy(server, "alone")
    with disk_full(server):
        fill(server)
        before = owed_ends(server)
        open_gate(server, "alone")
        wait_until(lambda: owed_ends(server) > before, what="the end of the run")
        assert job(server, held)["status"] == "running"
    assert until_ended(server, held)["status"] == "succeeded"
