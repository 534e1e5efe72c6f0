"""Webhooks over real HTTP: naming a target at submit, and what the outbox tells; with the outbox in memory."""

from __future__ import annotations

import pytest

from expeditor.jobs.deliveries import DeliveryAttempt, DeliveryStatus, NewDelivery, TargetOrigin, Verdict
from expeditor.jobs.model import WebhookTarget
from tests.http.edge import PROMPT, refusal

SECRET_URL = "https://hooks.example.com/T000/a-secret-part?key=another"


@pytest.fixture
def outbox(edge):
    edge.outbox.open()
    yield edge.outbox
    edge.outbox.close()


def message(number, job_id="job-1", place="hooks.example.com:443", event="job.succeeded"):
    return NewDelivery(
        f"msg_{number}", job_id, event, number, SECRET_URL + str(number), place, TargetOrigin.JOB, "", '{"type":"x"}'
    )


def added(edge, *messages):
    edge.outbox.add(messages, 1, edge.clock()).result(5)


def settled(edge, message_id, status, *, code=None, error=None, number=1):
    attempt = DeliveryAttempt(number, edge.clock(), 0.25, code, error)
    next_s = edge.clock() + 5 if status is DeliveryStatus.PENDING else None
    edge.outbox.settle(message_id, attempt, Verdict(status, next_s)).result(5)


# -- submit --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "target"),
    [
        ("https://hooks.example.com/x", WebhookTarget("https://hooks.example.com/x")),
        ({"url": "https://hooks.example.com/x"}, WebhookTarget("https://hooks.example.com/x")),
        (
            {"url": "https://hooks.example.com/x", "events": ["job.started", "job.failed", "job.started"]},
            WebhookTarget("https://hooks.example.com/x", ("job.started", "job.failed")),
        ),
        (None, None),
    ],
)
async def test_a_job_names_whom_to_tell(http, edge, given, target):
    response = await http.post("/expeditor/submit", json={"prompt": PROMPT, "webhook": given})
    assert response.status == 201
    assert edge.door.entries[0].webhook == target


async def test_a_form_names_it_too(http, edge):
    await http.post("/expeditor/submit", data={"prompt": '{"1": {}}', "webhook": "https://hooks.example.com/x"})
    await http.post("/expeditor/submit", data={"prompt": '{"1": {}}', "webhook": '{"url": "https://a.example.com/"}'})
    assert [entry.webhook.url for entry in edge.door.entries] == [
        "https://hooks.example.com/x",
        "https://a.example.com/",
    ]


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        (5, "/webhook"),
        ([], "/webhook"),
        ("", "/webhook"),
        ("ftp://hooks.example.com/x", "/webhook"),
        ("http://hooks.example.com/x", "/webhook"),
        ("https://user:word@hooks.example.com/x", "/webhook"),
        ("https://hooks.example.com/x#part", "/webhook"),
        ("https://hooks.example.com:0/", "/webhook"),
        ("https://hooks.example.com:25/", None),
        ("https://hooks.example.com:99999/", "/webhook"),
        ("https://hooks.example.com/ x", "/webhook"),
        ("https://hooks.example.com\\@inner/", "/webhook"),
        ("https:///x", "/webhook"),
        ("https://" + "x" * 3_000 + ".example.com/", "/webhook"),
        ("https://elsewhere.test/", "/webhook"),
        ("https://127.0.0.1/", "/webhook"),
        ("https://10.0.0.1/", "/webhook"),
        ({}, "/webhook/url"),
        ({"url": 5}, "/webhook/url"),
        ({"url": "https://a.example.com/", "events": "job.failed"}, "/webhook/events"),
        ({"url": "https://a.example.com/", "events": ["job.fialed"]}, "/webhook/events/0"),
        ({"url": "https://a.example.com/", "evnets": []}, "/webhook/evnets"),
    ],
)
async def test_a_target_that_cannot_be_called_is_refused_and_not_repeated(http, edge, given, pointer):
    response = await http.post("/expeditor/submit", json={"prompt": PROMPT, "webhook": given})
    if pointer is None:  # only where it leads tells whether a port is allowed: the operator's networks may have any
        assert response.status == 201
        return
    assert await refusal(response) == (422, "INPUT_INVALID", [pointer])
    assert edge.door.entries == []


async def test_a_dry_run_says_the_same(http):
    response = await http.post("/expeditor/validate", json={"prompt": PROMPT, "webhook": "http://hooks.example.com/"})
    assert await refusal(response) == (422, "INPUT_INVALID", ["/webhook"])


# -- the outbox ----------------------------------------------------------------------------------------------------------


async def test_the_outbox_is_listed_newest_first_in_pages(http, edge, outbox):
    added(edge, *(message(number) for number in range(5)))
    page = await (await http.get("/expeditor/deliveries?limit=3")).json()
    assert [each["id"] for each in page["deliveries"]] == ["msg_4", "msg_3", "msg_2"]
    rest = await (await http.get(f"/expeditor/deliveries?limit=3&cursor={page['next_cursor']}")).json()
    assert ([each["id"] for each in rest["deliveries"]], rest["next_cursor"]) == (["msg_1", "msg_0"], None)


async def test_filters(http, edge, outbox):
    added(edge, message(0), message(1, job_id="job-2"), message(2, place="other.example.com:8443"))
    added(edge, message(3, event="job.failed"))
    settled(edge, "msg_0", DeliveryStatus.DELIVERED, code=200)

    async def ids(query):
        listed = await (await http.get(f"/expeditor/deliveries?{query}")).json()
        return [each["id"] for each in listed["deliveries"]]

    assert await ids("status=delivered") == ["msg_0"]
    assert await ids("status=pending&job_id=job-1") == ["msg_3", "msg_2"]
    assert await ids("job_id=job-2") == ["msg_1"]
    assert await ids("host=other.example.com") == await ids("host=OTHER.example.com:8443") == ["msg_2"]
    assert await ids("host=other") == []
    assert await ids("host=%25") == []
    assert await ids("event=job.failed") == ["msg_3"]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("status=lost", "/status"),
        ("limit=0", "/limit"),
        ("limit=501", "/limit"),
        ("cursor=abc", "/cursor"),
        ("cursor=-1", "/cursor"),
        ("event=job.lost", "/event"),
        ("hots=a", "/hots"),
        ("cursor=" + "9" * 40, "/cursor"),
    ],
)
async def test_a_wrong_query_is_refused(http, outbox, query, pointer):
    assert await refusal(await http.get(f"/expeditor/deliveries?{query}")) == (422, "INPUT_INVALID", [pointer])


async def test_one_delivery_tells_its_tries_and_no_secrets(http, edge, outbox):
    added(edge, message(7))
    settled(edge, "msg_7", DeliveryStatus.PENDING, error="No answer within 15 s.")
    settled(
        edge,
        "msg_7",
        DeliveryStatus.FAILED,
        code=500,
        error="The target did not take the message (HTTP 500).",
        number=2,
    )
    response = await http.get("/expeditor/deliveries/msg_7")
    text = await response.text()
    told = await response.json()
    assert "a-secret-part" not in text
    assert "another" not in text
    assert (told["host"], told["status"], told["attempt_count"]) == ("hooks.example.com:443", "failed", 2)
    assert [(each["number"], each["status_code"]) for each in told["attempts"]] == [(1, None), (2, 500)]
    assert told["payload"] == {"type": "x"}
    assert (told["last_status_code"], told["next_try_at"]) == (500, None)


async def test_an_unknown_delivery_is_404(http, outbox):
    assert (await refusal(await http.get("/expeditor/deliveries/msg_9")))[:2] == (404, "NOT_FOUND")
    assert (await refusal(await http.post("/expeditor/deliveries/msg_9/replay")))[:2] == (404, "NOT_FOUND")
    for odd in ("%ED%A0%80", "%00", "%F0%9F%92%A9", "x" * 5_000):
        assert (await http.get(f"/expeditor/deliveries/{odd}")).status == 404
        assert (await http.post(f"/expeditor/deliveries/{odd}/replay")).status == 404


async def test_a_delivery_is_sent_again(http, edge, outbox):
    added(edge, message(1))
    settled(edge, "msg_1", DeliveryStatus.FAILED, code=500, error="no")
    told = await (await http.post("/expeditor/deliveries/msg_1/replay")).json()
    assert (told["status"], told["attempt_count"], edge.outbox_woken) == ("pending", 1, 1)
    due = outbox.due(edge.clock(), frozenset(), frozenset(), 4).result(5)
    assert [(each.message.id, each.tries) for each in due] == [("msg_1", 0)]


async def test_all_that_failed_are_sent_again(http, edge, outbox):
    added(edge, *(message(number, place=f"h{number % 2}.example.com:443") for number in range(5)))
    for number in range(4):
        settled(edge, f"msg_{number}", DeliveryStatus.FAILED, error="no")
    settled(edge, "msg_4", DeliveryStatus.DELIVERED, code=204)
    one = await http.post("/expeditor/deliveries/replay", json={"host": "h0.example.com"})
    rest = await http.post("/expeditor/deliveries/replay")
    delivered = await http.post("/expeditor/deliveries/replay", json={"status": "delivered"})
    assert [(await each.json())["replayed"] for each in (one, rest, delivered)] == [2, 2, 1]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"status": "pending"}, "/status"),
        ({"hots": "a"}, "/hots"),
        ({"host": 5}, "/host"),
        ({"event": {}}, "/event"),
        ({"status": []}, "/status"),
        ({"host": "\ud800"}, "/host"),
        ({"job_id": "\ud800"}, "/job_id"),
        ({"host": None}, "/host"),
    ],
)
async def test_a_wrong_filter_replays_nothing(http, edge, outbox, body, pointer):
    added(edge, message(1))
    settled(edge, "msg_1", DeliveryStatus.FAILED, error="no")
    answer = await http.post("/expeditor/deliveries/replay", json=body)
    assert await refusal(answer) == (422, "INPUT_INVALID", [pointer])
    assert outbox.due(edge.clock() + 100, frozenset(), frozenset(), 4).result(5) == ()


async def test_an_outbox_that_cannot_be_used_is_503(http):
    response = await http.get("/expeditor/deliveries")
    assert (await refusal(response))[:2] == (503, "STORE_UNAVAILABLE")
