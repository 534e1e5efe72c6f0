"""`?wait_s=`: requests that are held until their job has ended."""

from __future__ import annotations

import asyncio

import pytest

from expeditor.intake.holding import HeldRequests
from expeditor.jobs.errors import StoreUnavailable
from expeditor.jobs.model import JobStatus
from tests.conformance.harness import IMAGE, claim, done, ending, enqueue
from tests.http.edge import MAX_WAIT_S, PROMPT, refusal
from tests.support.clocks import HandMonotonic
from tests.support.waiting import wait_until_async

SUBMIT = "/expeditor/submit"
PLENTY_S = 30.0


def held(edge) -> int:
    """How many requests wait for a job."""
    return len(edge.changes._watches)


def end(edge, job_id: str, **fields) -> None:
    """Run the job that is next to its end."""
    claimed = claim(edge.store)
    assert claimed.job.id == job_id
    done(edge.store.finish(job_id, claimed.attempt, ending(**fields)))


async def test_a_submit_is_answered_when_its_job_has_ended(http, edge):
    asked = asyncio.ensure_future(http.post(f"{SUBMIT}?wait_s=60", json={"prompt": PROMPT}))
    await wait_until_async(lambda: held(edge) == 1, PLENTY_S, what="the request to be held")
    (job_id,) = (entry.prompt_id for entry in edge.door.entries)
    assert not asked.done()
    end(edge, job_id, outputs=(IMAGE,))
    response = await asked
    job = await response.json()
    assert (response.status, response.headers["Location"]) == (200, f"/expeditor/jobs/{job_id}")
    assert (job["status"], job["outputs"][0]["name"]) == ("succeeded", "a_00001_.png")
    assert held(edge) == 0


async def test_out_of_time_the_job_is_answered_as_it_stands(http, edge):
    response = await http.post(f"{SUBMIT}?wait_s=0.05", json={"prompt": PROMPT})
    job = await response.json()
    assert (response.status, job["status"], job["position"]) == (202, "queued", 1)
    assert (response.headers["Location"], response.headers["Retry-After"]) == (f"/expeditor/jobs/{job['id']}", "5")
    assert held(edge) == 0


@pytest.mark.parametrize("status", [JobStatus.FAILED, JobStatus.CANCELED])
async def test_any_end_is_an_end(http, edge, status):
    enqueue(edge.store, "a")
    asked = asyncio.ensure_future(http.get("/expeditor/jobs/a?wait_s=60"))
    await wait_until_async(lambda: held(edge) == 1, PLENTY_S, what="the request to be held")
    if status is JobStatus.CANCELED:
        done(edge.store.cancel("a"))
    else:
        end(edge, "a", status=status)
    response = await asked
    assert (response.status, (await response.json())["status"]) == (200, status.value)


async def test_a_change_that_is_no_end_wakes_nobody(http, edge):
    enqueue(edge.store, "a")
    asked = asyncio.ensure_future(http.get("/expeditor/jobs/a?wait_s=60"))
    await wait_until_async(lambda: held(edge) == 1, PLENTY_S, what="the request to be held")
    claimed = claim(edge.store)
    assert (await (await http.get("/expeditor/jobs/a?wait_s=0.2")).json())["status"] == "running"
    assert not asked.done()
    done(edge.store.finish("a", claimed.attempt, ending()))
    assert (await asked).status == 200


async def test_a_job_that_has_ended_is_answered_at_once(http, edge):
    enqueue(edge.store, "a")
    end(edge, "a")
    response = await http.get(f"/expeditor/jobs/a?wait_s={MAX_WAIT_S}")
    assert (response.status, (await response.json())["status"]) == (200, "succeeded")


async def test_without_waiting_the_answers_are_what_they_were(http, edge):
    response = await http.post(SUBMIT, json={"prompt": PROMPT})
    assert response.status == 201
    response = await http.get(response.headers["Location"])
    assert (response.status, "Retry-After" in response.headers) == (200, False)


async def test_a_wait_of_nothing_is_a_look(http, edge):
    enqueue(edge.store, "a")
    assert (await http.get("/expeditor/jobs/a?wait_s=0")).status == 202


async def test_many_wait_and_others_are_served(http, edge):
    for number in range(20):
        enqueue(edge.store, f"j{number}")
    asked = [asyncio.ensure_future(http.get(f"/expeditor/jobs/j{n}?wait_s=60")) for n in range(20) for _ in range(3)]
    await wait_until_async(lambda: held(edge) == 20, PLENTY_S, what="all to be held")
    assert (await http.get("/expeditor/queue")).status == 200
    assert not any(request.done() for request in asked)
    for _ in range(20):
        claimed = claim(edge.store)
        done(edge.store.finish(claimed.job.id, claimed.attempt, ending()))
    answers = await asyncio.gather(*asked)
    assert {answer.status for answer in answers} == {200}
    assert held(edge) == 0


async def test_a_repeated_request_waits_for_the_same_job(http, edge):
    body, headers = {"prompt": PROMPT}, {"Idempotency-Key": "once"}
    first = asyncio.ensure_future(http.post(f"{SUBMIT}?wait_s=60", json=body, headers=headers))
    await wait_until_async(lambda: held(edge) == 1, PLENTY_S, what="the first to be held")
    second = asyncio.ensure_future(http.post(f"{SUBMIT}?wait_s=60", json=body, headers=headers))
    await wait_until_async(
        lambda: sum(len(each) for each in edge.changes._watches.values()) == 2, PLENTY_S, what="both to be held"
    )
    (entry,) = edge.door.entries
    end(edge, entry.prompt_id)
    answers = await asyncio.gather(first, second)
    assert [answer.status for answer in answers] == [200, 200]
    assert {(await answer.json())["id"] for answer in answers} == {entry.prompt_id}
    assert [answer.headers.get("Idempotent-Replayed") for answer in answers] == [None, "true"]


async def test_a_client_that_goes_frees_its_place_and_its_job_stays(http, edge):
    enqueue(edge.store, "a")
    asked = asyncio.ensure_future(http.get("/expeditor/jobs/a?wait_s=60"))
    await wait_until_async(lambda: held(edge) == 1, PLENTY_S, what="the request to be held")
    asked.cancel()
    await wait_until_async(lambda: held(edge) == 0, PLENTY_S, what="the place to be freed")
    assert done(edge.store.get("a")).status is JobStatus.QUEUED


async def test_a_store_that_goes_away_does_not_take_back_the_accept(http, edge):
    asked = asyncio.ensure_future(http.post(f"{SUBMIT}?wait_s=60", json={"prompt": PROMPT}))
    await wait_until_async(lambda: held(edge) == 1, PLENTY_S, what="the request to be held")
    edge.views.known = FakeAway().known
    (watches,) = edge.changes._watches.values()
    for watch in watches:
        watch.wake()
    response = await asked
    assert (response.status, (await response.json())["status"]) == (202, "queued")


class FakeAway:
    """Job views whose store is away."""

    async def known(self, job_id):
        raise StoreUnavailable(retry_after_s=1)


@pytest.mark.parametrize(
    "query",
    [
        "wait_s=-1",
        "wait_s=",
        "wait_s=nan",
        "wait_s=1e9",
        "wait_s=inf",
        "wait_s=x",
        f"wait_s={MAX_WAIT_S + 1}",
        "wait_s=1&wait_s=2",
        "wait_s=%D9%A1",
    ],
)
async def test_a_wait_that_is_none_is_refused_and_nothing_is_queued(http, edge, query):
    assert await refusal(await http.post(f"{SUBMIT}?{query}", json={"prompt": PROMPT})) == (
        422,
        "INPUT_INVALID",
        ["/wait_s"],
    )
    assert edge.door.entries == []


async def test_other_parameters_are_refused(http, edge):
    enqueue(edge.store, "a")
    assert await refusal(await http.get("/expeditor/jobs/a?wait=5")) == (422, "INPUT_INVALID", ["/wait"])


async def test_nobody_waits_for_a_job_that_is_not_there(http):
    assert await refusal(await http.get("/expeditor/jobs/nobody?wait_s=60")) == (404, "NOT_FOUND", [])


class FakeWatch:
    """Nothing ever happens to the job; time passes by as much as is waited."""

    def __init__(self) -> None:
        self.clock = HandMonotonic()
        self.waits: list[float] = []
        self.open = 0

    def watch(self, job_id):
        return self

    def __enter__(self):
        self.open += 1
        return self

    def __exit__(self, *_):
        self.open -= 1

    async def changed(self, timeout_s):
        self.waits.append(timeout_s)
        self.clock.now_s += timeout_s
        return False


async def test_a_client_that_went_is_seen_at_the_next_look(edge):
    enqueue(edge.store, "a")
    watch = FakeWatch()
    requests = HeldRequests(watch, edge.views, monotonic=watch.clock, look_every_s=1.0)
    view = await requests.until_ended("a", 60.0, lambda: watch.clock.now_s >= 3.0)
    assert (view.job.status, watch.waits, watch.open) == (JobStatus.QUEUED, [1.0, 1.0, 1.0], 0)


async def test_the_last_wait_is_what_is_left(edge):
    enqueue(edge.store, "a")
    watch = FakeWatch()
    requests = HeldRequests(watch, edge.views, monotonic=watch.clock, look_every_s=1.0)
    await requests.until_ended("a", 2.5, lambda: False)
    assert (watch.waits, watch.open) == ([1.0, 1.0, 0.5], 0)
