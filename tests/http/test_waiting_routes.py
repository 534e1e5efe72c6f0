"""One waiting job over real HTTP: hold, release, retry, times, ceilings, and why it waits."""

from __future__ import annotations

import aiohttp
import pytest

from expeditor.jobs.model import Cause, JobStatus
from tests.conformance.harness import claim, done, ending, enqueue
from tests.http.edge import PROMPT, refusal

SUBMIT = "/expeditor/submit"


async def submitted(http, headers=None, **fields):
    response = await http.post(SUBMIT, json={"prompt": PROMPT, **fields}, headers=headers)
    assert response.status == 201, await response.text()
    return await response.json()


async def posted(http, job_id, verb, **options):
    response = await http.post(f"/expeditor/jobs/{job_id}/{verb}", **options)
    assert response.status == 200, await response.text()
    return await response.json()


async def got(http, path):
    response = await http.get(path)
    assert response.status == 200, await response.text()
    return await response.json()


async def test_a_held_job_waits_until_it_is_released(http, edge):
    first, second = [(await submitted(http))["id"] for _ in range(2)]
    for _ in range(2):
        job = await posted(http, first, "hold")
        assert (job["status"], job["held"], job["position"], job["eta_s"]) == ("queued", True, None, None)
        assert (job["waiting"]["reason"], job["links"]["release"]) == ("held", f"/expeditor/jobs/{first}/release")
    held = await got(http, "/expeditor/jobs?held=true")
    assert [job["id"] for job in held["jobs"]] == [first]
    assert [job["id"] for job in (await got(http, "/expeditor/jobs?held=false"))["jobs"]] == [second]
    woken = edge.door.woken
    for _ in range(2):
        job = await posted(http, first, "release")
        assert (job["held"], job["position"], "hold" in job["links"]) == (False, 1, True)
    assert edge.door.woken > woken
    assert claim(edge.store).job.id == first


@pytest.mark.parametrize("verb", ["hold", "release"])
async def test_only_what_waits_can_be_held(http, edge, verb):
    job_id = (await submitted(http))["id"]
    claim(edge.store)
    response = await http.post(f"/expeditor/jobs/{job_id}/{verb}")
    assert (await response.json())["error"]["details"]["status"] == "running"
    assert await refusal(response) == (409, "CONFLICT", [])


async def test_a_failed_job_runs_again_and_a_repeated_wish_changes_nothing(http, edge):
    job_id = (await submitted(http))["id"]
    claimed = claim(edge.store)
    done(edge.store.finish(job_id, claimed.attempt, ending(JobStatus.FAILED, cause=Cause.NODE_ERROR)))
    assert (await got(http, f"/expeditor/jobs/{job_id}"))["links"]["retry"] == f"/expeditor/jobs/{job_id}/retry"
    job = await posted(http, job_id, "retry")
    assert (job["status"], job["cause"], job["attempt"], job["position"]) == ("queued", None, 1, 1)
    assert (await posted(http, job_id, "retry"))["status"] == "queued"
    assert claim(edge.store).attempt == 2
    assert (await posted(http, job_id, "retry"))["status"] == "running"


async def test_a_job_that_succeeded_does_not_run_again(http, edge):
    job_id = (await submitted(http))["id"]
    done(edge.store.finish(job_id, claim(edge.store).attempt, ending()))
    response = await http.post(f"/expeditor/jobs/{job_id}/retry")
    assert (await response.json())["error"]["details"]["status"] == "succeeded"
    assert await refusal(response) == (409, "CONFLICT", [])


async def test_a_job_whose_partner_key_is_gone_does_not_run_again(http, edge):
    enqueue(edge.store, "a", needs_secret=True)
    done(edge.store.cancel("a"))
    assert await refusal(await http.post("/expeditor/jobs/a/retry")) == (409, "CONFLICT", [])
    assert done(edge.store.get("a")).status is JobStatus.CANCELED


@pytest.mark.parametrize("verb", ["", "/hold", "/release", "/retry", "/cancel", "/priority"])
async def test_a_pruned_job_is_gone_and_an_unknown_one_not_found(http, edge, verb):
    enqueue(edge.store, "old")
    done(edge.store.cancel("old"))
    assert done(edge.store.prune(["old"])) == 1
    for job_id, expected in (("old", (410, "GONE", [])), ("nobody", (404, "NOT_FOUND", []))):
        options = {"json": {"priority": 5}} if verb == "/priority" else {}
        method = "POST" if verb else "GET"
        response = await http.request(method, f"/expeditor/jobs/{job_id}{verb}", **options)
        assert await refusal(response) == expected


async def test_a_job_starts_not_before_its_time(http, edge):
    job = await submitted(http, not_before="2023-11-14T23:14:20+01:00", max_attempts=5)
    assert (job["not_before"], job["max_attempts"], job["position"]) == ("2023-11-14T22:14:20.000Z", 5, None)
    assert (job["waiting"]["reason"], job["waiting"]["until"]) == ("not_before", "2023-11-14T22:14:20.000Z")
    assert done(edge.store.claim()) is None
    edge.clock.now_s += 60
    done(edge.store.tick())
    assert claim(edge.store).job.id == job["id"]


async def test_a_job_expires_counted_from_its_accept(http, edge):
    form = aiohttp.FormData({"prompt": '{"1": {"class_type": "A"}}', "expires_in_s": "60", "max_attempts": "2"})
    job = await (await http.post(SUBMIT, data=form)).json()
    assert (job["expires_at"], job["waiting"]["expires_at"]) == ("2023-11-14T22:14:20.000Z",) * 2
    edge.clock.now_s += 61
    done(edge.store.tick())
    ended = await got(http, f"/expeditor/jobs/{job['id']}")
    assert (ended["status"], ended["cause"], ended["waiting"]) == ("expired", "EXPIRED", None)
    assert set(ended["links"]) == {"self", "retry"}


@pytest.mark.parametrize(
    ("fields", "pointers"),
    [
        ({"not_before": "tomorrow"}, ["/not_before"]),
        ({"expires_in_s": 0}, ["/expires_in_s"]),
        ({"max_attempts": 21}, ["/max_attempts"]),
        ({"not_before": "2023-11-14T22:14:20Z", "expires_in_s": 60}, ["/expires_in_s"]),
    ],
)
@pytest.mark.parametrize("path", [SUBMIT, "/expeditor/validate"])
async def test_wrong_times_are_refused_and_nothing_is_queued(http, edge, path, fields, pointers):
    response = await http.post(path, json={"prompt": PROMPT, **fields})
    assert await refusal(response) == (422, "INPUT_INVALID", pointers)
    assert edge.door.entries == []


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [({"priority": 6}, "/priority"), ({"front": True}, "/front"), ({"number": -1}, "/front")],
)
@pytest.mark.parametrize("path", [SUBMIT, "/expeditor/validate"])
async def test_above_a_ceiling_is_refused(http, edge, path, fields, pointer):
    response = await http.post(path, json={"prompt": PROMPT, "client_id": "junior", **fields})
    assert (await response.json())["error"]["details"] == {"ceiling": 5}
    assert await refusal(response) == (403, "PRIORITY_NOT_ALLOWED", [pointer])
    assert edge.door.entries == []


async def test_up_to_the_ceiling_is_taken_and_a_default_is_lowered(http):
    assert (await submitted(http, client_id="junior", priority=5))["priority"] == 5
    assert (await submitted(http, headers={"X-User": "grace"}))["priority"] == 2


async def test_several_machines_share_what_stands_in_front(http, edge):
    edge.roster.count = 2
    running = (await submitted(http, priority=10))["id"]
    claim(edge.store)
    edge.runs.begin(running, {}, 5.0, 1)
    await submitted(http, priority=10)
    job = await submitted(http)
    assert (job["position"], job["eta_s"]) == (2, 10.0 / 2 + 5.0)
    assert (await got(http, f"/expeditor/jobs/{job['id']}"))["eta_s"] == 10.0
    assert (await got(http, "/expeditor/queue"))["eta_s"] == 15.0 / 2


@pytest.mark.parametrize("change", [{"priority": 6}, {"front": True}, {"priority": 6, "client_id": "ada"}])
async def test_nobody_unknown_lifts_a_job_above_its_owners_ceiling(http, change):
    job_id = (await submitted(http, client_id="junior"))["id"]
    response = await http.post(f"/expeditor/jobs/{job_id}/priority", json=change)
    assert (await refusal(response))[:2] == (403, "PRIORITY_NOT_ALLOWED")
    boss = await posted(http, job_id, "priority", json=change, headers={"X-User": "boss"})
    assert boss["position"] == 1


async def test_why_a_job_waits(http, edge):
    running = (await submitted(http, priority=10))["id"]
    claim(edge.store)
    edge.runs.begin(running, {}, 5.0, 1)
    await submitted(http, client_id="bob", priority=10)
    await submitted(http, client_id="ada", priority=5)
    job = await submitted(http, client_id="ada")
    waiting = job["waiting"]
    assert waiting["ahead"] == {"by_priority": {"10": 1, "5": 1}, "own": 1, "running": 1, "work_s": 15.0}
    assert (waiting["reason"], waiting["position"], waiting["eta_s"]) == ("ahead_in_line", 3, 20.0)
    assert (waiting["eta_basis"], waiting["until"], waiting["expires_at"]) == ("default", None, None)
    assert "2 jobs stand before it (1 of priority 10, 1 of priority 5" in waiting["message"]
    assert "bob" not in str(waiting)
    listed = (await got(http, "/expeditor/jobs?limit=1"))["jobs"][0]
    assert (listed["position"], listed["eta_s"], listed["waiting"]["ahead"]) == (3, 20.0, None)
    assert (await got(http, f"/expeditor/jobs/{running}"))["waiting"] is None


async def test_nobody_knows_when_a_queue_that_stands_still_comes_to_a_job(http):
    job_id = (await submitted(http))["id"]
    for verb, reason in (("pause", "paused"), ("drain", "draining")):
        await http.post(f"/expeditor/queue/{verb}")
        job = await got(http, f"/expeditor/jobs/{job_id}")
        assert (job["waiting"]["reason"], job["eta_s"], job["waiting"]["eta_s"], job["position"]) == (
            reason,
            None,
            None,
            1,
        )
    await http.post("/expeditor/queue/resume")
    assert (await got(http, f"/expeditor/jobs/{job_id}"))["waiting"]["reason"] == "next"


async def test_a_job_between_two_attempts_says_why_and_until_when(http, edge):
    job_id = (await submitted(http))["id"]
    failed = ending(JobStatus.FAILED, cause=Cause.UPSTREAM_UNAVAILABLE)
    done(edge.store.retry(job_id, claim(edge.store).attempt, failed, edge.clock() + 60))
    await submitted(http)
    job = await got(http, f"/expeditor/jobs/{job_id}")
    waiting = job["waiting"]
    assert (waiting["reason"], waiting["until"], job["status"]) == ("backoff", "2023-11-14T22:14:20.000Z", "queued")
    assert waiting["message"].startswith(
        "Attempt 1 failed (UPSTREAM_UNAVAILABLE); the next one starts at 2023-11-14T22:14:20"
    )
    assert (job["position"], job["eta_s"], waiting["ahead"]) == (None, None, None), "nobody knows its place until then"
    edge.clock.now_s += 60
    done(edge.store.tick())
    again = (await got(http, f"/expeditor/jobs/{job_id}"))["waiting"]
    assert (again["reason"], again["position"], again["until"]) == ("next", 1, None), "it has kept its place"


async def test_a_suspect_says_that_it_runs_last(http, edge):
    suspect = (await submitted(http, priority=10))["id"]
    later = edge.storage.make("another boot")
    later.open()
    for _ in range(2):
        assert claim(edge.store).job.id == suspect
        done(later.recover())
    other = await submitted(http, client_id="bob", priority=1)
    assert other["position"] == 1
    waiting = (await got(http, f"/expeditor/jobs/{suspect}"))["waiting"]
    assert (waiting["reason"], waiting["position"]) == ("suspect", 2)
    assert waiting["ahead"]["by_priority"] == {"1": 1}
    assert waiting["message"].startswith(
        "The server process died 2 times while it ran, so it runs after all other work. 1 job stands"
    )
    later.close()


async def test_an_eta_says_what_it_rests_on(http, edge):
    assert (await submitted(http))["waiting"]["eta_basis"] == "default"
    claimed = claim(edge.store)
    done(edge.store.finish(claimed.job.id, claimed.attempt, ending(run_s=40.0)))
    same = (await submitted(http))["waiting"]
    assert (same["eta_basis"], same["eta_s"]) == ("same_workflow", 40.0)
    assert same["message"] == "It is next. About 40 s until it ends, by past runs of the same workflow."
    other = (await submitted(http, prompt={"1": {"class_type": "A", "inputs": {}}}))["waiting"]
    assert (other["eta_basis"], other["eta_s"], other["ahead"]["work_s"]) == ("all_workflows", 80.0, 40.0)


async def test_jobs_are_listed_by_cause(http, edge):
    for job_id, cause in (("a", Cause.NODE_ERROR), ("b", Cause.OUT_OF_MEMORY), ("c", None)):
        enqueue(edge.store, job_id)
        status = JobStatus.SUCCEEDED if cause is None else JobStatus.FAILED
        done(edge.store.finish(job_id, claim(edge.store).attempt, ending(status, cause=cause)))
    listed = await got(http, "/expeditor/jobs?cause=NODE_ERROR,OUT_OF_MEMORY")
    assert [job["id"] for job in listed["jobs"]] == ["b", "a"]
    for query, pointer in (("cause=BAD", "/cause"), ("held=maybe", "/held")):
        assert await refusal(await http.get(f"/expeditor/jobs?{query}")) == (422, "INPUT_INVALID", [pointer])
