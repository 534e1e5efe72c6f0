"""Health and readiness: every reason why a server should get no work, and the facts for people."""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from expeditor.host.board import OFF, ON, HookBoard
from expeditor.jobs.errors import StoreUnavailable
from expeditor.runtime.health import VERSION, Beside, DiskWatch, Health, LoopLag, StoreWatch
from expeditor.store.base import StoreState
from tests.support.waiting import wait_until_async


class FakeStore:
    """A store in the state it is told."""

    def __init__(self) -> None:
        self.now = StoreState(kind="memory", open=True, error=None, pending_writes=2)

    def state(self):
        return self.now


class FakeLag:
    """An event loop as late as it is told."""

    seconds = 0.25


class Made:
    """A healthy server whose parts a test may spoil."""

    def __init__(self) -> None:
        self.board = HookBoard()
        self.board.set("queue", ON)
        self.store = FakeStore()
        self.lag = FakeLag()
        self.alive: bool | None = True
        self.too_full: str | None = None
        self.stuck: str | None = None
        self.results: str | None = None
        self.members: str | None = None
        self.assets = self.webhooks = StoreState("sqlite", True, None, 0)
        self.health = Health(
            board=self.board,
            store=self.store,
            lag=self.lag,
            comfyui_version="0.3.75",
            worker_alive=lambda: self.alive,
            too_full=lambda: self.too_full,
            stuck=lambda: self.stuck,
            beside=Beside(lambda: self.assets, lambda: self.webhooks, lambda: self.results, lambda: self.members),
            instance="gpu1",
        )


@pytest.fixture
def made():
    return Made()


def test_the_facts(made):
    facts = made.health.facts()
    assert facts.pop("uptime_s") >= 0
    assert facts == {
        "status": "ok",
        "fault": None,
        "instance": "gpu1",
        "version": VERSION,
        "comfyui_version": "0.3.75",
        "pid": os.getpid(),
        "worker_alive": True,
        "loop_lag_s": 0.25,
        "hooks": {"queue": "on"},
        "store": {
            "kind": "memory",
            "open": True,
            "error": None,
            "notice": None,
            "pending_writes": 2,
            "free_bytes": None,
        },
        "parking": {"state": "off", "kept_prompts": 0, "kept_bytes": 0},
        "assets": {"open": True, "error": None, "notice": None},
        "webhooks": {"open": True, "error": None, "notice": None},
    }


@pytest.mark.parametrize("name", ["assets", "webhooks"])
@pytest.mark.parametrize(
    "state", [StoreState("sqlite", False, "locked", 0), StoreState("sqlite", True, None, 0, "locked")]
)
def test_what_stands_beside_the_queue_is_told_and_the_queue_is_ready(made, name, state):
    setattr(made, name, state)
    facts = made.health.facts()
    assert (facts["status"], facts["fault"]) == ("degraded", f"{name}: locked")
    assert facts[name] == {"open": state.open, "error": state.error, "notice": state.notice}
    assert made.health.not_ready() is None


def test_results_that_cannot_go_home_are_told_and_the_queue_is_ready(made):
    made.results = "s3://b cannot be written: the server says AccessDenied."
    facts = made.health.facts()
    assert (facts["status"], facts["fault"]) == ("degraded", f"results: {made.results}")
    assert made.health.not_ready() is None


def test_instances_at_odds_are_told_and_the_queue_is_ready(made):
    made.members = "The instances do not order the queue alike."
    assert made.health.facts()["fault"] == f"instances: {made.members}"
    assert made.health.not_ready() is None


def test_a_worker_that_was_not_seen_yet_is_no_reason(made):
    made.alive = None
    assert made.health.not_ready() is None


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda made: made.board.set("queue", OFF), "queue: off"),
        (lambda made: made.board.set("queue", "another pack owns it"), "queue: another pack owns it"),
        (lambda made: setattr(made.store, "now", StoreState("sqlite", False, None, 0)), "store: not open"),
        (lambda made: setattr(made.store, "now", StoreState("sqlite", True, "disk full", 0)), "store: disk full"),
        (lambda made: setattr(made, "alive", False), "ComfyUI's worker thread has died; restart the server"),
        (lambda made: setattr(made, "stuck", "job a does not stop"), "job a does not stop"),
        (lambda made: setattr(made.lag, "seconds", 7.5), "the event loop is 7.5 s late"),
    ],
)
def test_reasons_to_get_no_work(made, spoil, reason):
    spoil(made)
    assert made.health.not_ready() == reason
    assert (made.health.facts()["status"], made.health.facts()["fault"]) == ("degraded", reason)


def test_a_store_that_began_anew_is_told_and_ready(made):
    made.store.now = StoreState("sqlite", True, None, 0, notice="set aside as x")
    assert (made.health.facts()["status"], made.health.facts()["fault"]) == ("degraded", "set aside as x")
    assert made.health.facts()["store"]["notice"] == "set aside as x"
    assert made.health.not_ready() is None


def test_a_nearly_full_queue_gets_no_work_and_is_no_fault(made):
    made.too_full = "queue: 9 of 10 jobs wait"
    assert made.health.not_ready() == "queue: 9 of 10 jobs wait"
    assert made.health.facts()["status"] == "ok"


def test_a_queue_hook_that_was_never_set_is_not_there():
    health = Health(
        board=HookBoard(),
        store=FakeStore(),
        lag=LoopLag(),
        comfyui_version="unknown",
        worker_alive=lambda: None,
        too_full=lambda: None,
        beside=Beside(lambda: StoreState("sqlite", True, None, 0), lambda: StoreState("sqlite", True, None, 0)),
    )
    assert health.not_ready() == "queue: not installed"


async def test_the_lag_of_a_blocked_loop_is_seen():
    lag = LoopLag(interval_s=0.001)
    assert lag.seconds == 0.0
    watch = asyncio.create_task(lag.watch())
    await asyncio.sleep(0)  # let it begin to measure
    end_s = time.perf_counter() + 0.05
    while time.perf_counter() < end_s:
        pass
    await wait_until_async(lambda: lag.seconds > 0.03)
    watch.cancel()


class FakeFailingStore(FakeStore):
    """Its first probes fail; the third one finds that writing works."""

    def __init__(self):
        super().__init__()
        self.error = "disk full"
        self.probes = 0
        self.looks = 0

    def state(self):
        self.looks += 1
        return StoreState("sqlite", True, self.error, 0)

    def probe(self):
        self.probes += 1
        future = Future()
        if self.probes < 3:
            future.set_exception(StoreUnavailable("disk full"))
        else:
            self.error = None
            future.set_result(None)
        return future


async def test_a_store_that_failed_is_asked_until_it_works_and_then_left_alone():
    store = FakeFailingStore()
    watch = asyncio.ensure_future(StoreWatch(store, interval_s=0.001).watch())
    await wait_until_async(lambda: store.error is None)
    looks = store.looks
    await wait_until_async(lambda: store.looks > looks + 5)
    watch.cancel()
    assert store.probes == 3


async def test_a_folder_that_is_made_a_moment_later_is_looked_at_again_soon(tmp_path):
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    disk = DiskWatch(tmp_path / "data", interval_s=3600, again_s=0.01)
    watch = asyncio.ensure_future(disk.watch())
    await asyncio.sleep(0)
    await asyncio.to_thread((tmp_path / "data").mkdir)  # on the one thread: after the first look
    await wait_until_async(lambda: disk.free_bytes)
    watch.cancel()


async def test_the_room_on_the_disk_is_known_and_a_folder_that_is_gone_is_no_fault(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    disk = DiskWatch(folder, interval_s=0.001)
    watch = asyncio.ensure_future(disk.watch())
    assert disk.free_bytes is None
    await wait_until_async(lambda: disk.free_bytes)
    folder.rmdir()
    await wait_until_async(lambda: disk.free_bytes is None)
    watch.cancel()
