"""Results by way of a bucket, against a real server that speaks S3: uploaded, landed at home under the usual names, never lost."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web

from expeditor.host.bucket import Bucket
from expeditor.host.collecting import BucketFetcher
from expeditor.host.fetching import Fetcher, Wanted
from expeditor.jobs.leftovers import FileName
from expeditor.jobs.letters import read
from expeditor.jobs.model import JobStatus
from expeditor.jobs.parcels import file_fields
from tests.support.peering import JOB, CuttingProxy, FakeMembers, Side
from tests.support.s3_server import BUCKET, KEYS, S3Server
from tests.support.served import Served
from tests.support.waiting import wait_until

pytestmark = pytest.mark.long

BIG = os.urandom(9_000_000)  # more than one part of an upload, more than one step of a download
ADDRESS = f"s3://{BUCKET}/of/mine"


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture
def address(server: S3Server, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    yield f"{ADDRESS}/{quote(request.node.name, safe='')}".replace("%", "_")
    server.check_keys(False)


@pytest.fixture
def sides(tmp_path: Path, address: str) -> Iterator[tuple[Side, Side]]:
    members = FakeMembers()
    origin, maker = (Side(name, tmp_path, members, bucket=address).open() for name in ("a", "b"))
    yield origin, maker
    for side in (maker, origin):
        side.stop()
        side.close()


def mine(server: S3Server, address: str) -> list[str]:
    return [key for key in server.objects() if f"s3://{BUCKET}/{key}".startswith(address + "/")]


FULL = [(507, "XMinioStorageFull"), (403, "QuotaExceeded"), (507, None)]


class FakeFullFront:
    """Stands before the real server and passes everything on; while `says` is set it answers uploads as a full one does."""

    def __init__(self, server: S3Server) -> None:
        self.says: tuple[int, str | None] | None = None
        self._server = server
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._passed_on)
        self.served = Served(app)

    async def _passed_on(self, request: web.Request) -> web.Response:
        if self.says is not None and request.method in ("PUT", "POST"):
            status, code = self.says
            text = (
                ""
                if code is None
                else f"<Error><Code>{code}</Code><Message>of key {KEYS['AWS_ACCESS_KEY_ID']}</Message></Error>"
            )
            return web.Response(status=status, text=text, content_type="application/xml")
        headers = {
            name: value for name, value in request.headers.items() if name.lower() not in ("host", "content-length")
        }
        url = self._server.url + request.raw_path
        async with aiohttp.request(request.method, url, headers=headers, data=await request.read()) as answer:
            body = await answer.read()
            kept = {
                name: value
                for name, value in answer.headers.items()
                if name.lower() in ("etag", "last-modified", "content-range")
            }
            return web.Response(status=answer.status, body=body, headers=kept, content_type=answer.content_type)


def test_results_are_at_home_when_the_job_ends_and_nothing_stays_in_the_bucket(sides, server, address) -> None:
    origin, maker = sides
    made = (
        maker.make("output", "cats", "x ü.png", BIG),
        maker.make("temp", "", "t.png", b""),
        maker.make("output", "", "y", b"y"),
    )
    history = {"outputs": {"9": {"images": [{"filename": "x ü.png", "subfolder": "cats", "type": "output"}]}}}
    ending = maker.hand_over("a", *made, history=json.dumps(history))
    assert [output.subfolder for output in ending.outputs] == ["b/cats", "b", "b"]
    assert json.loads(ending.history_json or "")["outputs"]["9"]["images"][0]["subfolder"] == "b/cats"
    assert origin.path("output", "b", "cats", "x ü.png").read_bytes() == BIG
    assert origin.path("temp", "b", "t.png").read_bytes() == b""
    assert maker.owed.all() == ()
    assert mine(server, address) == []


def test_an_origin_that_is_away_takes_its_results_when_it_is_back_though_their_maker_is_dead(
    sides, server, address
) -> None:
    origin, maker = sides
    origin.close()
    ending = maker.hand_over("a", maker.make("output", "", "x.png", BIG), maker.make("output", "sub", "y.png", b"y"))
    assert [output.subfolder for output in ending.outputs] == [f"b/{JOB}", f"b/{JOB}/sub"]
    assert maker.owed.all() == (), "it has done its part"
    assert len(mine(server, address)) == 4
    maker.close()
    origin.stop()
    origin.start()  # another life
    origin.take_waiting()
    assert origin.path("output", "b", JOB, "x.png").read_bytes() == BIG
    assert origin.path("output", "b", JOB, "sub", "y.png").read_bytes() == b"y"
    assert mine(server, address) == []


def test_an_origin_that_did_not_answer_once_is_told_again(sides, server, address) -> None:
    origin, maker = sides
    proxy = CuttingProxy(origin.served.port, after_bytes=0)
    maker.members.urls["a"], proxy.cuts = proxy.url, 1
    try:
        ending = maker.hand_over("a", maker.make("output", "", "x.png", b"x"))
    finally:
        proxy.close()
    assert proxy.cuts == 0
    assert ending.outputs[0].subfolder == "b"
    assert mine(server, address) == []


def test_what_waits_is_taken_by_itself(sides, server, address) -> None:
    origin, maker = sides
    origin.close()
    maker.hand_over("a", maker.make("output", "", "x.png", b"x"))
    assert origin.collector is not None
    origin.thread.run(origin.collector.watch())
    wait_until(lambda: not mine(server, address), 10, what="an empty bucket")
    assert origin.path("output", "b", JOB, "x.png").read_bytes() == b"x"


def test_anybody_gets_from_the_bucket_what_waits_there(sides, tmp_path, address) -> None:
    """Both who asked for it and who made it are gone."""
    origin, maker = sides
    origin.close()
    place = maker.hand_over("a", maker.make("output", "", "x.png", BIG)).outputs[0]
    maker.close()
    third = Side("c", tmp_path, maker.members, bucket=address)
    fetcher = BucketFetcher(Fetcher(third.peers, third.root / "fetched", 1 << 30), Bucket(address), "c")
    wanted = Wanted(
        file_fields(FileName("output", place.subfolder, "x.png")) | {"job_id": JOB}, third.root / "got", len(BIG)
    )
    assert third.thread.run(fetcher.fetch(["a", "b"], wanted)).result(30)
    assert wanted.target.read_bytes() == BIG
    third.stop()


def test_other_bytes_never_get_the_name(sides, server, address, caplog) -> None:
    origin, maker = sides
    origin.close()
    maker.hand_over("a", maker.make("output", "", "x.png", b"right"))
    key = next(key for key in mine(server, address) if "/bytes/" in key)
    server.write(key, b"wrong")
    for _ in range(3):
        origin.take_waiting()
    assert not origin.path("output", "b", JOB, "x.png").exists()
    assert [record.event for record in caplog.records].count("mail.unsound") == 1, "told once"
    assert mine(server, address), "a person may look at it"


@pytest.mark.parametrize("offer", [b"no JSON", b"[]", b'{"instance": "b"}'])
def test_a_letter_that_makes_no_sense_keeps_no_other_waiting(sides, server, address, offer) -> None:
    origin, maker = sides
    origin.close()
    prefix = address[len(f"s3://{BUCKET}/") :]
    server.write(f"{prefix}/letters/a/0/0", offer)
    server.write(
        f"{prefix}/letters/a/0/1",
        b'{"instance": "b", "job_id": "%s", "type": "output", "subfolder": "../..",'
        b' "filename": "x", "size_bytes": "0", "digest": "%s", "at_s": "1"}' % (JOB.encode(), b"0" * 64),
    )
    maker.hand_over("a", maker.make("output", "", "x.png", b"x"))
    origin.take_waiting()
    assert origin.path("output", "b", JOB, "x.png").read_bytes() == b"x"
    assert not list(origin.root.parent.glob("x")) + list(origin.root.glob("x")), "not where it leads"


def test_a_bucket_that_refuses_is_told_of_and_the_results_are_owed(sides, server, address, caplog) -> None:
    origin, maker = sides
    server.check_keys(True)
    maker.stop()
    maker.handover_s = 1.0
    maker.start()
    ending = maker.hand_over("a", maker.make("output", "", "x.png", b"x"))
    assert ending.outputs[0].subfolder == f"b/{JOB}"
    assert len(maker.owed.all()) == 1
    assert maker.bucket is not None
    assert maker.bucket.error == f"{address} cannot be written: the server says InvalidAccessKeyId."
    assert maker.bucket.error in caplog.text
    assert all(secret not in caplog.text for secret in KEYS.values() if secret != "eu-west-1")
    server.check_keys(False)
    maker.pay()
    assert (maker.owed.all(), maker.bucket.error) == ((), None)
    origin.take_waiting()
    assert origin.path("output", "b", JOB, "x.png").read_bytes() == b"x"


@pytest.mark.parametrize(("status", "code"), FULL)
def test_a_bucket_that_is_full_is_told_of_and_takes_what_is_owed_once_it_has_room(
    tmp_path, server, address, monkeypatch, caplog, status, code
) -> None:
    front, members = FakeFullFront(server), FakeMembers()
    with front.served:
        monkeypatch.setenv("AWS_ENDPOINT_URL", front.served.url)
        origin, maker = (Side(name, tmp_path, members, bucket=address, handover_s=1).open() for name in ("a", "b"))
        assert maker.bucket is not None
        try:
            front.says = status, code
            ending = maker.hand_over("a", maker.make("output", "", "x.png", b"x"))
            assert ending.status is JobStatus.SUCCEEDED
            assert ending.outputs[0].subfolder == f"b/{JOB}"
            maker.pay()
            assert len(maker.owed.all()) == 1
            said = f"the server says {code}" if code else f"the server answers {status}"
            assert maker.bucket.error == f"{address} cannot be written: {said}."
            assert maker.handover.fault() == f"what is owed to instance a cannot be sent now: {maker.bucket.error}"
            assert KEYS["AWS_ACCESS_KEY_ID"] not in caplog.text
            assert mine(server, address) == []
            front.says = None
            maker.pay()
            assert (maker.owed.all(), maker.bucket.error, maker.handover.fault()) == ((), None, None)
            origin.take_waiting()
            assert origin.path("output", "b", JOB, "x.png").read_bytes() == b"x"
        finally:
            for side in (maker, origin):
                side.stop()
                side.close()


def test_a_server_that_is_away_and_comes_back(tmp_path, monkeypatch) -> None:
    other = S3Server()
    for name, value in other.environment.items():
        monkeypatch.setenv(name, value)
    members = FakeMembers()
    origin, maker = (Side(name, tmp_path, members, bucket=ADDRESS, handover_s=2).open() for name in ("a", "b"))
    assert maker.bucket is not None
    try:
        maker.hand_over("a", maker.make("output", "", "x.png", b"x"))
        assert len(maker.owed.all()) == 1
        maker.pay()
        assert (maker.bucket.error or "").startswith(
            f"{ADDRESS} cannot be written: no answer from 127.0.0.1:{other.port} "
        )
        other.start(bucket=False)
        maker.pay()
        assert maker.bucket.error == f"{ADDRESS} cannot be written: the server says NoSuchBucket."
        other.make_bucket()
        maker.pay()
        assert maker.owed.all() == ()
        origin.take_waiting()
        assert origin.path("output", "b", JOB, "x.png").read_bytes() == b"x"
    finally:
        for side in (maker, origin):
            side.stop()
            side.close()
        other.stop()


def test_a_download_that_was_cut_goes_on(tmp_path, server, address, monkeypatch) -> None:
    proxy = CuttingProxy(server.port, after_bytes=1 << 40)
    members = FakeMembers()
    maker = Side("b", tmp_path, members, bucket=address)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    origin = Side("a", tmp_path, members, bucket=address)
    try:
        maker.hand_over("a", maker.make("output", "", "x.png", BIG))
        assert origin.bucket is not None
        letter = next(key for key in mine(server, address) if "/letters/" in key)
        letter = letter[letter.index("letters/") :]
        offer = read(origin.thread.run(origin.bucket.whole(letter, 10_000)).result(10))
        with closing(origin.ground.receive(offer, 0)) as reception:  # a life of the origin that ended in the middle
            reception.write(BIG[:8_000_000])
        proxy.passed = 0
        origin.take_waiting()
        assert origin.path("output", "b", JOB, "x.png").read_bytes() == BIG
        assert 1_000_000 < proxy.passed < 2_000_000, "only what was missing"
    finally:
        proxy.close()
        for side in (maker, origin):
            side.stop()


def test_bytes_of_a_maker_that_died_over_them_go_after_a_week(sides, server, address) -> None:
    origin, maker = sides
    origin.close()
    maker.hand_over("a", maker.make("output", "", "x.png", b"x"))
    prefix = address[len(f"s3://{BUCKET}/") :]
    server.write(f"{prefix}/bytes/a/{JOB}/lost", b"x")
    server.write(f"{prefix}/bytes/c/{JOB}/of-another", b"x")
    assert origin.collector is not None
    origin.thread.run(origin.collector.sweep()).result(10)
    assert len(mine(server, address)) == 4
    later = datetime.now(timezone.utc) + timedelta(days=8)
    origin.thread.run(origin.collector.sweep(later)).result(10)
    assert len(mine(server, address)) == 3
    assert not any(key.endswith("/lost") for key in mine(server, address))


def test_an_origin_without_the_setting_says_so(tmp_path, address, caplog) -> None:
    members = FakeMembers()
    origin, maker = Side("a", tmp_path, members).open(), Side("b", tmp_path, members, bucket=address)
    maker.hand_over("a", maker.make("output", "", "x.png", b"x"))
    assert "must be the same on all instances" in caplog.text
    assert len(maker.owed.all()) == 1
    for side in (maker, origin):
        side.stop()
        side.close()
