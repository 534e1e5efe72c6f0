"""The hourly look at what nobody sends any more: begun with the server, done also after a fault; what is not sure is not let go."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from expeditor.host.landing import PARTS, LandingGround
from expeditor.host.owed import FORGOTTEN_FOR_S, OwedFiles
from expeditor.host.peers import PeerThread
from expeditor.jobs.errors import StoreUnavailable
from expeditor.jobs.leftovers import FileName
from expeditor.jobs.parcels import Offer
from expeditor.runtime.homeward import HomewardParts, build_homeward
from expeditor.runtime.settings_source import load
from expeditor.runtime.tidying import Tidying
from tests.support.fake_cluster import FakeCluster
from tests.support.waiting import wait_until

JOB = "11111111-2222-4333-8444-555555555555"
LATER_S = 2 * FORGOTTEN_FOR_S


class Disk:
    """What lies about: a part that nobody goes on sending, and a file that is owed to `lost`, both very old."""

    def __init__(self, root: Path) -> None:
        self.folders: Callable[[str], str] = lambda kind: str(root / kind)
        self.data_dir = root / "data"
        self.part = root / "output" / PARTS / "x.part"
        self.part.parent.mkdir(parents=True)
        self.part.write_bytes(b"half")
        os.utime(self.part, (0.0, 0.0))
        made = root / "output" / "a.png"
        made.write_bytes(b"x")
        self.owed = OwedFiles(self.data_dir / "owed_results")
        offer = Offer("west", JOB, FileName("output", "", "a.png"), 1, "0" * 64, 0.0, True)
        one = self.owed.add("lost", offer, offer.file, made)
        os.utime(self.data_dir / "owed_results" / f"{one.key}.json", (0.0, 0.0))


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


@pytest.fixture
def thread() -> Iterator[PeerThread]:
    made = PeerThread()
    yield made
    made.stop()


def tidying(disk: Disk, names: Callable[[], frozenset[str]]) -> Tidying:
    return Tidying("west", LandingGround(disk.folders), disk.owed, names, every_s=0.01, wall=lambda: LATER_S)


def test_it_is_done_again_and_again_also_after_a_fault(disk: Disk, thread: PeerThread, caplog) -> None:
    asked: list[int] = []

    def names() -> frozenset[str]:
        asked.append(len(asked))
        if len(asked) == 1:
            raise RuntimeError("a fault of ours")
        return frozenset({"west"})

    thread.run(tidying(disk, names).for_ever())
    wait_until(lambda: not disk.owed.all(), what="what is owed to nobody, let go")
    assert not disk.part.exists()
    assert [getattr(record, "event", "") for record in caplog.records].count("tidy.failed") == 1


@pytest.mark.parametrize("listed", [frozenset(), frozenset({"east"}), frozenset({"west", "lost"}), None])
def test_nothing_owed_is_let_go_while_it_is_not_sure(disk: Disk, listed: frozenset[str] | None) -> None:
    def names() -> frozenset[str]:
        if listed is None:
            raise StoreUnavailable("away")
        return listed

    one = tidying(disk, names)
    for _ in range(3):
        one.once()
    assert len(disk.owed.all()) == 1
    assert not disk.part.exists(), "which nobody else has a say in"


def test_it_begins_with_the_server(disk: Disk, tmp_path: Path) -> None:
    cluster = FakeCluster(lambda: 0.0)
    homeward = build_homeward(
        HomewardParts(
            load(tmp_path), disk.data_dir, "west", cluster.registry(), lambda: 0.0, lambda: None, folders=disk.folders
        )
    )
    homeward.start()
    try:
        wait_until(lambda: not disk.part.exists(), what="the part, removed")
    finally:
        homeward.thread.stop()
