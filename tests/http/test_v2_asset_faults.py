"""Uploads that are wrong in every way: always the contract's envelope, never a 500, and nothing left on the disk."""

from __future__ import annotations

import asyncio

import pytest

from tests.http.asset_shelf import ASSET_BYTES
from tests.http.test_v2_assets import ASSETS, BYTES, form, hash_of, upload
from tests.http.v2_edge import told
from tests.support.waiting import wait_until_async

BOUNDARY = "b0undary"
KIND = f"multipart/form-data; boundary={BOUNDARY}"


def part(name: str, value: bytes, *headers: str) -> bytes:
    lines = [f'Content-Disposition: form-data; name="{name}"', *headers]
    return f"--{BOUNDARY}\r\n".encode() + "\r\n".join(lines).encode() + b"\r\n\r\n" + value + b"\r\n"


TEXTS = part("content_type", b"image/png") + part("file_path", b"photo.png")
END = f"--{BOUNDARY}--\r\n".encode()
WHOLE = TEXTS + part("file", BYTES) + END

BODIES = [
    ("", b"", 400),
    ("application/json", b"{}", 400),
    ("application/x-www-form-urlencoded", b"file=1", 400),
    ("multipart/form-data", WHOLE, 400),
    ("multipart/form-data; boundary=", WHOLE, 400),
    ("multipart/form-data; boundary=other", WHOLE, 400),
    ("multipart/mixed; boundary=" + BOUNDARY, WHOLE, 400),
    (KIND, b"", 400),
    (KIND, END, 422),
    (KIND, b"\x00" * 5000, 400),
    (KIND, b"no boundary at all", 400),
    (KIND, WHOLE[:-20], 400),
    (KIND, TEXTS + b"--" + BOUNDARY.encode() + b"\r\nno colon\r\n\r\nx\r\n" + END, 400),
    (KIND, TEXTS + END, 422),
    (KIND, TEXTS + part("file", b"1") + part("file", b"2") + END, 422),
    (KIND, TEXTS + part("file_path", b"b.png") + part("file", b"1") + END, 400),
    (KIND, part("file", BYTES) + END, 422),
    (KIND, TEXTS + part("file", BYTES, "Content-Transfer-Encoding: base64") + END, 400),
    (KIND, TEXTS + part("file", BYTES, "Content-Encoding: gzip") + END, 400),
    (KIND, TEXTS + part("file", BYTES, "Content-Type: multipart/mixed; boundary=x") + END, 400),
    (KIND, part("content_type", b"image/png") + part("file_path", b"\xff\xfe") + part("file", b"1") + END, 400),
    (KIND, part("file_path", b"x" * 9000) + END, 400),
    (KIND, b"".join(part(f"x{n}", b"1") for n in range(200)) + WHOLE, 400),
]


@pytest.mark.parametrize(("kind", "body", "status"), BODIES, ids=range(len(BODIES)))
async def test_bodies_that_are_no_upload(v2, v2_edge, kind, body, status):
    answer = await v2.post(ASSETS, data=body, headers={"Content-Type": kind} if kind else None)
    assert await told(answer) == (status, "invalid_request")
    assert not v2_edge.shelf.inputs()


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "../x.png", "a/../../x.png", "/etc/x.png", "//x", "a//b", "a/", "./x", "C:/x.png", "C:x.png", "..\\x.png",
        "a\\b.png", "\\\\host\\x", "con", "CON.png", "a/nul.txt", "com1", "LPT9.png", "x.", "x ", " x", "a /b", "x\x00.png", "x\n.png",
        "\u202ex.png", "x?.png", "x*.png", "x:y.png", "<x>", "x|y", 'x"y', "x [output]", "x.png [input]", "sub/x[temp]",
        "x" * 256, "\u00fc" * 128, "/".join("a" * 17), "a" * 1025, ".expeditor-uploads/x.part", ".Expeditor-Uploads/x",
    ],
)  # fmt: skip
async def test_names_that_lead_elsewhere(v2, v2_edge, name):
    answer = await v2.post(ASSETS, data=form(file_path=name))
    status, word = await told(answer)
    assert (status, word) in {(422, "invalid_request"), (400, "invalid_request")}
    assert not v2_edge.shelf.inputs()


@pytest.mark.parametrize(
    "name", ["x" * 251 + ".png", "\u00fc\u4e2d\U0001f600.png", "a/b/c/d.png", "#%&+ x.png", "-x", "x.tar.gz", ".x"]
)
async def test_names_that_are_odd_and_sound(v2, v2_edge, name):
    made = await upload(v2, name=name)
    assert (made["file_path"], v2_edge.shelf.inputs()) == (name, {name: BYTES})
    (v2_edge.shelf.folder / "input" / name).write_bytes(b"another")
    again = await upload(v2, name=name)
    assert len(v2_edge.shelf.inputs()) == 2, "beside it, also where the name is as long as can be"
    assert await (await v2.get(f"{ASSETS}/{again['id']}/content")).read() == BYTES


@pytest.mark.parametrize(
    "fields",
    [
        {"expected_hash": "x"}, {"expected_hash": "blake3:" + "g" * 64}, {"expected_hash": hash_of(BYTES).upper()}, {"expires_in": "59"},
        {"expires_in": "604801"}, {"expires_in": "-1"}, {"expires_in": "1e3"}, {"expires_in": "\u0663\u0660\u0660"},
        {"expires_in": "9" * 4000},
        {"content_type": ""}, {"content_type": "png"}, {"content_type": "image/png\r\nX-Evil: 1"}, {"content_type": "image/png\n;x"},
        {"content_type": "image/png\r\n; x"}, {"content_type": "image/png\x0b;x"}, {"tags": "x" * 200},
    ],
)  # fmt: skip
async def test_fields_that_say_nothing_sound(v2, v2_edge, fields):
    answer = await v2.post(ASSETS, data=form(**fields))
    assert await told(answer) == (422, "invalid_request")
    assert not v2_edge.shelf.inputs()


async def test_bytes_that_are_not_those_expected(v2, v2_edge):
    answer = await v2.post(ASSETS, data=form(expected_hash=hash_of(b"other")))
    assert await told(answer) == (409, "hash_mismatch")
    assert not v2_edge.shelf.inputs()


@pytest.mark.parametrize("known_length", [True, False])
async def test_uploads_that_are_too_large(v2, v2_edge, known_length):
    data = b"x" * (ASSET_BYTES + 1)
    await upload(v2, data[1:], "largest.png")
    if known_length:
        answer = await v2.post(ASSETS, data=form(data))
    else:
        body = TEXTS + part("file", data) + END
        answer = await v2.post(ASSETS, data=_chunks(body), headers={"Content-Type": KIND})
    assert await told(answer) == (413, "payload_too_large")
    assert set(v2_edge.shelf.inputs()) == {"largest.png"}


async def _chunks(body: bytes):
    for start in range(0, len(body), 50_000):
        yield body[start : start + 50_000]


async def test_a_client_that_goes_away_leaves_nothing(v2, v2_edge):
    reader, writer = await asyncio.open_connection("127.0.0.1", v2.port)
    head = f"POST {ASSETS} HTTP/1.1\r\nHost: x\r\nContent-Type: {KIND}\r\nContent-Length: 299999\r\nIdempotency-Key: k\r\n\r\n"
    writer.write(head.encode() + TEXTS + part("file", b"half" * 50_000)[:-2])
    await writer.drain()
    await wait_until_async(lambda: bool(v2_edge.shelf.inputs()), what="the upload to begin")
    writer.close()
    await writer.wait_closed()
    del reader
    await wait_until_async(lambda: not v2_edge.shelf.inputs(), what="its bytes to be removed")
    await wait_until_async(lambda: _uploads(v2, {"Idempotency-Key": "k"}), what="its key to be free")


async def _uploads(v2, headers) -> bool:
    return (await v2.post(ASSETS, data=form(), headers=headers)).status == 201


async def test_a_client_that_stops_sending_is_given_up(v2, v2_edge):
    reader, writer = await asyncio.open_connection("127.0.0.1", v2.port)
    head = f"POST {ASSETS} HTTP/1.1\r\nHost: x\r\nContent-Type: {KIND}\r\nContent-Length: 299999\r\n\r\n"
    writer.write(head.encode() + TEXTS + part("file", b"half" * 50_000)[:-2])
    await writer.drain()
    status = await asyncio.wait_for(reader.readline(), 20)
    assert b" 400 " in status
    writer.close()
    await writer.wait_closed()
    assert not v2_edge.shelf.inputs()


@pytest.mark.parametrize("method", ["PUT", "PATCH", "POST"])
async def test_methods_that_there_are_not(v2, method):
    assert await told(await v2.request(method, f"{ASSETS}/x/content")) == (405, "method_not_allowed")


@pytest.mark.parametrize(
    "body",
    [{}, {"hash": None}, {"hash": 7}, {"hash": "x"}, {"hash": hash_of(b""), "file_path": "../x"}, {"hash": hash_of(b""), "file_path": 7},
     {"hash": hash_of(b""), "file_path": "\ud800"}, {"hash": hash_of(b""), "tags": "x"}, {"hash": hash_of(b""), "tags": [1]},
     {"hash": hash_of(b""), "expires_in": True}, {"hash": hash_of(b""), "expires_in": 1.5}, {"hash": hash_of(b""), "expires_in": 59}],
)  # fmt: skip
async def test_hashes_that_cannot_be_minted_from(v2, body):
    assert await told(await v2.post(f"{ASSETS}/from-hash", json=body)) == (422, "invalid_request")


@pytest.mark.parametrize(
    "digest", ["x", "blake3:", "blake3:" + "0" * 63, "%00", "%ff", "blake3:" + "\u00fc" * 64, "a" * 3000]
)
async def test_hashes_that_are_none(v2, digest):
    assert (await v2.head(f"{ASSETS}/by-hash/{digest}")).status == 404


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "\u00fc"])
async def test_keys_that_are_none(v2, v2_edge, key):
    answer = await v2.post(ASSETS, data=form(), headers={"Idempotency-Key": key})
    assert await told(answer) == (400, "invalid_request")
    assert not v2_edge.shelf.inputs()


async def test_a_full_disk_says_so_and_keeps_nothing(v2, v2_edge):
    v2_edge.shelf.files.full = True
    answer = await v2.post(ASSETS, data=form(), headers={"Idempotency-Key": "k"})
    assert await told(answer) == (429, "deployment_not_ready")
    assert "full" in (await answer.json())["error"]["message"]
    assert int(answer.headers["Retry-After"]) >= 1
    assert not v2_edge.shelf.inputs()
    v2_edge.shelf.files.full = False
    await upload(v2, headers={"Idempotency-Key": "k"})
