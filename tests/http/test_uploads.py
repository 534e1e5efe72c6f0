"""A submit with its input files in one multipart body: where they go, how the prompt names them, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from expeditor.intake.upload_names import STORED, is_file_part
from expeditor.jobs.errors import QueueFull, StoreUnavailable
from expeditor.jobs.model import JobStatus
from expeditor.routes.errors import boundary
from expeditor.routes.multipart import read_parts
from tests.conformance.harness import done
from tests.http.edge import MAX_BYTES, MAX_UPLOAD_BYTES, App, refusal
from tests.support.waiting import wait_until_async

SUBMIT = "/expeditor/submit"
CAT, DOG = b"a cat" * 1000, b"a dog" * 1000
DISPOSED = b'Content-Disposition: form-data; name="'
LOADS = {
    "1": {"class_type": "A", "inputs": {"image": "cat.png", "twice": "cat.png [input]", "other": "cat"}},
    "2": {"class_type": "B", "inputs": {"x": ["1", 0]}},
}


class Edge(App):
    """The app with ComfyUI's folders in the test's own."""

    def __init__(self, base: Path) -> None:
        self.staging = base / "staging"
        super().__init__()
        self.input = base / "input"
        self.folders["input"] = str(self.input)

    def files(self) -> list[str]:
        """What lies in the input folder; nothing may be left where files are received."""
        assert not self.staging.exists() or list(self.staging.iterdir()) == []
        assert self.uploads.held == 0
        return sorted(path.name for path in self.input.iterdir()) if self.input.exists() else []


@pytest.fixture
def edge(tmp_path):
    made = Edge(tmp_path)
    yield made
    made.storage.stop()


def form(prompt, *files: tuple[str, str, bytes], **fields) -> aiohttp.FormData:
    """A body with these parts, in this order: fields, then files (part, name, bytes)."""
    data = aiohttp.FormData()
    for name, value in {"prompt": prompt, **fields}.items():
        data.add_field(name, value if isinstance(value, str) else json.dumps(value))
    for part, filename, content in files:
        data.add_field(part, content, filename=filename, content_type="image/png")
    return data


async def test_a_file_that_the_prompt_names_by_its_name(http, edge):
    response = await http.post(SUBMIT, data=form(LOADS, ("files", "cat.png", CAT), priority=7))
    assert (response.status, (await response.json())["priority"]) == (201, 7)
    (stored,) = edge.files()
    assert STORED.fullmatch(stored)
    assert stored.endswith("-cat.png")
    assert (edge.input / stored).read_bytes() == CAT
    (entry,) = edge.door.entries
    assert entry.prompt["1"]["inputs"] == {"image": stored, "twice": stored, "other": "cat"}
    assert entry.prompt["2"] == LOADS["2"], "a link is no name"


@pytest.mark.parametrize(
    ("node_id", "part", "name"),
    [("1", "file:1.image", "image"), ("1.2", "file:1.2.image", "image"), ("1", "file:1.a.b", "a.b")],
)
async def test_a_file_for_an_input(http, edge, node_id, part, name):
    prompt = {node_id: {"class_type": "A", "inputs": {"image": "example.png"}}}
    assert (await http.post(SUBMIT, data=form(prompt, (part, "x.png", CAT)))).status == 201
    assert edge.door.entries[0].prompt[node_id]["inputs"][name] == edge.files()[0]


async def test_files_before_the_prompt_and_several_of_them(http, edge):
    prompt = {"1": {"class_type": "A", "inputs": {"image": "cat.png", "mask": "dog.png"}}}
    data = aiohttp.FormData()
    data.add_field("files", CAT, filename="cat.png")
    data.add_field("files", DOG, filename="dog.png")
    data.add_field("prompt", json.dumps(prompt))
    assert (await http.post(SUBMIT, data=data)).status == 201
    inputs = edge.door.entries[0].prompt["1"]["inputs"]
    assert [(edge.input / inputs[name]).read_bytes() for name in ("image", "mask")] == [CAT, DOG]


async def test_the_same_bytes_are_stored_once_and_a_repeat_is_one(http, edge):
    first = await http.post(SUBMIT, data=form(LOADS, ("files", "cat.png", CAT)), headers={"Idempotency-Key": "k"})
    again = await http.post(SUBMIT, data=form(LOADS, ("files", "cat.png", CAT)), headers={"Idempotency-Key": "k"})
    other = await http.post(SUBMIT, data=form(LOADS, ("files", "cat.png", DOG)), headers={"Idempotency-Key": "k"})
    assert [response.status for response in (first, again, other)] == [201, 200, 409]
    assert len(edge.files()) == 1, "what the refused one brought is gone, what the first one needs is not"
    assert (edge.input / edge.files()[0]).read_bytes() == CAT


async def test_nobody_elses_file_is_written_over(http, edge):
    await http.post(SUBMIT, data=form(LOADS, ("files", "cat.png", CAT)))
    (stored,) = edge.files()
    (edge.input / stored).unlink()
    (edge.input / stored).write_bytes(b"painted over")
    await http.post(SUBMIT, data=form(LOADS, ("files", "cat.png", CAT)))
    assert (edge.input / stored).read_bytes() == b"painted over"
    second = edge.door.entries[1].prompt["1"]["inputs"]["image"]
    assert (second != stored, (edge.input / second).read_bytes()) == (True, CAT)


async def test_a_link_in_the_folder_is_not_followed(http, edge, tmp_path):
    await http.post(SUBMIT, data=form(LOADS, ("files", "cat.png", CAT)))
    (stored,) = edge.files()
    (edge.input / stored).rename(tmp_path / "elsewhere")
    (edge.input / stored).symlink_to(tmp_path / "elsewhere")
    await http.post(SUBMIT, data=form(LOADS, ("files", "cat.png", CAT)))
    assert edge.door.entries[1].prompt["1"]["inputs"]["image"] != stored


def raw(part: str, filename: str, prompt) -> bytes:
    """A body whose file name is sent as it stands: aiohttp's client would escape it."""
    lines = (
        "--b",
        'Content-Disposition: form-data; name="prompt"',
        "",
        json.dumps(prompt),
        "--b",
        f'Content-Disposition: form-data; name="{part}"; filename="{filename}"',
        "",
        "bytes",
        "--b--",
        "",
    )
    return "\r\n".join(lines).encode()


@pytest.mark.parametrize(
    "name",
    [
        *("../../etc/passwd", "..\\\\..\\\\boot.ini", "/abs.png", "C:\\\\x.png", "..", ".hidden", "a%2F..%2Fb.png"),
        *("x" * 300 + ".png", "é.png", " ", "a;b.png", "~", "con", "a.png."),
    ],
)
async def test_a_name_is_no_path(http, edge, name):
    body = raw("file:1.image", name, {"1": {"class_type": "A", "inputs": {}}})
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    response = await http.post(SUBMIT, data=body, headers=headers)
    assert response.status == 201, await response.text()
    (stored,) = edge.files()
    assert STORED.fullmatch(stored)
    assert len(stored) < 140
    assert (edge.input / stored).read_bytes() == b"bytes"
    assert {path.name for path in edge.input.parent.iterdir()} <= {"input", "staging"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([("files", "bird.png", CAT)], (422, "INPUT_INVALID", ["/files"])),
        ([("files", "cat.png", CAT), ("files", "cat.png", DOG)], (422, "INPUT_INVALID", ["/files"])),
        ([("file:9.image", "cat.png", CAT)], (422, "INPUT_INVALID", ["/file:9.image"])),
        ([("file:image", "cat.png", CAT)], (422, "INPUT_INVALID", ["/file:image"])),
        ([("file:1.", "cat.png", CAT)], (422, "INPUT_INVALID", ["/file:1."])),
        ([("file:1.image", "a", CAT), ("file:1.image", "b", CAT)], (422, "INPUT_INVALID", ["/file:1.image"])),
        ([("files", "cat.png", CAT)] * 4, (413, "LIMIT_EXCEEDED", [])),
        ([("files", "cat.png", b"x" * (MAX_UPLOAD_BYTES + 1))], (413, "LIMIT_EXCEEDED", [])),
        (
            [("files", "cat.png", b"x" * MAX_UPLOAD_BYTES), ("file:1.mask", "b", b"x")],
            (413, "LIMIT_EXCEEDED", []),
        ),
        ([("image", "cat.png", b"text")], (422, "INPUT_INVALID", ["/image"])),
        ([("image", "cat.png", b"\xff\xfe")], (422, "INPUT_INVALID", ["/image"])),
        ([("note", "cat.png", b"x" * (MAX_BYTES + 1))], (413, "LIMIT_EXCEEDED", [])),
    ],
    ids=range(12),
)
async def test_what_is_wrong_is_refused_and_nothing_is_left(http, edge, files, expected):
    data = form(LOADS, ("files", "cat.png", CAT), *files) if expected[2] != ["/files"] else form(LOADS, *files)
    assert await refusal(await http.post(SUBMIT, data=data)) == expected
    assert (edge.files(), edge.door.entries) == ([], [])


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"prompt": "{"}, "INVALID_JSON"),
        ({"prompt": 5}, "INVALID_PROMPT"),
        ({"prompt": LOADS, "priority": 11}, "INPUT_INVALID"),
        ({"prompt": LOADS, "prompt_id": "x"}, "INVALID_PROMPT_ID"),
    ],
)
async def test_a_submit_that_is_refused_leaves_no_file(http, edge, fields, code):
    response = await http.post(SUBMIT, data=form(fields.pop("prompt"), ("files", "cat.png", CAT), **fields))
    assert (await refusal(response))[1] == code
    assert edge.files() == []


async def test_without_a_prompt_no_file_stays(http, edge):
    data = aiohttp.FormData()
    data.add_field("files", CAT, filename="cat.png")
    assert await refusal(await http.post(SUBMIT, data=data)) == (422, "INPUT_INVALID", ["/prompt"])
    assert edge.files() == []


async def test_a_full_queue_leaves_no_file_and_an_unanswering_store_does(http, edge):
    edge.door.failure = QueueFull()
    assert (await http.post(SUBMIT, data=form(LOADS, ("files", "cat.png", CAT)))).status == 429
    assert edge.files() == []
    edge.door.failure = StoreUnavailable("Nobody can say.", retry_after_s=1)
    assert (await http.post(SUBMIT, data=form(LOADS, ("files", "cat.png", CAT)))).status == 503
    assert len(edge.files()) == 1, "the job may be in: the file stays until it is clear that no job names it"


async def test_of_two_that_bring_the_same_file_the_refused_one_takes_nothing_away(http, edge):
    edge.door.before = asyncio.Event()
    good = asyncio.ensure_future(http.post(SUBMIT, data=form(LOADS, ("files", "cat.png", CAT))))
    await wait_until_async(lambda: len(edge.door.entries) == 1, what="the first to be at the door")
    bad = await http.post(SUBMIT, data=form(LOADS, ("files", "cat.png", CAT), priority=99))
    assert bad.status == 422
    edge.door.before.set()
    assert (await good).status == 201
    assert len(edge.files()) == 1


@pytest.mark.parametrize("lost", [1, 4000])
async def test_a_client_that_goes_away_half_way_leaves_nothing(http, edge, lost):
    head = (
        "POST /expeditor/submit HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        f"Content-Length: {10_000 + lost}\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="files"; filename="cat.png"\r\n\r\n'
    )
    reader, writer = await asyncio.open_connection(http.host, http.port)
    writer.write(head.encode() + b"x" * 5_000)
    await writer.drain()
    await wait_until_async(lambda: edge.staging.exists() and list(edge.staging.iterdir()), what="the file to be begun")
    writer.close()
    await writer.wait_closed()
    del reader
    await wait_until_async(lambda: not list(edge.staging.iterdir()), what="it to be removed")
    assert edge.files() == []


@pytest.mark.parametrize("part", ["", 'files"; filename="a"\r\n\r\nxx', 'prompt"\r\n\r\n{'])
async def test_a_client_that_stops_sending_is_given_up(aiohttp_client, edge, part):
    async def submit(request):
        async with edge.uploads.open() as files:
            limits = {"max_bytes": 1_000, "json_fields": (), "idle_s": 0.2}
            await read_parts(request, files, is_file=is_file_part, **limits)

    app = web.Application()
    app.router.add_post("/", boundary(submit))
    http = await aiohttp_client(app)
    reader, writer = await asyncio.open_connection(http.host, http.port)
    head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000\r\n\r\n"
    writer.write(head.encode() + (b"--b\r\n" + DISPOSED + part.encode() if part else b""))
    assert b"400 INPUT_INVALID" in await asyncio.wait_for(reader.readline(), 20)
    writer.close()
    assert edge.files() == []
    assert not edge.staging.exists() or not list(edge.staging.iterdir())


@pytest.mark.parametrize(
    ("body", "boundary"),
    [
        (b"", ""),
        (b"--b\r\n", "b"),
        (b"nothing", "b"),
        (b"--b\r\nX\r\n\r\n", "b"),
        (b"--b\r\n" + DISPOSED + b'files"; filename="a"\r\n\r\nxx', "b"),
        (b'--b\r\nContent-Disposition: form-data; filename="a"\r\n\r\nxx\r\n--b--\r\n', "b"),
        (
            b"--b\r\n"
            + DISPOSED
            + b'files"; filename="a"\r\nContent-Transfer-Encoding: base64\r\n\r\neA==\r\n--b--\r\n',
            "b",
        ),
        (b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n--b--\r\n", "b"),
        (b"--b\r\n" + DISPOSED + b'files"\r\n\r\nxx\r\n--b--\r\n', "b"),
        (b"--b\r\n" + DISPOSED + b'prompt"\r\nContent-Type: text/plain; charset=nope\r\n\r\nx\r\n--b--\r\n', "b"),
        ((b"--b\r\n" + DISPOSED + b'x"\r\n\r\n\r\n') * 300 + b"--b--", "b"),
    ],
    ids=range(11),
)
async def test_a_broken_body_is_refused_and_nothing_is_left(http, edge, body, boundary):
    content_type = f"multipart/form-data; boundary={boundary}" if boundary else "multipart/form-data"
    response = await http.post(SUBMIT, data=body, headers={"Content-Type": content_type, "Connection": "close"})
    status, code, _ = await refusal(response)
    assert (status, code) in {(422, "INPUT_INVALID"), (400, "INVALID_JSON"), (413, "LIMIT_EXCEEDED")}
    assert (edge.files(), edge.door.entries) == ([], [])


async def test_only_submit_takes_files(http, edge):
    response = await http.post("/expeditor/validate", data=form(LOADS, ("files", "cat.png", CAT)))
    assert (await refusal(response))[:2] == (422, "INPUT_INVALID")
    assert edge.files() == []


async def test_a_folder_that_cannot_be_written_is_said_so(http, edge):
    edge.input.write_text("no folder")
    response = await http.post(SUBMIT, data=form(LOADS, ("files", "cat.png", CAT)))
    assert await refusal(response) == (503, "STORE_UNAVAILABLE", [])
    assert edge.door.entries == []


async def test_it_waits_for_the_end_too(http, edge):
    response = await http.post(f"{SUBMIT}?wait_s=0", data=form(LOADS, ("files", "cat.png", CAT)))
    job = await response.json()
    assert (response.status, done(edge.store.get(job["id"])).status) == (202, JobStatus.QUEUED)
