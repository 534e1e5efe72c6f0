"""``/expeditor/messages`` over real HTTP: FormData and JSON, and one precise refusal for each thing that can be wrong."""

from __future__ import annotations

import itertools
import json

import aiohttp
import pytest
from aiohttp import web

from expeditor.events.mailbox import MAX_MESSAGE_BYTES, Mailbox
from expeditor.events.post import PostOffice
from expeditor.events.wait_pictures import WaitPictures
from expeditor.jobs.waits import Ask, AskKind, Picture
from expeditor.routes.errors import boundary
from expeditor.routes.messages import MessageRoutes

PATH = "/expeditor/messages"
MULTIPART = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="message"\r\n%s\r\n\r\nxyz\r\n--x--\r\n'
NOW_S = 1_700_000_000.0


@pytest.fixture
def mailbox(tmp_path):
    numbers = itertools.count(1)
    return Mailbox(lambda: NOW_S, lambda: f"token-{next(numbers)}", WaitPictures(tmp_path / "waits"))


@pytest.fixture
async def client(mailbox, aiohttp_client):
    routes = MessageRoutes(PostOffice(mailbox, lambda: 0.0))
    app = web.Application(client_max_size=100 * 1024 * 1024)
    app.router.add_post(PATH, boundary(routes.post))
    app.router.add_get(f"{PATH}/pending", boundary(routes.pending))
    app.router.add_get(f"{PATH}/{{token}}/images/{{n}}", boundary(routes.image))
    return await aiohttp_client(app)


def open_wait(mailbox, node_id="7", prompt_id="job-1"):
    return mailbox.open(prompt_id, node_id, ask=Ask(label="Which?"), deadline_s=60)


def multipart(**fields):
    with aiohttp.MultipartWriter("form-data") as form:
        for name, value in fields.items():
            form.append(value).set_content_disposition("form-data", name=name)
    return form


async def refusal(response):
    body = await response.json()
    assert response.headers["X-Expeditor-Code"] == body["error"]["code"]
    return response.status, body["error"]["code"], [fault["pointer"] for fault in body["error"]["errors"]]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(lambda: {"data": multipart(message="vangogh é", node_id="7")}, id="multipart form"),
        pytest.param(lambda: {"data": {"message": "vangogh é", "node_id": "7"}}, id="urlencoded form"),
        pytest.param(lambda: {"json": {"message": "vangogh é", "node_id": "7"}}, id="json"),
        pytest.param(lambda: {"json": {"message": "vangogh é", "node_id": 7}}, id="json, number as id"),
        pytest.param(lambda: {"data": '{"message": "vangogh é", "node_id": "7"}'}, id="json without saying so"),
        pytest.param(lambda: {"json": {"message": "vangogh é", "node_id": "7", "token": None}}, id="null is absent"),
        pytest.param(
            lambda: {"data": multipart(message="vangogh é", node_id="7", token="", prompt_id="")}, id="empty is absent"
        ),
        pytest.param(
            lambda: {"data": multipart(message="vangogh é", node_id="7", token="token-1", prompt_id="job-1")},
            id="all fields",
        ),
    ],
)
async def test_a_message_reaches_the_wait(client, mailbox, sent):
    wait = open_wait(mailbox)
    response = await client.post(PATH, **sent())
    assert response.status == 200
    assert await response.json() == {"delivered": True, "token": "token-1", "node_id": "7", "prompt_id": "job-1"}
    assert wait.poll(0) == "vangogh é"


async def test_a_blob_part_counts_as_text(client, mailbox):
    wait = open_wait(mailbox)
    form = aiohttp.FormData({"node_id": "7"})
    form.add_field("message", "from a file é".encode(), filename="blob", content_type="text/plain")
    assert (await client.post(PATH, data=form)).status == 200
    assert wait.poll(0) == "from a file é"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"json": {}}, (422, "INPUT_INVALID", ["/message", "/node_id"])),
        ({"json": {"message": "x"}}, (422, "INPUT_INVALID", ["/node_id"])),
        ({"json": {"node_id": "7"}}, (422, "INPUT_INVALID", ["/message"])),
        ({"json": {"message": ["x"], "node_id": "7"}}, (422, "INPUT_INVALID", ["/message"])),
        ({"json": {"message": "x", "node_id": True}}, (422, "INPUT_INVALID", ["/node_id"])),
        ({"json": {"message": "x", "node_id": "7", "token": {}}}, (422, "INPUT_INVALID", ["/token"])),
        ({"json": ["message"]}, (400, "INVALID_JSON", [])),
        ({"data": b""}, (400, "INVALID_JSON", [])),
        ({"data": b"{"}, (400, "INVALID_JSON", [])),
        ({"data": b'{"message": NaN}'}, (400, "INVALID_JSON", [])),
        ({"data": b"\xff\xfe\x00"}, (400, "INVALID_JSON", [])),
        ({"data": b"[" * 100_000}, (400, "INVALID_JSON", [])),
        ({"data": b'{"node_id": ' + b"9" * 5000 + b"}"}, (400, "INVALID_JSON", [])),
        ({"data": b"message=a&message=b&node_id=7"}, (422, "INPUT_INVALID", ["/message"])),
        ({"data": b"--x\r\nnonsense", "type": MULTIPART}, (422, "INPUT_INVALID", [""])),
        ({"data": b"{}", "gzip": True}, (400, "INVALID_JSON", [])),
        ({"data": b"message=a&node_id=7", "gzip": True}, (400, "INVALID_JSON", [])),
        ({"data": PART % b"Content-Transfer-Encoding: odd", "type": MULTIPART}, (422, "INPUT_INVALID", [""])),
        (
            {"data": PART % b"Content-Type: text/plain; charset=no-such", "type": MULTIPART},
            (422, "INPUT_INVALID", [""]),
        ),
        ({"data": b"message=a", "type": "multipart/form-data"}, (422, "INPUT_INVALID", [""])),
        (
            {"data": b"message=a", "type": "application/x-www-form-urlencoded; charset=no-such"},
            (422, "INPUT_INVALID", [""]),
        ),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_a_faulty_body_is_refused_precisely_and_reaches_nobody(client, mailbox, sent, expected):
    wait = open_wait(mailbox)
    sent = dict(sent)
    urlencoded = isinstance(sent.get("data"), bytes) and sent["data"].startswith(b"message=")
    kind = sent.pop("type", "application/x-www-form-urlencoded" if urlencoded else "application/json")
    headers = {"Content-Type": kind, **({"Content-Encoding": "gzip"} if sent.pop("gzip", False) else {})}
    response = await client.post(PATH, headers=headers, **sent)
    assert await refusal(response) == expected
    assert wait.poll(0) is None


async def test_bytes_that_are_no_text_are_refused(client, mailbox):
    open_wait(mailbox)
    form = aiohttp.FormData({"node_id": "7"})
    form.add_field("message", b"\xff\xfe", filename="a.bin", content_type="application/octet-stream")
    assert await refusal(await client.post(PATH, data=form)) == (422, "INPUT_INVALID", ["/message"])


async def test_nobody_waits(client):
    assert await refusal(await client.post(PATH, data={"message": "x", "node_id": "7"})) == (404, "NOT_FOUND", [])


async def test_the_second_answer_is_gone(client, mailbox):
    wait = open_wait(mailbox)
    assert (await client.post(PATH, data={"message": "one", "node_id": "7"})).status == 200
    assert await refusal(await client.post(PATH, data={"message": "two", "node_id": "7"})) == (410, "GONE", [])
    assert wait.poll(0) == "one"


async def test_several_waits_are_listed_and_a_token_settles_it(client, mailbox):
    waits = [open_wait(mailbox), open_wait(mailbox, prompt_id="job-2")]
    response = await client.post(PATH, data={"message": "x", "node_id": "7"})
    tokens = (await response.json())["error"]["details"]["tokens"]
    assert (response.status, tokens) == (409, ["token-1", "token-2"])
    assert (await client.post(PATH, data={"message": "x", "node_id": "7", "token": tokens[1]})).status == 200
    assert [wait.poll(0) for wait in waits] == [None, "x"]


@pytest.mark.parametrize("size", [MAX_MESSAGE_BYTES + 1, 10 * MAX_MESSAGE_BYTES])
@pytest.mark.parametrize("encode", [lambda **fields: {"data": multipart(**fields)}, lambda **fields: {"json": fields}])
async def test_too_much_is_413_and_leaves_the_wait_open(client, mailbox, size, encode):
    wait = open_wait(mailbox)
    response = await client.post(PATH, **encode(message="x" * size, node_id="7"))
    assert await refusal(response) == (413, "LIMIT_EXCEEDED", [])
    assert mailbox.pending() == (wait.pending,)


@pytest.mark.parametrize(
    "kind", ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
async def test_too_much_is_413_also_when_the_length_is_not_declared(client, kind):
    async def endless():
        yield b'--x\r\nContent-Disposition: form-data; name="message"\r\n\r\n' if "multipart" in kind else b"message="
        for _ in range(20):
            yield b"x" * 64 * 1024

    response = await client.post(PATH, data=endless(), headers={"Content-Type": kind})
    assert await refusal(response) == (413, "LIMIT_EXCEEDED", [])


@pytest.mark.parametrize("max_bytes", [MAX_MESSAGE_BYTES, 2 * MAX_MESSAGE_BYTES])
async def test_the_largest_message_fits_however_json_escapes_it(client, mailbox, max_bytes):
    wait = mailbox.open("job-1", "7", ask=Ask(label="Which?"), deadline_s=60, max_bytes=max_bytes)
    text = "\x01" * max_bytes
    body = json.dumps({"message": text, "node_id": "7"})
    assert len(body) > 5 * max_bytes
    assert (await client.post(PATH, data=body)).status == 200
    assert wait.poll(0) == text


async def test_pending_lists_what_can_be_answered(client, mailbox):
    open_wait(mailbox)
    mailbox.close(open_wait(mailbox, node_id="8").token)
    body = await (await client.get(f"{PATH}/pending")).json()
    assert body == {
        "pending": [
            {
                "token": "token-1",
                "node_id": "7",
                "prompt_id": "job-1",
                "kind": "text",
                "label": "Which?",
                "text": "",
                "images": [],
                "least": None,
                "most": None,
                "opened_at": "2023-11-14T22:13:20.000Z",
                "deadline_at": "2023-11-14T22:14:20.000Z",
                "max_bytes": MAX_MESSAGE_BYTES,
            }
        ]
    }


def open_pick(mailbox):
    pictures = (Picture("image/jpeg", b"first"), Picture("image/png", b"second"))
    return mailbox.open("job-1", "7", ask=Ask(AskKind.PICK, "Which?", pictures=2), deadline_s=60, pictures=pictures)


async def test_the_pictures_of_a_wait_are_listed_and_can_be_had(client, mailbox):
    open_pick(mailbox)
    (wait,) = (await (await client.get(f"{PATH}/pending")).json())["pending"]
    assert (wait["kind"], wait["least"], wait["most"]) == ("pick", 1, 1)
    answers = [await client.get(image["url"]) for image in wait["images"]]
    assert [(each.status, each.content_type, await each.read()) for each in answers] == [
        (200, "image/jpeg", b"first"),
        (200, "image/png", b"second"),
    ]
    assert {each.headers["X-Content-Type-Options"] for each in answers} == {"nosniff"}


@pytest.mark.parametrize(
    "path",
    ["token-1/images/2", "token-1/images/-1", "token-1/images/x", "none/images/0", "token-1/images/" + "9" * 5000],
)
async def test_what_is_no_picture_of_an_open_wait_is_404(client, mailbox, path):
    open_pick(mailbox)
    assert await refusal(await client.get(f"{PATH}/{path}")) == (404, "NOT_FOUND", [])


async def test_the_pictures_of_a_wait_that_is_over_are_gone(client, mailbox):
    mailbox.close(open_pick(mailbox).token)
    assert await refusal(await client.get(f"{PATH}/token-1/images/0")) == (410, "GONE", [])


@pytest.mark.parametrize("message", ["first", "2", "0,1", "", '{"picks": ["0"]}'])
async def test_an_answer_that_does_not_fit_is_refused_precisely_and_the_node_waits_on(client, mailbox, message):
    wait = open_pick(mailbox)
    response = await client.post(PATH, json={"message": message, "node_id": "7"})
    (fault,) = (await response.json())["error"]["errors"]
    assert await refusal(response) == (422, "INPUT_INVALID", ["/message"])
    assert '{"picks": [0, 2]}' in fault["hint"]
    assert (wait.poll(0), mailbox.pending()) == (None, (wait.pending,))
    assert (await client.post(PATH, json={"message": 1, "node_id": "7"})).status == 200
    assert wait.poll(0) == "1"
