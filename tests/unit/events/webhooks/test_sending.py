"""One try over real HTTP: what is connected to, what is refused, and what an odd receiver can do to us."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
import subprocess
import threading

import pytest

from expeditor.events.webhooks.sending import Sender, SystemResolver
from expeditor.jobs.webhook_rules import WebhookRules
from tests.support.webhook_receiver import Receiver, answer_with

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
ALLOWED = WebhookRules(allow_http=True, networks=LOOPBACK)
STRICT = WebhookRules(allow_http=True, ports=range(1, 65_536))  # so that the addresses alone decide
BODY = b'{"type":"job.succeeded"}'


class FakeResolver:
    """Gives the answers that it is told, one after the other, the last one again and again; notes what was asked."""

    def __init__(self, *answers) -> None:
        self.answers = list(answers)
        self.asked = []

    async def addresses(self, host, port):
        self.asked.append((host, port))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def receiver():
    with Receiver() as made:
        yield made


@pytest.fixture
async def sender():
    made = []

    def make(rules=ALLOWED, resolver=None, timeout_s=20.0, tls=None):
        resolver = resolver or FakeResolver(["127.0.0.1"])
        made.append(Sender(rules, resolver, timeout_s=timeout_s, user_agent="Expeditor/test", tls=tls))
        return made[-1]

    yield make
    for each in made:
        await each.close()


async def test_a_message_is_posted_as_it_is(sender, receiver):
    url = f"http://shop.example.com:{receiver.port}/a/b?c=%20d"
    answer = await sender().send(url, {"webhook-id": "msg_1"}, BODY)
    (got,) = receiver.received
    assert (answer.code, answer.error, got.path, got.body) == (204, None, "/a/b?c=%20d", BODY)
    assert got.headers["host"] == f"shop.example.com:{receiver.port}"
    assert got.headers["content-type"] == "application/json"
    assert (got.headers["webhook-id"], got.headers["user-agent"]) == ("msg_1", "Expeditor/test")
    assert "cookie" not in got.headers


@pytest.mark.parametrize(
    "answers",
    [
        ["127.0.0.1"],
        ["::1"],
        ["10.0.0.5"],
        ["8.8.8.8", "127.0.0.1"],
        ["::ffff:127.0.0.1"],
        ["169.254.169.254"],
        ["fe80::1%1"],
        ["x"],
    ],
)
async def test_nothing_is_sent_where_one_address_leads_inwards(sender, receiver, answers):
    answer = await sender(STRICT, FakeResolver(answers)).send(f"http://a.example.com:{receiver.port}/", {}, BODY)
    assert answer.code is None
    assert "address" in answer.error
    assert not any(text in answer.error for text in answers if text != "x")
    assert receiver.received == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "localhost", "[::1]", "[::ffff:7f00:1]"]
)
async def test_no_way_of_writing_loopback_gets_through(sender, receiver, host):
    answer = await sender(STRICT, SystemResolver()).send(f"http://{host}:{receiver.port}/", {}, BODY)
    assert answer.error is not None
    assert receiver.received == []


async def test_a_name_is_looked_up_once_so_that_it_cannot_change_its_mind(sender, receiver):
    """DNS rebinding: allowed at the look, loopback at the call."""
    resolver = FakeResolver(["203.0.113.1"], ["127.0.0.1"])
    rules = WebhookRules(allow_http=True, networks=(ipaddress.ip_network("203.0.113.0/24"),))
    answer = await sender(rules, resolver, timeout_s=0.5).send(f"http://a.example.com:{receiver.port}/", {}, BODY)
    assert (answer.code, len(resolver.asked), receiver.received) == (None, 1, [])


async def test_a_name_is_judged_again_at_each_try(sender, receiver):
    resolver = FakeResolver(["127.0.0.1"], ["10.0.0.1"], ["127.0.0.1"])
    made = sender(ALLOWED, resolver)
    answers = [await made.send(f"http://a.example.com:{receiver.port}/", {}, BODY) for _ in range(3)]
    assert [answer.code for answer in answers] == [204, None, 204]
    assert "public internet" in answers[1].error
    assert len(receiver.received) == 2


async def test_the_next_address_is_tried_when_nobody_is_at_the_first(sender, receiver):
    answer = await sender(resolver=FakeResolver(["127.0.0.9", "127.0.0.1"])).send(
        f"http://a.example.com:{receiver.port}/", {}, BODY
    )
    assert answer.code == 204


async def test_no_proxy_of_the_environment_is_used(sender, receiver, monkeypatch):
    with Receiver() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        answer = await sender().send(f"http://a.example.com:{receiver.port}/", {}, BODY)
        assert (answer.code, len(receiver.received), proxy.received) == (204, 1, [])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(sender, receiver, status):
    with Receiver() as other:
        receiver.answer = answer_with(status, Location=f"http://127.0.0.1:{other.port}/inner")
        answer = await sender().send(f"http://a.example.com:{receiver.port}/", {}, BODY)
        assert (answer.code, other.received, len(receiver.received)) == (status, [], 1)
        assert "not followed" in answer.error


@pytest.mark.parametrize(("status", "reachable"), [(400, True), (404, True), (500, True), (502, False), (503, False)])
async def test_a_refusal_is_told_by_its_status(sender, receiver, status, reachable):
    receiver.answer = answer_with(status, Retry_After="17")
    answer = await sender().send(f"http://a.example.com:{receiver.port}/", {}, BODY)
    assert (answer.code, answer.reachable, answer.retry_after_s) == (status, reachable, 17.0)
    assert str(status) in answer.error


async def test_a_receiver_that_hangs_costs_the_timeout_only(sender, receiver):
    let_go = threading.Event()
    receiver.answer = lambda handler, got: let_go.wait(30)
    answer = await sender(timeout_s=0.3).send(f"http://a.example.com:{receiver.port}/", {}, BODY)
    let_go.set()
    assert (answer.code, answer.reachable) == (None, False)
    assert "No answer" in answer.error


async def test_a_name_server_that_hangs_costs_the_timeout_only(sender):
    class Hanging:
        async def addresses(self, host, port):
            await asyncio.Event().wait()

    answer = await sender(resolver=Hanging(), timeout_s=0.2).send("http://a.example.com/", {}, BODY)
    assert (answer.code, answer.reachable) == (None, False)


@pytest.mark.parametrize("failure", [OSError("no such name"), []])
async def test_a_name_that_leads_nowhere(sender, failure):
    answer = await sender(resolver=FakeResolver(failure)).send("http://a.example.com/", {}, BODY)
    assert (answer.code, answer.reachable) == (None, False)


async def test_nobody_there(sender):
    with Receiver() as gone:
        port = gone.port
    answer = await sender().send(f"http://a.example.com:{port}/secret", {}, BODY)
    assert (answer.code, answer.reachable) == (None, False)
    assert "No connection" in answer.error
    assert "secret" not in answer.error


async def test_an_endless_body_is_not_read(sender, receiver):
    ended = threading.Event()

    def endless(handler, got):
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"x" * 65_536)
        except OSError:
            ended.set()

    receiver.answer = endless
    answer = await sender().send(f"http://a.example.com:{receiver.port}/", {}, BODY)
    assert (answer.code, answer.error) == (200, None)
    assert ended.wait(20)


@pytest.mark.parametrize("said", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\n\r\n", b""])
async def test_what_is_no_http_is_a_failure(sender, receiver, said):
    def speak(handler, got):
        handler.wfile.write(said)
        handler.connection.close()

    receiver.answer = speak
    answer = await sender().send(f"http://a.example.com:{receiver.port}/", {}, BODY)
    assert answer.code is None
    assert answer.error is not None


@pytest.mark.parametrize("url", ["http://u:p@a.example.com/", "ftp://a/", "http://a.example.com/#x", ""])
async def test_a_url_that_is_no_webhooks_is_refused_here_too(sender, url):
    answer = await sender().send(url, {}, BODY)
    assert answer.code is None
    assert answer.error.startswith("The URL")


# -- TLS -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    key, file = folder / "key.pem", folder / "cert.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    command += ["-keyout", str(key), "-out", str(file), "-subj", "/CN=shop.example.com"]
    subprocess.run([*command, "-addext", "subjectAltName=DNS:shop.example.com"], check=True, capture_output=True)
    return key, file


@pytest.fixture
def secure(certificate):
    key, file = certificate
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(file, key)
    with Receiver(tls=serving) as made:
        yield made


@pytest.fixture
def trusting(certificate):
    return ssl.create_default_context(cafile=str(certificate[1]))


async def test_the_certificate_must_be_that_of_the_name_though_the_call_goes_to_a_number(sender, secure, trusting):
    made = sender(tls=trusting)
    right = await made.send(f"https://shop.example.com:{secure.port}/", {}, BODY)
    wrong = await made.send(f"https://other.example.com:{secure.port}/", {}, BODY)
    assert (right.code, wrong.code, len(secure.received)) == (204, None, 1)
    assert "certificate" in wrong.error


async def test_a_certificate_that_nobody_vouches_for_is_refused(sender, secure):
    answer = await sender().send(f"https://shop.example.com:{secure.port}/", {}, BODY)
    assert (answer.code, secure.received) == (None, [])
    assert "certificate" in answer.error
