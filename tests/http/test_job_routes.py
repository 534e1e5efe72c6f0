"""Submit, validate, schemas and the jobs API over real HTTP."""

from __future__ import annotations

import json
from dataclasses import replace

import aiohttp
import pytest

from expeditor.jobs.causes import CAUSES
from expeditor.jobs.errors import Conflict, StoreUnavailable
from expeditor.jobs.model import Cause, JobError, JobStatus
from expeditor.routes.render import LOG_TAIL_CHARS
from tests.conformance.harness import IMAGE, claim, done, ending, enqueue
from tests.http.edge import MAX_BYTES, PROMPT, refusal

SUBMIT = "/expeditor/submit"
UUID = "0b8f9c1e-0000-4000-8000-00000000abcd"
JOB_FIELDS = (
    "id status priority principal position eta_s waiting attempt attempts created_at queued_at started_at finished_at "
    "not_before expires_at max_attempts models pool origin instance parked_s progress outputs cause error metadata batch held cached links"
).split()


async def submitted(http, **fields):
    response = await http.post(SUBMIT, json={"prompt": PROMPT, **fields})
    assert response.status == 201, await response.text()
    return await response.json()


async def got(http, path):
    response = await http.get(path)
    assert response.status == 200, await response.text()
    return await response.json()


async def test_a_submitted_job_is_told_whole(http, edge):
    response = await http.post(
        SUBMIT, json={"prompt": PROMPT, "priority": 8, "client_id": "ada", "metadata": {"run": "7"}}
    )
    job = await response.json()
    assert response.status == 201, job
    assert (response.status, response.headers["Location"]) == (201, f"/expeditor/jobs/{job['id']}")
    assert list(job) == JOB_FIELDS
    assert (job["status"], job["priority"], job["principal"], job["position"]) == ("queued", 8, "ada", 1)
    assert (job["eta_s"], job["metadata"], job["attempt"], job["outputs"]) == (5.0, {"run": "7"}, 0, [])
    assert (job["created_at"], job["started_at"]) == ("2023-11-14T22:13:20.000Z", None)
    assert job["links"]["cancel"] == f"/expeditor/jobs/{job['id']}/cancel"
    assert done(edge.store.get(job["id"])).status is JobStatus.QUEUED, "it is committed before the answer"


async def test_a_form_is_as_good_as_json(http, edge):
    form = aiohttp.FormData({"prompt": json.dumps(PROMPT), "priority": "9", "front": "true", "prompt_id": UUID})
    response = await http.post(SUBMIT, data=form)
    job = await response.json()
    assert (response.status, job["id"], job["priority"]) == (201, UUID, 9)
    assert edge.door.entries[0].front is True


@pytest.mark.parametrize(
    ("body", "priority"),
    [
        ({"prompt": PROMPT}, 3),
        ({"prompt": PROMPT, "priority": 1, "_priority": 2}, 1),
        ({"prompt": {**PROMPT, "_priority": 5}}, 5),
        ({"prompt": {**PROMPT, "_priority": 5}, "_priority": 6}, 6),
        ({"prompt": PROMPT, "extra_data": {"_priority": 7}}, 7),
    ],
)
async def test_priority_is_taken_from_every_place_and_the_prompt_is_left_clean(http, edge, body, priority):
    response = await http.post(SUBMIT, json=body)
    assert (response.status, (await response.json())["priority"]) == (201, priority)
    assert edge.door.entries[0].prompt == PROMPT
    assert "_priority" not in edge.door.entries[0].extra_data


async def test_what_goes_to_comfyui(http, edge):
    await submitted(http, client_id="ada", extra_data={"a": 1}, number=-2, partial_execution_targets=["1", "1", "9"])
    (entry,) = edge.door.entries
    assert (entry.extra_data, entry.number, entry.front) == ({"a": 1, "client_id": "ada"}, -2.0, True)
    assert (entry.outputs_to_execute, edge.core.targets) == (("1",), [["1"]]), "core sees the ids that the prompt has"


async def test_a_trusted_proxys_user_owns_the_job(http):
    response = await http.post(SUBMIT, json={"prompt": PROMPT, "client_id": "ada"}, headers={"X-User": "grace"})
    assert (await response.json())["principal"] == "grace"


async def test_jobs_run_by_priority(http, edge):
    ids = {priority: (await submitted(http, priority=priority))["id"] for priority in (3, 10, 1)}
    assert [(await got(http, f"/expeditor/jobs/{ids[p]}"))["position"] for p in (10, 3, 1)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"data": "{"}, (400, "INVALID_JSON", [])),
        ({"data": "[]"}, (400, "INVALID_JSON", [])),
        ({"data": ""}, (400, "INVALID_JSON", [])),
        ({"json": {}}, (422, "INPUT_INVALID", ["/prompt"])),
        ({"json": {"prompt": "x"}}, (400, "INVALID_PROMPT", ["/prompt"])),
        ({"json": {"prompt": {}, "priority": 11}}, (422, "INPUT_INVALID", ["/priority"])),
        ({"json": {"prompt": {}, "prompt_id": "X"}}, (400, "INVALID_PROMPT_ID", ["/prompt_id"])),
        ({"json": {"prompt": {}, "webhook": "http://x"}}, (422, "INPUT_INVALID", ["/webhook"])),
        ({"json": {"prompt": {}, "metdata": {}}}, (422, "INPUT_INVALID", ["/metdata"])),
        ({"data": {"prompt": "{"}}, (400, "INVALID_JSON", ["/prompt"])),
        ({"data": "x" * (MAX_BYTES + 1)}, (413, "LIMIT_EXCEEDED", [])),
        ({"json": {"prompt": {}}, "params": {"wait": "5"}}, (422, "INPUT_INVALID", ["/wait"])),
        (
            {"data": b"hello", "headers": {"Content-Encoding": "gzip", "Connection": "close"}},
            (400, "INVALID_JSON", []),
        ),
    ],
    ids=range(13),
)
async def test_what_is_wrong_is_refused_precisely_and_nothing_is_queued(http, edge, sent, expected):
    assert await refusal(await http.post(SUBMIT, **sent)) == expected
    assert edge.door.entries == []
    assert (await got(http, "/expeditor/jobs"))["jobs"] == []


@pytest.mark.parametrize(
    ("path", "more", "hint"),
    [
        (SUBMIT, {"prompt": PROMPT}, "default"),
        ("/expeditor/jobs/{id}/priority", {}, "front"),
        ("/expeditor/queue/clear", {}, "every"),
    ],
)
async def test_an_error_about_priority_says_the_range_and_what_else_may_be_done_there(http, path, more, hint):
    job_id = (await submitted(http))["id"]
    body = await (await http.post(path.format(id=job_id), json={"priority": 0, **more})).json()
    assert "from 1 to 10 (10 is most urgent, default 3)" in body["error"]["message"]
    assert hint in body["error"]["errors"][0]["hint"]


async def test_cores_own_verdict_is_the_last_word(http, edge):
    error = {
        "type": "value_smaller_than_min",
        "message": "Too small",
        "details": "x",
        "extra_info": {"input_name": "x"},
    }
    edge.core.node_errors = {"2": {"errors": [error], "class_type": "B", "dependent_outputs": ["2"]}}
    assert await refusal(await http.post(SUBMIT, json={"prompt": PROMPT})) == (
        422,
        "INPUT_INVALID",
        ["/prompt/2/inputs/x"],
    )
    assert edge.door.entries == []


async def test_a_known_id_with_another_body_is_a_conflict(http):
    await submitted(http, prompt_id=UUID)
    again = {"prompt": PROMPT, "prompt_id": UUID, "priority": 4}
    assert await refusal(await http.post(SUBMIT, json=again)) == (409, "CONFLICT", [])


@pytest.mark.parametrize(
    ("failure", "expected"),
    [(StoreUnavailable(retry_after_s=7), (503, "STORE_UNAVAILABLE", [])), (Conflict(), (409, "CONFLICT", []))],
)
async def test_a_job_that_is_not_committed_is_not_accepted(http, edge, failure, expected):
    edge.door.failure = failure
    response = await http.post(SUBMIT, json={"prompt": PROMPT})
    assert await refusal(response) == expected
    assert response.headers.get("Retry-After") == ("7" if response.status == 503 else None)


async def test_a_store_that_is_closed_is_said_so(http, edge):
    edge.storage.stop()
    for path in ("/expeditor/jobs", f"/expeditor/jobs/{UUID}", "/expeditor/queue"):
        response = await http.get(path)
        assert await refusal(response) == (503, "STORE_UNAVAILABLE", [])
        assert int(response.headers["Retry-After"]) > 0


@pytest.mark.parametrize("host", ["", "x:99999", "x:y", "a b"])
async def test_a_host_header_may_be_anything(http, edge, host):
    enqueue(edge.store, "a")
    claimed = claim(edge.store)
    done(edge.store.finish("a", claimed.attempt, ending(outputs=(IMAGE,))))
    response = await http.get("/expeditor/jobs/a", headers={"Host": host})
    (output,) = (await response.json())["outputs"]
    assert output["url"].endswith("/expeditor/jobs/a/outputs/0")
    assert output["view_url"].endswith("/view?filename=a_00001_.png&subfolder=sub&type=output")


async def test_validate_changes_nothing(http, edge):
    response = await http.post("/expeditor/validate", json={"prompt": PROMPT, "priority": 4})
    assert response.status == 200
    assert await response.json() == {
        "valid": True,
        "priority": 4,
        "nodes": 2,
        "outputs": ["2"],
        "estimated_s": 5.0,
        "errors": [],
    }
    assert edge.door.entries == []
    assert await refusal(await http.post("/expeditor/validate", json={"prompt": 5})) == (
        400,
        "INVALID_PROMPT",
        ["/prompt"],
    )


async def test_schemas(http):
    for path, title in (("/expeditor/schema", "prompts"), ("/expeditor/schema/A", "A")):
        response = await http.get(path)
        assert response.content_type == "application/schema+json"
        assert (await response.json(content_type=None))["title"] == title
    assert await refusal(await http.get("/expeditor/schema/Nope")) == (404, "NOT_FOUND", [])


async def test_a_job_through_its_life(http, edge):
    job_id = (await submitted(http))["id"]
    path = f"/expeditor/jobs/{job_id}"
    claimed = claim(edge.store)
    edge.runs.begin(job_id, {"1": "A", "2": "B"}, 5.0, 1)
    edge.monotonic.now_s = 2.0
    edge.runs.signal("executing", {"prompt_id": job_id, "node": "1"})
    edge.runs.signal(
        "progress_state", {"prompt_id": job_id, "nodes": {"1": {"value": 1, "max": 4, "state": "running"}}}
    )
    job = await got(http, path)
    assert (job["status"], job["position"], job["eta_s"], job["attempt"]) == ("running", None, 3.0, 1)
    assert job["progress"] == {
        "value": 0.125,
        "nodes_done": 0,
        "nodes_total": 2,
        "current_node": "1",
        "current_node_class": "A",
        "step": 1.0,
        "steps": 4.0,
    }
    done(edge.store.finish(job_id, claimed.attempt, ending(outputs=(IMAGE,), last_node_id="2")))
    job = await got(http, path)
    assert (job["status"], job["eta_s"], job["progress"], job["finished_at"]) == (
        "succeeded",
        None,
        None,
        "2023-11-14T22:15:00.000Z",
    )
    (output,) = job["outputs"]
    assert (output["name"], output["type"], output["size_bytes"], output["node_id"]) == (IMAGE.name, "image", 123, "9")
    assert output["url"].startswith("http://127.0.0.1")
    (attempt,) = job["attempts"]
    assert (attempt["number"], attempt["outcome"], attempt["last_node_id"]) == (1, "succeeded", "2")
    assert (attempt["cause"], attempt["message"], attempt["instance"]) == (None, None, "boot-1")
    assert attempt["duration_s"] == 100.0


async def test_a_failed_job_tells_why_and_keeps_the_traceback_to_itself(http, edge):
    enqueue(edge.store, "a")
    error = JobError("NODE_ERROR", "it broke", "9", "KSampler", "ValueError", "File /secret/path")
    claimed = claim(edge.store)
    done(edge.store.finish("a", claimed.attempt, ending(JobStatus.FAILED, cause=Cause.NODE_ERROR, error=error)))
    job = await got(http, "/expeditor/jobs/a")
    assert (job["status"], job["cause"]) == ("failed", "NODE_ERROR")
    assert job["error"] == {
        "code": "NODE_ERROR",
        "message": "it broke",
        "remedy": CAUSES[Cause.NODE_ERROR].remedy,
        "node_id": "9",
        "class_type": "KSampler",
        "exception_type": "ValueError",
        "log_tail": None,
    }
    assert "secret" not in json.dumps(job)


@pytest.mark.parametrize(("cause", "shown"), [(Cause.POISON, True), (Cause.PROCESS_DIED, True), (Cause.STALLED, False)])
async def test_only_a_job_that_died_shows_the_end_of_the_log_and_not_all_of_it(http, edge, cause, shown):
    enqueue(edge.store, "a")
    error = JobError(cause.value, "it died", "9", "Any", traceback="first" + "." * LOG_TAIL_CHARS + "last words")
    claimed = claim(edge.store)
    done(edge.store.finish("a", claimed.attempt, ending(JobStatus.FAILED, cause=cause, error=error)))
    tail = (await got(http, "/expeditor/jobs/a"))["error"]["log_tail"]
    assert (tail is not None) is shown
    if tail is not None:
        assert (len(tail), tail[-10:]) == (LOG_TAIL_CHARS, "last words")


@pytest.mark.parametrize("path", ["", "/cancel", "/priority"])
async def test_an_unknown_job_is_404(http, path):
    url = f"/expeditor/jobs/nobody{path}"
    response = await (http.post(url, json={"priority": 5}) if path else http.get(url))
    assert await refusal(response) == (404, "NOT_FOUND", [])


async def test_cancel_of_a_queued_job_is_idempotent(http, edge):
    job_id = (await submitted(http))["id"]
    for _ in range(2):
        response = await http.post(f"/expeditor/jobs/{job_id}/cancel")
        job = await response.json()
        assert (response.status, job["status"], job["cause"]) == (200, "canceled", "CANCELED")
    assert edge.interrupter.asked == []


async def test_cancel_of_a_running_job_interrupts_it_and_ends_it(http, edge):
    job_id = (await submitted(http))["id"]
    claimed = claim(edge.store)
    edge.runs.begin(job_id, {}, 5.0, 1)
    job = await (await http.post(f"/expeditor/jobs/{job_id}/cancel")).json()
    assert (job["status"], edge.interrupter.asked) == ("canceling", [job_id])
    done(edge.store.finish(job_id, claimed.attempt, ending()))
    assert (await got(http, f"/expeditor/jobs/{job_id}"))["status"] == "canceled"


async def test_a_cancel_between_claim_and_start_is_not_lost(http, edge):
    job_id = (await submitted(http))["id"]
    claim(edge.store)
    assert (await (await http.post(f"/expeditor/jobs/{job_id}/cancel")).json())["status"] == "canceling"
    edge.runs.begin(job_id, {}, 5.0, 1)
    edge.runs.signal("execution_start", {"prompt_id": job_id})
    assert edge.interrupter.asked == [job_id]


@pytest.mark.parametrize(
    "sent",
    [{"json": {"priority": 10}}, {"json": {"front": True}}, {"data": {"priority": "10"}}, {"data": {"front": "true"}}],
)
async def test_a_waiting_job_gets_another_place(http, edge, sent):
    first, last = [(await submitted(http))["id"] for _ in range(2)]
    response = await http.post(f"/expeditor/jobs/{last}/priority", **sent)
    job = await response.json()
    assert (response.status, job["position"], edge.door.woken) == (200, 1, 1)
    assert claim(edge.store).job.id == last != first


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["/priority"]),
        ({"priority": 5, "front": True}, ["/priority"]),
        ({"priority": 11}, ["/priority"]),
        ({"priority": "5"}, ["/priority"]),
        ({"_priority": 0}, ["/_priority"]),
        ({"front": False}, ["/front"]),
        ({"front": "yes"}, ["/front"]),
        ({"urgent": True}, ["/urgent"]),
    ],
)
async def test_a_wrong_place_is_refused(http, body, pointers):
    job_id = (await submitted(http))["id"]
    response = await http.post(f"/expeditor/jobs/{job_id}/priority", json=body)
    assert await refusal(response) == (422, "INPUT_INVALID", pointers)


async def test_a_running_job_keeps_its_place(http, edge):
    job_id = (await submitted(http))["id"]
    claim(edge.store)
    response = await http.post(f"/expeditor/jobs/{job_id}/priority", json={"priority": 9})
    assert (await response.json())["error"]["details"]["status"] == "running"
    assert response.status == 409


async def test_a_file_named_by_text_that_no_utf8_holds_leaves_the_lists_readable(http, edge):
    enqueue(edge.store, "a")
    odd = replace(IMAGE, name="\ud800.png", subfolder="\udcff")
    done(edge.store.finish("a", claim(edge.store).attempt, replace(ending(), outputs=(odd,))))
    (output,) = (await got(http, "/expeditor/jobs/a"))["outputs"]
    assert (output["name"], "%ED%A0%80.png" in output["view_url"]) == ("\ud800.png", True)
    assert [job["id"] for job in (await got(http, "/expeditor/jobs"))["jobs"]] == ["a"]
