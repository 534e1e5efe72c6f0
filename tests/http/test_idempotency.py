"""A repeated submit at our own door over real HTTP: the same job, told as it stands now, and nothing in the queue twice."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from expeditor.intake.judges import Caller
from expeditor.jobs.errors import InputInvalid, StoreUnavailable
from tests.conformance.harness import claim, done, ending
from tests.http.edge import MAX_WAITING, PROMPT, refusal
from tests.support.depth import fill
from tests.support.waiting import wait_until_async

SUBMIT = "/expeditor/submit"
UUID = "0b8f9c1e-0000-4000-8000-00000000abcd"
KEY = {"Idempotency-Key": "5f3c"}
REPEATED = "Idempotent-Replayed"

BY_KEY = {"headers": KEY, "json": {"prompt": PROMPT}}
BY_ID = {"json": {"prompt": PROMPT, "prompt_id": UUID}}
BY_BOTH = {"headers": KEY, **BY_ID}
WAYS = pytest.mark.parametrize("sent", [BY_KEY, BY_ID, BY_BOTH], ids=["key", "id", "both"])


def another(sent):
    return {**sent, "json": {**sent["json"], "priority": 9}}


@WAYS
async def test_a_repeat_is_answered_with_the_same_job_and_nothing_enters(http, edge, sent):
    first = await http.post(SUBMIT, **sent)
    again = await http.post(SUBMIT, **sent)
    assert (first.status, again.status) == (201, 200)
    assert (await again.json())["id"] == (await first.json())["id"]
    assert again.headers["Location"] == first.headers["Location"]
    assert (first.headers.get(REPEATED), again.headers.get(REPEATED)) == (None, "true")
    assert len(edge.door.entries) == 1


@WAYS
async def test_a_repeat_shows_the_job_as_it_stands_now(http, edge, sent):
    await http.post(SUBMIT, **sent)
    claimed = claim(edge.store)
    assert (await (await http.post(SUBMIT, **sent)).json())["status"] == "running"
    done(edge.store.finish(claimed.job.id, claimed.attempt, ending()))
    assert (await (await http.post(SUBMIT, **sent)).json())["status"] == "succeeded"


@WAYS
async def test_another_body_is_a_conflict_that_names_the_job(http, edge, sent):
    job_id = (await (await http.post(SUBMIT, **sent)).json())["id"]
    response = await http.post(SUBMIT, **another(sent))
    assert await refusal(response) == (409, "CONFLICT", [])
    error = (await response.json())["error"]
    assert error["details"] == {"job_id": job_id}
    assert job_id in error["message"]
    assert len(edge.door.entries) == 1


@WAYS
async def test_fifty_at_once_make_one_job_and_all_hear_of_it(http, edge, sent):
    answers = await asyncio.gather(*(http.post(SUBMIT, **sent) for _ in range(50)))
    assert sorted(answer.status for answer in answers) == [200] * 49 + [201]
    assert len({(await answer.json())["id"] for answer in answers}) == 1
    assert len(edge.door.entries) == 1
    assert edge.reservations.held == 0


@WAYS
@pytest.mark.parametrize("failure", [StoreUnavailable("away"), InputInvalid("no"), RuntimeError("a defect")])
async def test_a_refused_request_gives_its_key_back(http, edge, sent, failure):
    edge.door.failure = failure
    assert (await http.post(SUBMIT, **sent)).status >= 400
    edge.door.failure = None
    assert (await http.post(SUBMIT, **another(sent))).status == 201, "the key was not given back"


@WAYS
async def test_the_repeat_of_a_job_that_was_pruned_hears_so_and_nothing_enters(http, edge, sent):
    job_id = (await (await http.post(SUBMIT, **sent)).json())["id"]
    done(edge.store.finish(job_id, claim(edge.store).attempt, ending()))
    assert done(edge.store.prune([job_id])) == 1
    assert await refusal(await http.post(SUBMIT, **sent)) == (410, "GONE", [])
    assert (await refusal(await http.post(SUBMIT, **another(sent))))[:2] == (409, "CONFLICT")
    assert len(edge.door.entries) == 1
    assert edge.reservations.held == 0


async def test_a_key_is_remembered_for_24_hours(http, edge):
    first = await (await http.post(SUBMIT, **BY_KEY)).json()
    edge.clock.now_s += 24 * 3600
    last = await http.post(SUBMIT, **BY_KEY)
    assert (last.status, (await last.json())["id"]) == (200, first["id"])
    edge.clock.now_s += 1
    new = await http.post(SUBMIT, **BY_KEY)
    assert (new.status, new.headers.get(REPEATED)) == (201, None)
    assert (await new.json())["id"] != first["id"]
    again = await http.post(SUBMIT, **BY_KEY)
    assert (await again.json())["id"] == (await new.json())["id"]


async def test_an_id_stays_taken_when_its_key_is_forgotten(http, edge):
    assert (await http.post(SUBMIT, **BY_ID)).status == 201
    edge.clock.now_s += 24 * 3600 + 1
    assert await refusal(await http.post(SUBMIT, **BY_ID)) == (409, "CONFLICT", [])
    assert len(edge.door.entries) == 1


async def test_a_refusal_by_validation_gives_the_key_back(http, edge):
    edge.core.error = {"type": "prompt_no_outputs", "message": "None.", "details": "", "extra_info": {}}
    assert (await http.post(SUBMIT, **BY_KEY)).status == 422
    edge.core.error = None
    assert (await http.post(SUBMIT, **BY_KEY)).status == 201


async def test_a_full_queue_gives_the_key_back_and_never_hides_a_job_that_is_in(http, edge):
    assert (await http.post(SUBMIT, **BY_KEY)).status == 201
    fill(edge.depth, MAX_WAITING)
    assert (await http.post(SUBMIT, **BY_KEY)).status == 200
    assert (await http.post(SUBMIT, headers={"Idempotency-Key": "new"}, json={"prompt": PROMPT})).status == 429
    assert edge.reservations.held == 0


async def test_keys_are_each_principals_own(http, edge):
    for client in ("ada", "grace"):
        assert (await http.post(SUBMIT, headers=KEY, json={"prompt": PROMPT, "client_id": client})).status == 201
    proven = await http.post(SUBMIT, headers={**KEY, "X-User": "ada"}, json={"prompt": PROMPT, "client_id": "ada"})
    assert proven.status == 201
    assert len(edge.door.entries) == 3


async def test_an_id_is_known_to_all_but_its_job_is_told_to_its_owner_only(http):
    sent = {"prompt": PROMPT, "prompt_id": UUID}
    assert (await http.post(SUBMIT, headers={"X-User": "ada"}, json=sent)).status == 201
    assert (await refusal(await http.post(SUBMIT, headers={"X-User": "grace"}, json=sent)))[:2] == (409, "CONFLICT")


async def test_a_known_id_under_a_new_key_is_a_conflict(http, edge):
    assert (await http.post(SUBMIT, **BY_ID)).status == 201
    assert (await refusal(await http.post(SUBMIT, **BY_BOTH)))[:2] == (409, "CONFLICT")
    assert len(edge.door.entries) == 1


async def test_white_space_order_and_the_kind_of_body_do_not_count(http):
    first = await http.post(SUBMIT, headers=KEY, data=json.dumps({"priority": 8, "prompt": PROMPT}))
    again = await http.post(SUBMIT, headers=KEY, data=json.dumps({"prompt": PROMPT, "priority": 8}, indent=2))
    form = aiohttp.FormData({"prompt": json.dumps(PROMPT), "priority": "8"})
    as_form = await http.post(SUBMIT, headers=KEY, data=form)
    assert [answer.status for answer in (first, again, as_form)] == [201, 200, 200]


@pytest.mark.parametrize("key", ["", "a b", "x" * 256])
async def test_what_cannot_be_a_key_is_a_400(http, edge, key):
    response = await http.post(SUBMIT, headers={"Idempotency-Key": key}, json={"prompt": PROMPT})
    assert await refusal(response) == (400, "INPUT_INVALID", [""])
    assert edge.door.entries == []


async def test_two_keys_in_one_request_are_refused(http):
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    response = await http.post(SUBMIT, headers=headers, json={"prompt": PROMPT})
    assert "sent 2 times" in (await response.json())["error"]["message"]
    assert response.status == 400


async def test_a_request_that_is_given_up_leaves_its_key_to_the_one_that_waits(http, edge):
    edge.door.before = asyncio.Event()
    given_up = asyncio.ensure_future(edge.service.submit({"prompt": PROMPT}, Caller(remote=None, key="5f3c")))
    await wait_until_async(lambda: edge.door.entries)
    again = asyncio.ensure_future(edge.service.submit({"prompt": PROMPT}, Caller(remote=None, key="5f3c")))
    await asyncio.wait({again}, timeout=0.05)
    assert len(edge.door.entries) == 1, "two of one key went on"
    given_up.cancel()
    edge.door.before.set()
    assert not (await again).repeated
    assert edge.reservations.held == 0


async def test_a_request_that_is_given_up_after_its_job_entered_is_found_by_the_retry(http, edge):
    edge.door.after = asyncio.Event()
    given_up = asyncio.ensure_future(edge.service.submit({"prompt": PROMPT}, Caller(remote=None, key="5f3c")))
    await wait_until_async(lambda: done(edge.store.summary()).rows)
    given_up.cancel()
    again = await http.post(SUBMIT, **BY_KEY)
    assert (again.status, (await again.json())["id"]) == (200, edge.door.entries[0].prompt_id)
    assert len(edge.door.entries) == 1
    assert edge.reservations.held == 0
