"""An operator's routes over real HTTP: pause, resume, drain, clear, bulk retry and bulk cancel."""

from __future__ import annotations

import pytest

from expeditor.intake import bulk
from expeditor.jobs.model import Cause, JobStatus
from tests.conformance.harness import claim, done, ending, enqueue
from tests.http.edge import MAX_WAITING, PROMPT, refusal

JOBS = "/expeditor/jobs"
QUEUE = "/expeditor/queue"


async def posted(http, path, **options):
    response = await http.post(path, **options)
    assert response.status == 200, await response.text()
    return await response.json()


def fail(edge, job_id, cause=Cause.NODE_ERROR, principal="ada"):
    """A job that ran and failed."""
    enqueue(edge.store, job_id, principal=principal)
    claimed = claim(edge.store)
    done(edge.store.finish(job_id, claimed.attempt, ending(JobStatus.FAILED, cause=cause)))


def status_of(edge, job_id):
    return done(edge.store.get(job_id)).status.value


async def test_pause_keeps_what_comes_and_resume_goes_on_at_once(http, edge):
    enqueue(edge.store, "a")
    for _ in range(2):
        queue = await posted(http, f"{QUEUE}/pause")
        assert (queue["paused"], queue["waiting"], queue["eta_s"]) == (True, 1, None)
    assert (await http.post("/expeditor/submit", json={"prompt": PROMPT})).status == 201
    assert done(edge.store.claim()) is None
    woken = edge.door.woken
    queue = await posted(http, f"{QUEUE}/resume")
    assert (queue["paused"], queue["waiting"], queue["eta_s"]) == (False, 2, 10.0)
    assert edge.door.woken > woken
    assert claim(edge.store).job.id == "a"


async def test_drain_refuses_what_is_new_until_resume(http, edge):
    enqueue(edge.store, "a")
    for _ in range(2):
        queue = await posted(http, f"{QUEUE}/drain")
        assert (queue["draining"], queue["paused"], queue["eta_s"]) == (True, False, None)
    response = await http.post("/expeditor/submit", json={"prompt": PROMPT})
    assert await refusal(response) == (503, "DRAINING", [])
    assert int(response.headers["Retry-After"]) >= 1
    assert edge.door.entries == []
    assert edge.flow.not_ready() is not None
    assert (await posted(http, f"{QUEUE}/resume"))["draining"] is False
    assert (await http.post("/expeditor/submit", json={"prompt": PROMPT})).status == 201


async def test_a_job_that_is_known_is_not_refused_by_a_drain(http, edge):
    fail(edge, "a")
    await posted(http, f"{QUEUE}/drain")
    assert (await posted(http, f"{JOBS}/a/retry"))["waiting"]["reason"] == "draining"


async def test_clear_cancels_all_that_waits_and_nothing_that_runs(http, edge):
    for job_id in ("run", "b", "held", "late"):
        enqueue(edge.store, job_id, not_before_s=edge.clock() + 60 if job_id == "late" else None)
    assert claim(edge.store).job.id == "run"
    done(edge.store.hold("held", True))
    report = await posted(http, f"{QUEUE}/clear")
    assert (report["canceled"], report["matched"], report["more"]) == (3, 3, False)
    assert [status_of(edge, job_id) for job_id in ("run", "b", "held", "late")] == ["running"] + ["canceled"] * 3
    assert (await posted(http, f"{QUEUE}/clear"))["canceled"] == 0


async def test_clear_may_be_of_one_principal_or_priority(http, edge):
    for job_id, principal, priority in (("a", "ada", 3), ("b", "bob", 3), ("c", "bob", 9)):
        enqueue(edge.store, job_id, priority, principal)
    assert (await posted(http, f"{QUEUE}/clear", json={"principal": "bob", "priority": 9}))["canceled"] == 1
    assert (await posted(http, f"{QUEUE}/clear?principal=ada"))["canceled"] == 1
    assert [status_of(edge, job_id) for job_id in "abc"] == ["canceled", "queued", "canceled"]


async def test_clear_has_no_bound(http, edge):
    for number in range(bulk.PAGE + 3):
        enqueue(edge.store, f"job-{number}")
    assert (await posted(http, f"{QUEUE}/clear"))["canceled"] == bulk.PAGE + 3


async def test_dead_letters_are_listed_and_run_again_together(http, edge):
    fail(edge, "a")
    fail(edge, "b", Cause.OUT_OF_MEMORY)
    enqueue(edge.store, "c")
    done(edge.store.cancel("c"))
    dead = await (await http.get(f"{JOBS}?status=failed")).json()
    assert [job["id"] for job in dead["jobs"]] == ["b", "a"]
    report = await posted(http, f"{JOBS}/retry", json={"all": True})
    assert report == {"matched": 2, "retried": 2, "unchanged": 0, "refused": 0, "refused_jobs": [], "more": False}
    assert [status_of(edge, job_id) for job_id in "abc"] == ["queued", "queued", "canceled"]


@pytest.mark.parametrize(
    ("sent", "picked"),
    [
        ({"json": {"cause": "OUT_OF_MEMORY"}}, ["b"]),
        ({"json": {"cause": ["OUT_OF_MEMORY", "POISON"]}}, ["b"]),
        ({"params": {"cause": "NODE_ERROR,OUT_OF_MEMORY"}}, ["a", "b"]),
        ({"json": {"principal": "bob"}}, ["b"]),
        ({"json": {"status": ["canceled"]}}, ["c"]),
        ({"data": {"status": "canceled,failed"}}, ["a", "b", "c"]),
        ({"json": {"ids": ["c", "a"]}}, ["a", "c"]),
        ({"params": {"ids": "c"}, "json": {"status": "failed"}}, []),
        ({"params": {"all": "true"}}, ["a", "b"]),
    ],
    ids=range(9),
)
async def test_a_filter_picks_what_runs_again(http, edge, sent, picked):
    fail(edge, "a")
    fail(edge, "b", Cause.OUT_OF_MEMORY, "bob")
    enqueue(edge.store, "c")
    done(edge.store.cancel("c"))
    assert (await posted(http, f"{JOBS}/retry", **sent))["retried"] == len(picked)
    assert [job_id for job_id in "abc" if status_of(edge, job_id) == "queued"] == picked


async def test_what_cannot_run_again_is_named(http, edge):
    fail(edge, "a")
    enqueue(edge.store, "waits")
    enqueue(edge.store, "good", priority=10)
    done(edge.store.finish("good", claim(edge.store).attempt, ending()))
    report = await posted(http, f"{JOBS}/retry", json={"ids": ["a", "a", "good", "waits", "nobody"]})
    assert (report["retried"], report["unchanged"], report["refused"]) == (1, 1, 2)
    assert {job["id"]: job["code"] for job in report["refused_jobs"]} == {"good": "CONFLICT", "nobody": "NOT_FOUND"}
    assert "succeeded" in next(job["message"] for job in report["refused_jobs"] if job["id"] == "good")


async def test_bulk_cancel_takes_what_has_not_ended(http, edge):
    fail(edge, "dead")
    for job_id in ("run", "b", "c"):
        enqueue(edge.store, job_id, priority=9 if job_id == "c" else 3)
    report = await posted(http, f"{JOBS}/cancel", json={"priority": 3})
    assert (report["canceled"], report["matched"]) == (2, 2)
    assert claim(edge.store).job.id == "c"
    edge.runs.begin("c", {}, 5.0, 1)
    report = await posted(http, f"{JOBS}/cancel?all=true")
    assert (report["canceled"], edge.interrupter.asked) == (1, ["c"])
    report = await posted(http, f"{JOBS}/cancel", json={"ids": ["dead"]})
    assert (report["canceled"], report["unchanged"]) == (0, 1)


@pytest.mark.parametrize("verb", ["retry", "cancel"])
@pytest.mark.parametrize(
    ("sent", "pointers"),
    [
        ({}, ["/all"]),
        ({"json": {}}, ["/all"]),
        ({"json": {"all": False}}, ["/all"]),
        ({"json": {"all": "yes"}}, ["/all"]),
        ({"json": {"all": True, "status": "failed"}}, ["/all"]),
        ({"json": {"stauts": "failed"}}, ["/stauts"]),
        ({"json": {"status": "dead", "cause": "BAD"}}, ["/status", "/cause"]),
        ({"json": {"status": 5}}, ["/status"]),
        ({"json": {"ids": ["x"] * 1001}}, ["/ids"]),
        ({"json": {"ids": [5]}}, ["/ids"]),
        ({"json": {"priority": 11}}, ["/priority"]),
        ({"json": {"principal": 5, "held": "x"}}, ["/principal", "/held"]),
        ({"json": {"principal": "\ud800", "ids": ["a", "\udfff"]}}, ["/principal", "/ids"]),
        ({"json": {"status": "failed"}, "params": {"status": "failed"}}, ["/status"]),
    ],
    ids=range(14),
)
async def test_a_filter_that_is_wrong_or_picks_everything_changes_nothing(http, edge, verb, sent, pointers):
    fail(edge, "a")
    enqueue(edge.store, "b")
    assert await refusal(await http.post(f"{JOBS}/{verb}", **sent)) == (422, "INPUT_INVALID", pointers)
    assert (status_of(edge, "a"), status_of(edge, "b")) == ("failed", "queued")


async def test_a_wrong_clear_clears_nothing(http, edge):
    enqueue(edge.store, "a")
    response = await http.post(f"{QUEUE}/clear", json={"princpal": "ada"})
    assert await refusal(response) == (422, "INPUT_INVALID", ["/princpal"])
    assert status_of(edge, "a") == "queued"


async def test_held_and_delayed_jobs_count_as_waiting(http, edge):
    assert MAX_WAITING > 3
    for job_id in "abc":
        enqueue(edge.store, job_id, not_before_s=edge.clock() + 60 if job_id == "c" else None)
    done(edge.store.hold("b", True))
    queue = await (await http.get(QUEUE)).json()
    assert (queue["waiting"], queue["held"], queue["delayed"]) == (3, 1, 1)
    assert queue["by_principal"]["ada"]["jobs"] == 3


async def test_a_store_that_is_away_is_said_so(http, edge):
    edge.storage.stop()
    for path in (f"{QUEUE}/pause", f"{QUEUE}/resume", f"{QUEUE}/clear", f"{JOBS}/cancel?all=true"):
        assert await refusal(await http.post(path)) == (503, "STORE_UNAVAILABLE", [])
    assert (edge.flow.paused, edge.flow.draining) == (False, False)
