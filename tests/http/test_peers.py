"""Results travel between two instances over real HTTP: whole or not at all, resumed after a cut, never outside of ComfyUI's folders, and
owed for as long as the other is away."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from expeditor.host.landing import LandingGround, digest_of
from expeditor.jobs.leftovers import FileName
from expeditor.jobs.parcels import Offer, offer_fields
from expeditor.routes.peers import SECRET_HEADER
from tests.support.peering import JOB, SECRET, CuttingProxy, FakeMembers, Side, foreign_job
from tests.support.waiting import wait_until

BIG = os.urandom(3_000_000)


@pytest.fixture
def sides(tmp_path: Path) -> Iterator[tuple[Side, Side]]:
    members = FakeMembers()
    origin, maker = Side("a", tmp_path, members).open(), Side("b", tmp_path, members).open()
    yield origin, maker
    for side in (maker, origin):
        side.stop()
        side.close()


def remains(side: Side) -> list[Path]:
    return [path for kind in ("output", "temp") for path in side.path(kind, ".expeditor-parts").glob("*")]


def test_results_are_at_home_when_the_job_ends(sides) -> None:
    origin, maker = sides
    made = maker.make("output", "cats", "x.png", BIG), maker.make("temp", "", "t.png", b"preview")
    history = {"outputs": {"9": {"images": [{"filename": "x.png", "subfolder": "cats", "type": "output"}]}}, "meta": {}}
    ending = maker.hand_over("a", *made, history=json.dumps(history))
    assert [output.subfolder for output in ending.outputs] == ["b/cats", "b"]
    assert origin.path("output", "b", "cats", "x.png").read_bytes() == BIG
    assert origin.path("temp", "b", "t.png").read_bytes() == b"preview"
    assert origin.path("output", "b", "cats", "x.png").stat().st_mtime == 1_700_000_000.0
    assert ending.history_json is not None
    assert json.loads(ending.history_json)["outputs"]["9"]["images"][0]["subfolder"] == "b/cats"
    assert maker.owed.all() == ()
    assert remains(origin) == []


@pytest.mark.parametrize("away", [False, True])
def test_only_previews_are_sent_where_the_output_folder_is_one_and_the_same(tmp_path, away) -> None:
    members = FakeMembers()
    origin, maker = Side("a", tmp_path, members).open(), Side("b", tmp_path, members, kinds=frozenset({"temp"}))
    if away:
        origin.close()
    ending = maker.hand_over("a", maker.make("output", "", "x.png", b"x"), maker.make("temp", "", "t.png", b"t"))
    assert [output.subfolder for output in ending.outputs] == ["", f"b/{JOB}" if away else "b"]
    assert not origin.path("output", "b").exists()
    assert origin.path("temp", "b", "t.png").exists() is not away
    assert len(maker.owed.all()) == away
    for side in (maker, origin):
        side.stop()
        side.close()


def test_an_empty_file_and_one_in_a_deep_folder(sides) -> None:
    origin, maker = sides
    maker.hand_over("a", maker.make("output", "a/b/c", "empty.txt", b""))
    assert origin.path("output", "b", "a", "b", "c", "empty.txt").read_bytes() == b""


@pytest.mark.parametrize("origin", [None, "b"])
def test_a_job_of_this_instance_sends_nothing(sides, origin) -> None:
    _, maker = sides
    ending = maker.hand_over(origin, maker.make("output", "", "x.png", b"x"))
    assert ending.outputs[0].subfolder == ""


def test_a_file_that_is_not_there_keeps_its_name(sides) -> None:
    _, maker = sides
    output = maker.make("output", "", "x.png", b"x")
    maker.path("output", "x.png").unlink()
    assert maker.hand_over("a", output).outputs == (output,)


def test_the_same_file_again_is_not_sent_again(sides) -> None:
    origin, maker = sides
    output = maker.make("output", "", "x.png", b"x")
    maker.hand_over("a", output)
    first = origin.path("output", "b", "x.png").stat().st_ino
    assert maker.hand_over("a", output, job_id=JOB.replace("1", "9")).outputs[0].subfolder == "b"
    assert origin.path("output", "b", "x.png").stat().st_ino == first


def test_a_name_with_other_bytes_is_left_alone(sides) -> None:
    """The maker's folder was wiped, so its counter began anew."""
    origin, maker = sides
    maker.hand_over("a", maker.make("output", "", "x.png", b"first"))
    other = JOB.replace("1", "9")
    ending = maker.hand_over("a", maker.make("output", "", "x.png", b"second"), job_id=other)
    assert ending.outputs[0].subfolder == f"b/{other}"
    assert origin.path("output", "b", "x.png").read_bytes() == b"first"
    assert origin.path("output", "b", other, "x.png").read_bytes() == b"second"
    again = maker.hand_over("a", maker.make("output", "", "x.png", b"second again"), job_id=other)
    assert again.outputs[0].subfolder == f"b/{other}"
    assert origin.path("output", "b", other, "x.png").read_bytes() == b"second again"


def test_a_cut_in_the_middle_is_resumed(sides) -> None:
    origin, maker = sides
    proxy = CuttingProxy(origin.served.port, after_bytes=1_000_000)
    maker.members.urls["a"], proxy.cuts = proxy.url, 2
    output = maker.make("output", "", "x.png", BIG)
    try:
        ending = maker.hand_over("a", output)
    finally:
        proxy.close()
    assert proxy.cuts == 0, "it was cut twice"
    assert ending.outputs[0].subfolder == "b"
    assert origin.path("output", "b", "x.png").read_bytes() == BIG


async def test_resuming_sends_only_what_is_missing(sides) -> None:
    origin, maker = sides
    offer = _offer(maker.make("output", "", "x.png", BIG).name, maker)
    assert (await _put(origin, offer, 0, BIG[:1_000_000]))[1]["have_bytes"] == 1_000_000
    assert not origin.path("output", "b", "x.png").exists()
    assert (await _ask(origin, offer))["have_bytes"] == 1_000_000
    assert (await _put(origin, offer, 5, BIG[5:]))[0] == 409
    status, landing = await _put(origin, offer, 1_000_000, BIG[1_000_000:])
    assert (status, landing["done"], landing["subfolder"]) == (200, True, "b")
    assert origin.path("output", "b", "x.png").read_bytes() == BIG


async def test_wrong_bytes_leave_nothing(sides) -> None:
    origin, maker = sides
    offer = _offer(maker.make("output", "", "x.png", BIG).name, maker)
    status, body = await _put(origin, offer, 0, BIG[:-1] + bytes([BIG[-1] ^ 1]))
    assert (status, body["error"]["code"]) == (422, "INPUT_INVALID")
    assert not origin.path("output", "b", "x.png").exists()
    assert remains(origin) == []
    assert (await _put(origin, offer, 0, BIG + b"more"))[0] == 409


@pytest.mark.parametrize(
    ("kind", "subfolder", "name"),
    [
        ("output", "../..", "x.png"),
        ("output", "/etc", "../x.png"),
        ("output", "", ".."),
        ("output", "", "a/b.png"),
        ("output", "", "a\\b.png"),
        ("output", "..\\..", "x.png"),
        ("output", "", "x\0.png"),
        ("output", "", ""),
        ("output", "", "x" * 300),
        ("output", "", "\ud800.png"),
        ("input", "", "x.png"),
        ("custom_nodes", "", "x.py"),
        ("", "", "x.png"),
    ],
)
async def test_no_offer_leads_out_of_the_folders(sides, kind, subfolder, name) -> None:
    origin, _ = sides
    fields = offer_fields(Offer("b", JOB, FileName(kind, subfolder, name), 1, "0" * 64, 1.0))
    before = sorted(origin.root.rglob("*"))
    assert (await _status(origin, fields)) == 422
    assert sorted(origin.root.rglob("*")) == before


@pytest.mark.parametrize(
    "fields",
    [
        {"instance": "../x"},
        {"instance": "B"},
        {"job_id": "../../x"},
        {"digest": "zz"},
        {"size_bytes": "-1"},
        {"size_bytes": "many"},
        {"at_s": "nan"},
        {"at_s": "soon"},
    ],
)
async def test_an_offer_is_sound_or_refused(sides, fields) -> None:
    origin, maker = sides
    sound = offer_fields(_offer(maker.make("output", "", "x.png", b"x").name, maker))
    assert (await _status(origin, sound)) == 200
    assert (await _status(origin, sound | fields)) == 422


def test_a_link_in_the_folder_leads_nowhere(sides, tmp_path) -> None:
    origin, maker = sides
    outside = tmp_path / "outside"
    outside.mkdir()
    origin.path("output", "b").symlink_to(outside)
    maker.handover_s = 1.0
    maker.hand_over("a", maker.make("output", "", "x.png", b"x"))
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("shown", [None, "", "wrong", "é"])
async def test_nothing_is_told_without_the_secret(sides, shown) -> None:
    origin, _ = sides
    origin.path("output", "x.png").write_bytes(b"x")
    headers = {} if shown is None else {SECRET_HEADER: shown}
    async with aiohttp.ClientSession(origin.served.url, headers=headers) as session:
        for method, path in (("GET", "files"), ("PUT", "files"), ("POST", "offer"), ("POST", "inputs")):
            async with session.request(
                method, f"/expeditor/peer/{path}?type=output&subfolder=&filename=x.png"
            ) as answer:
                assert answer.status == 401
                assert b"x.png" not in await answer.read()


def test_an_origin_that_is_gone_is_owed_and_paid_when_it_is_back(sides) -> None:
    origin, maker = sides
    url = maker.members.urls.pop("a")
    output = maker.make("temp", "", "x.png", BIG)
    ending = maker.hand_over("a", output)
    place = ending.outputs[0]
    assert place.subfolder == f"b/{JOB}", "where nobody else can be when it comes"
    maker.path("temp", "x.png").unlink()  # as ComfyUI does at a start
    maker.stop()
    maker.start()
    assert [owed.home for owed in maker.owed.all()] == [FileName("temp", place.subfolder, "x.png")]
    maker.pay()
    assert len(maker.owed.all()) == 1, "it is away still"
    maker.members.urls["a"] = url
    maker.pay()
    assert maker.owed.all() == ()
    assert origin.path("temp", place.subfolder, "x.png").read_bytes() == BIG
    assert not any((maker.root / "owed").iterdir())


def test_an_origin_that_is_slow_does_not_hold_the_end_for_ever(tmp_path) -> None:
    members = FakeMembers()
    maker = Side("b", tmp_path, members, handover_s=0.3)
    members.urls["a"] = "http://127.0.0.1:9"  # nobody is there
    ending = maker.hand_over("a", maker.make("output", "", "x.png", b"x"))
    maker.stop()
    assert ending.outputs[0].subfolder == f"b/{JOB}"
    assert len(maker.owed.all()) == 1


def test_what_is_owed_is_fetched_from_the_maker(sides) -> None:
    _, maker = sides
    del maker.members.urls["a"]
    place = maker.hand_over("a", maker.make("output", "", "x.png", BIG)).outputs[0]
    maker.path("output", "x.png").unlink()
    fields = {"job_id": JOB, "filename": "x.png", "subfolder": place.subfolder, "type": "output"}

    async def fetched() -> tuple[int, bytes]:
        headers = {SECRET_HEADER: SECRET, "Range": "bytes=10-19"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(maker.served.url + "/expeditor/peer/files", params=fields) as answer,
        ):
            return answer.status, await answer.read()

    assert asyncio.run(fetched()) == (206, BIG[10:20])


def test_a_file_that_was_written_over_is_not_sent_under_its_name(sides) -> None:
    _, maker = sides
    del maker.members.urls["a"]
    maker.hand_over("a", maker.make("output", "", "x.png", b"one"))
    owed = maker.owed.all()[0]
    owed.path.write_bytes(b"three")
    maker.members.urls["a"] = sides[0].served.url
    maker.pay()
    assert maker.owed.all() == (), "it can never be sent, which is told once"
    assert not sides[0].path("output", "b").exists()


def test_a_node_outputs_are_delivered_early_and_once(sides) -> None:
    origin, maker = sides
    output = maker.make("output", "", "x.png", BIG)
    told = {"images": [{"filename": "x.png", "subfolder": "", "type": "output"}]}
    assert maker.handover.deliver(JOB, told) is None, "no such run"
    maker.handover.began(foreign_job("a"))
    for _ in range(2):
        future = maker.handover.deliver(JOB, told)
        assert future is not None
        assert future.result(20) == {"images": [{"filename": "x.png", "subfolder": "b", "type": "output"}]}
    assert origin.path("output", "b", "x.png").read_bytes() == BIG
    ino = origin.path("output", "b", "x.png").stat().st_ino
    assert maker.hand_over("a", output).outputs[0].subfolder == "b"
    assert origin.path("output", "b", "x.png").stat().st_ino == ino
    assert maker.handover.deliver(JOB, {"text": ["nothing"]}) is None


def test_a_full_disk_at_home_is_told_and_tried_again(tmp_path) -> None:
    members = FakeMembers()
    full = FullDisk()
    origin = Side("a", tmp_path, members, ground=full.ground(tmp_path / "a")).open()
    maker = Side("b", tmp_path, members, handover_s=0.5)
    full.is_full = True
    try:
        ending = maker.hand_over("a", maker.make("output", "", "x.png", BIG))
        assert ending.outputs[0].subfolder == f"b/{JOB}"
        assert remains(origin) == [], "its room is needed"
        full.is_full = False
        maker.pay()
        assert origin.path("output", "b", JOB, "x.png").read_bytes() == BIG
    finally:
        maker.stop()
        origin.stop()
        origin.close()


def test_bytes_that_nobody_goes_on_sending_are_removed(sides) -> None:
    origin, maker = sides
    offer = _offer(maker.make("output", "", "x.png", BIG).name, maker)
    asyncio.run(_put(origin, offer, 0, BIG[:1000]))
    assert origin.ground.sweep() == 0
    assert len(remains(origin)) == 1
    assert origin.ground.sweep(now_s=remains(origin)[0].stat().st_mtime + 3 * 86_400) == 1
    assert remains(origin) == []


def test_two_who_send_the_same_end_with_one_whole_file(sides) -> None:
    origin, maker = sides
    offer = _offer(maker.make("output", "", "x.png", BIG).name, maker)
    path = maker.path("output", "x.png")
    sending = [maker.thread.run(maker.handover._way.send("a", offer, path)) for _ in range(4)]
    assert {each.result(30) for each in sending} == {FileName("output", "b", "x.png")}
    assert origin.path("output", "b", "x.png").read_bytes() == BIG
    wait_until(lambda: remains(origin) == [])


class FullDisk:
    """A landing ground whose disk can be full: the fault is in the stream that it opens, as the system would have it."""

    def __init__(self) -> None:
        self.is_full = False

    def ground(self, root: Path) -> LandingGround:
        disk = self

        class Ground(LandingGround):
            def receive(self, offer, offset):
                reception = super().receive(offer, offset)
                stream = reception._stream
                reception._stream = disk.stream(stream)
                return reception

        return Ground({kind: str(root / kind) for kind in ("output", "temp", "input")}.get)

    def stream(self, stream):
        disk = self

        class Stream:
            def write(self, chunk):
                if disk.is_full:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return stream.write(chunk)

            def __getattr__(self, name):
                return getattr(stream, name)

        return Stream()


def _offer(name: str, maker: Side) -> Offer:
    path = maker.path("output", name)
    return Offer("b", JOB, FileName("output", "", name), path.stat().st_size, digest_of(path), 1_700_000_000.0)


async def _put(origin: Side, offer: Offer, offset: int, content: bytes):
    fields = offer_fields(offer) | {"offset": str(offset)}
    async with (
        aiohttp.ClientSession(headers={SECRET_HEADER: SECRET}) as session,
        session.put(origin.served.url + "/expeditor/peer/files", params=fields, data=io.BytesIO(content)) as answer,
    ):
        return answer.status, await answer.json()


async def _ask(origin: Side, offer: Offer):
    async with (
        aiohttp.ClientSession(headers={SECRET_HEADER: SECRET}) as session,
        session.post(origin.served.url + "/expeditor/peer/offer", json=offer_fields(offer)) as answer,
    ):
        return await answer.json()


async def _status(origin: Side, fields: dict[str, str]) -> int:
    async with (
        aiohttp.ClientSession(headers={SECRET_HEADER: SECRET}) as session,
        session.post(origin.served.url + "/expeditor/peer/offer", json=fields) as answer,
    ):
        return answer.status
