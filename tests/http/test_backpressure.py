"""A full queue at our own door over real HTTP: what is refused, what stays as it was, and that the place comes back."""

from __future__ import annotations

import asyncio

import pytest

from expeditor.jobs.errors import StoreUnavailable
from expeditor.jobs.model import JobStatus
from tests.conformance.harness import claim, done
from tests.http.edge import MAX_WAITING, PROMPT, refusal
from tests.support.depth import fill

SUBMIT = "/expeditor/submit"
UUID = "0b8f9c1e-0000-4000-8000-00000000abcd"


async def submit(http, **fields):
    return await http.post(SUBMIT, json={"prompt": PROMPT, **fields})


def stored(edge):
    return sum(row.jobs for row in done(edge.store.summary()).rows if row.status is JobStatus.QUEUED)


async def test_a_full_queue_refuses_and_nothing_stays_behind(http, edge):
    fill(edge.depth, MAX_WAITING)
    response = await submit(http, prompt_id=UUID)
    assert await refusal(response) == (429, "QUEUE_FULL", [])
    assert response.headers["Retry-After"] == "22"  # one in two seconds: from 200 to below 95 %, which is 189
    assert (await response.json())["error"]["details"] == {"limit": "max_waiting_jobs", "most": 200, "used": 200}
    assert edge.door.entries == []
    assert stored(edge) == 0
    assert (await http.get(f"/expeditor/jobs/{UUID}")).status == 404


async def test_a_full_queue_costs_no_validation(http, edge):
    fill(edge.depth, MAX_WAITING)
    await submit(http)
    assert edge.core.targets == []


async def test_a_known_id_is_told_so_also_when_the_queue_is_full(http, edge):
    assert (await submit(http, prompt_id=UUID)).status == 201
    fill(edge.depth, MAX_WAITING)
    assert (await submit(http, prompt_id=UUID)).status == 200
    assert (await refusal(await submit(http, prompt_id=UUID, priority=4)))[:2] == (409, "CONFLICT")


async def test_a_dry_run_does_not_ask_for_room(http, edge):
    fill(edge.depth, MAX_WAITING)
    assert (await http.post("/expeditor/validate", json={"prompt": PROMPT})).status == 200


async def test_submits_at_once_fill_the_queue_to_its_limit_and_no_further(http, edge):
    fill(edge.depth, MAX_WAITING - 5)
    answers = await asyncio.gather(*(submit(http) for _ in range(50)))
    assert sorted(answer.status for answer in answers) == [201] * 5 + [429] * 45
    assert stored(edge) == 5


async def test_a_job_that_starts_makes_room(http, edge):
    fill(edge.depth, 186)
    for _ in range(14):
        assert (await submit(http)).status == 201
    assert (await submit(http)).status == 429
    for _ in range(11):
        claim(edge.store)
    assert (await submit(http)).status == 201


@pytest.mark.parametrize("failure", [StoreUnavailable("away"), RuntimeError("a defect")])
async def test_a_submit_that_fails_later_takes_no_place(http, edge, failure):
    fill(edge.depth, MAX_WAITING - 1)
    edge.door.failure = failure
    assert (await submit(http)).status in {500, 503}
    edge.door.failure = None
    assert (await submit(http)).status == 201
