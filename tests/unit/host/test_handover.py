"""A file that an early delivery and the end of the run both want to send: one sends it, the other waits, and both have its name at home.

The way is a fake (`FakeWay`): it sends nothing, and says how often it was asked and by how many at once.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from expeditor.host.handover import Handover
from expeditor.host.owed import OwedFiles
from expeditor.host.peers import PeerAway, PeerGone, PeerRefused, PeerThread
from expeditor.jobs.leftovers import FileName
from expeditor.jobs.model import Ending, JobStatus, Output
from expeditor.jobs.parcels import Offer
from tests.support.jobs import a_job
from tests.support.waiting import wait_until

HERE, HOME = FileName("output", "cats", "x.png"), FileName("output", "b/cats", "x.png")
SAVED = {"images": [{"filename": "x.png", "subfolder": "cats", "type": "output"}]}


class FakeWay:
    """Fits `handover.Way`. Nobody gets past it before `gate` is set; the first `refusals` are refused then, and all if `away` is set."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.refusals = 0
        self.away: PeerAway | None = None
        self.asked = 0
        self.under_way = 0
        self.most_at_once = 0

    async def send(self, origin: str, offer: Offer, path: Path) -> FileName:
        self.asked += 1
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        try:
            await asyncio.to_thread(self.gate.wait, 20)
        finally:
            self.under_way -= 1
        if self.away is not None:
            raise self.away
        if self.refusals:
            self.refusals -= 1
            raise PeerRefused("somebody else sends it", 409)
        return HOME

    async def send_once(self, origin: str, offer: Offer, path: Path) -> FileName:
        return await self.send(origin, offer, path)


class Maker:
    """An instance that has run a job of another's, which left one file."""

    def __init__(self, root: Path, handover_s: float = 20.0) -> None:
        self.way, self.thread, self.owed = FakeWay(), PeerThread(), OwedFiles(root / "owed")
        self.file = root / "output" / "cats" / "x.png"
        self.file.parent.mkdir(parents=True)
        self.file.write_bytes(b"a cat")
        self.job = a_job(origin="a")
        self.handover = Handover(
            name="b",
            thread=self.thread,
            way=self.way,
            folders=lambda kind: str(root / kind),
            owed=self.owed,
            handover_s=handover_s,
            clock=lambda: 1_700_000_000.0,
        )
        self.handover.began(self.job)

    def deliver(self):
        found = self.handover.deliver(self.job.id, SAVED)
        assert found is not None
        return found

    def bring_home(self):
        output = Output("9", HERE.name, HERE.subfolder, HERE.folder, "image", "image/png", 5)
        found = self.handover.bring_home(self.job, Ending(JobStatus.SUCCEEDED, 1.0, 1.0, outputs=(output,)))
        assert found is not None
        return found

    def loop_has_turned(self) -> None:
        """What the thread was given before has begun, and waits for the way or for its turn."""

        async def turn() -> None:
            for _ in range(20):
                await asyncio.to_thread(int)

        self.thread.run(turn()).result(20)


@pytest.fixture
def maker(tmp_path: Path) -> Iterator[Maker]:
    made = Maker(tmp_path)
    yield made
    made.way.gate.set()
    made.thread.stop()


def test_of_an_early_delivery_and_the_end_at_once_one_sends_and_both_have_the_name(maker: Maker) -> None:
    early = maker.deliver()
    wait_until(lambda: maker.way.asked == 1, what="the early delivery on its way")
    end = maker.bring_home()
    maker.loop_has_turned()
    assert not early.done()
    assert not end.done()
    maker.way.gate.set()
    assert early.result(20)["images"][0]["subfolder"] == HOME.subfolder
    assert [output.subfolder for output in end.result(20).outputs] == [HOME.subfolder]
    assert (maker.way.asked, maker.way.most_at_once) == (1, 1)
    assert maker.owed.all() == ()


def test_many_words_of_one_file_send_it_once(maker: Maker) -> None:
    early = [maker.deliver() for _ in range(8)]
    wait_until(lambda: maker.way.asked, what="the first on its way")
    maker.loop_has_turned()
    maker.way.gate.set()
    assert {one.result(20)["images"][0]["subfolder"] for one in early} == {HOME.subfolder}
    assert (maker.way.asked, maker.way.most_at_once) == (1, 1)


def test_who_waited_for_one_that_was_refused_sends_itself(maker: Maker) -> None:
    maker.way.refusals = 1
    early = maker.deliver()
    wait_until(lambda: maker.way.asked == 1, what="the early delivery on its way")
    end = maker.bring_home()
    maker.loop_has_turned()
    maker.way.gate.set()
    assert early.result(20)["images"][0]["subfolder"] == f"b/{maker.job.id}/cats", "its own folder, until it is home"
    assert [output.subfolder for output in end.result(20).outputs] == [HOME.subfolder]
    assert (maker.way.asked, maker.way.most_at_once) == (2, 1)


def test_a_file_written_over_meanwhile_is_sent_anew_in_its_turn(maker: Maker) -> None:
    early = maker.deliver()
    wait_until(lambda: maker.way.asked == 1, what="the early delivery on its way")
    maker.file.write_bytes(b"another cat")
    end = maker.bring_home()
    maker.loop_has_turned()
    maker.way.gate.set()
    early.result(20)
    assert [output.subfolder for output in end.result(20).outputs] == [HOME.subfolder]
    assert (maker.way.asked, maker.way.most_at_once) == (2, 1)


def test_an_end_that_waited_too_long_for_its_turn_owes_the_file(tmp_path: Path) -> None:
    maker = Maker(tmp_path, handover_s=0.3)
    try:
        maker.deliver()
        wait_until(lambda: maker.way.asked == 1, what="the early delivery on its way")
        ending = maker.bring_home().result(20)
        assert [output.subfolder for output in ending.outputs] == [f"b/{maker.job.id}/cats"]
        assert [owed.home.name for owed in maker.owed.all()] == ["x.png"]
    finally:
        maker.way.gate.set()
        maker.thread.stop()


def test_why_what_is_owed_cannot_be_sent_is_told_until_it_can(maker: Maker) -> None:
    maker.way.gate.set()
    maker.way.refusals = 1
    maker.bring_home().result(20)
    assert len(maker.owed.all()) == 1
    assert maker.handover.fault() is None, "nobody has tried again yet"

    def paid() -> str | None:
        maker.thread.run(maker.handover.pay_once()).result(20)
        return maker.handover.fault()

    maker.way.away = PeerAway("Instance a answered 503: its disk is full")
    assert paid() == "what is owed to instance a cannot be sent now: Instance a answered 503: its disk is full"
    maker.way.away = PeerGone("Instance a is not there.")
    assert paid() is None, "it was switched off, which is no fault of this one"
    maker.way.away = PeerAway("again")
    assert paid() is not None
    maker.way.away = None
    assert paid() is None
    assert maker.owed.all() == ()
