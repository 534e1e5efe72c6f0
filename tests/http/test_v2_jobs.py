"""The contract's jobs over real HTTP: submit, get, list, workflow, cancel, held polls, keys."""

from __future__ import annotations

import asyncio
import hashlib
import json

import pytest

from expeditor.intake.tokens import Token, Tokens
from expeditor.jobs.asset_ids import output_asset_id
from expeditor.jobs.errors import StoreUnavailable
from expeditor.jobs.model import Cause, JobError, JobStatus, Payload, Source
from tests.conformance.harness import IMAGE, claim, done, ending, enqueue
from tests.http.edge import MAX_WAITING, PROMPT
from tests.http.v2_edge import KEPT_S, V2App, told
from tests.support.waiting import wait_until_async

JOBS = "/api/v2/jobs"
JOB_FIELDS = (
    "id status created_at started_at completed_at expires_at queue_position progress outputs error metrics metadata urls"
).split()
NOW = "2023-11-14T22:13:20.000Z"


async def submitted(http, prefix="/api/v2", **fields):
    response = await http.post(f"{prefix}/jobs", json={"workflow": PROMPT, **fields})
    assert response.status == 201, await response.text()
    return await response.json()


async def got(http, path):
    response = await http.get(path)
    assert response.status == 200, await response.text()
    return await response.json()


async def test_a_submitted_job_is_told_whole_and_is_committed(v2, v2_edge):
    job = await submitted(v2, metadata={"run": "7"})
    assert list(job) == JOB_FIELDS
    assert (job["status"], job["created_at"], job["started_at"]) == ("queued", NOW, None)
    assert (job["progress"], job["outputs"], job["error"]) == (None, [], None)
    assert (job["metadata"], job["metrics"]) == ({"run": "7"}, {"queue_ms": None, "execution_ms": None})
    stored = done(v2_edge.store.get(job["id"]))
    assert (stored.status, stored.source, stored.priority) == (JobStatus.QUEUED, Source.V2, 3)
    assert await got(v2, f"{JOBS}/{job['id']}") == {**job, "queue_position": 1}
    assert job["queue_position"] in (None, 1), "told if it is known at once"


@pytest.mark.parametrize("prefix", ["/api/v2", "/expeditor/api/v2"])
async def test_addresses_carry_the_mount_and_a_poll_may_be_held(v2, prefix):
    job = await submitted(v2, prefix)
    base = f"{prefix}/jobs/{job['id']}"
    assert job["urls"] == {"self": f"{base}?wait=1", "events": f"{base}/events", "cancel": f"{base}/cancel"}
    assert (await got(v2, f"{base}"))["urls"] == job["urls"]


async def test_a_job_that_succeeded(v2, v2_edge):
    job_id = (await submitted(v2))["id"]
    v2_edge.clock.now_s += 2.5
    attempt = claim(v2_edge.store).attempt
    running = await got(v2, f"{JOBS}/{job_id}")
    assert (running["status"], running["queue_position"], running["metrics"]["queue_ms"]) == ("running", None, 2500)
    v2_edge.clock.now_s += 4
    done(v2_edge.store.finish(job_id, attempt, ending(finished_at_s=v2_edge.clock.now_s, outputs=(IMAGE,))))
    v2_edge.clock.now_s += 100
    job = await got(v2, f"{JOBS}/{job_id}")
    assert (job["status"], job["completed_at"]) == ("succeeded", "2023-11-14T22:13:26.500Z")
    assert job["expires_at"] == "2023-11-14T22:30:06.500Z", f"{KEPT_S} s after its end"
    assert job["metrics"] == {"queue_ms": 2500, "execution_ms": 4000}
    asset_id = output_asset_id(job_id, IMAGE)
    host = f"http://{v2.host}:{v2.port}"
    assert job["outputs"] == [
        {
            "node_id": "9",
            "name": "a_00001_.png",
            "type": "image",
            "content_type": "image/png",
            "size_bytes": 123,
            "id": asset_id,
            "hash": None,
            "url": f"{host}/api/v2/assets/{asset_id}/content",
            "url_expires_at": job["expires_at"],
            "job_id": job_id,
        }
    ]


async def test_a_job_that_failed_says_where_and_how(v2, v2_edge):
    job_id = (await submitted(v2))["id"]
    attempt = claim(v2_edge.store).attempt
    error = JobError("NODE_ERROR", "boom", "2", "B", "builtins.ValueError", "Traceback\n" + "x" * 9000)
    failed = ending(JobStatus.FAILED, finished_at_s=v2_edge.clock.now_s, cause=Cause.NODE_ERROR, error=error)
    done(v2_edge.store.finish(job_id, attempt, failed))
    job = await got(v2, f"{JOBS}/{job_id}")
    told_error = job["error"]
    assert (job["status"], told_error["code"], told_error["message"]) == ("failed", "node_execution_error", "boom")
    assert (told_error["node_id"], told_error["class_type"], len(told_error["traceback"])) == ("2", "B", 8000)
    assert job["expires_at"].startswith("2123-"), "kept for ever"


async def test_waiting_and_held_jobs_read_as_the_contract_has_it(v2, v2_edge):
    job_id = (await submitted(v2))["id"]
    done(v2_edge.store.hold(job_id, True))
    job = await got(v2, f"{JOBS}/{job_id}")
    assert (job["status"], job["queue_position"]) == ("queued", None)


@pytest.mark.parametrize("path", ["", "/workflow"])
@pytest.mark.parametrize("job_id", ["nothing", "0b8f9c1e-0000-4000-8000-00000000abcd", "%ff", "%ED%A0%80", "x" * 5000])
async def test_a_job_that_is_not_there_is_404(v2, path, job_id):
    assert await told(await v2.get(f"{JOBS}/{job_id}{path}")) == (404, "not_found")
    assert await told(await v2.post(f"{JOBS}/{job_id}/cancel")) == (404, "not_found")


async def test_a_pruned_job_is_404(v2, v2_edge):
    job_id = (await submitted(v2))["id"]
    await v2.post(f"{JOBS}/{job_id}/cancel")
    assert done(v2_edge.store.prune([job_id])) == 1
    for path in ("", "?wait=1", "/workflow"):
        assert await told(await v2.get(f"{JOBS}/{job_id}{path}")) == (404, "not_found")
    assert await told(await v2.post(f"{JOBS}/{job_id}/cancel")) == (404, "not_found")


async def test_a_workflow_with_numbers_that_json_has_not_is_json_all_the_same(v2, v2_edge):
    graph = '{"1": {"class_type": "A", "inputs": {"x": NaN, "y": [-Infinity, Infinity], "z": "NaN"}}}'
    enqueue(v2_edge.store, "by-prompt", payload=Payload(graph, "{}", "[]"))
    text = await (await v2.get(f"{JOBS}/by-prompt/workflow")).text()
    told = json.loads(text, parse_constant=pytest.fail)
    assert told["workflow"]["1"]["inputs"] == {"x": None, "y": [None, None], "z": "NaN"}


async def test_the_workflow_is_the_graph_without_extra_data(v2):
    workflow = {**PROMPT, "_priority": 9}
    job = await submitted(v2, workflow=workflow, extra_data={"api_key_comfy_org": "s3cret"})
    assert await got(v2, f"{JOBS}/{job['id']}/workflow") == {"workflow": PROMPT, "format": "api"}


async def test_the_partners_key_goes_to_the_door_and_nowhere_else(v2, v2_edge):
    job = await submitted(v2, extra_data={"api_key_comfy_org": "s3cret"})
    assert v2_edge.door.entries[0].extra_data == {"api_key_comfy_org": "s3cret"}
    for path in ("", "/workflow"):
        assert "s3cret" not in json.dumps(await got(v2, f"{JOBS}/{job['id']}{path}"))


async def test_cancel_is_idempotent_in_every_state(v2, v2_edge):
    queued = (await submitted(v2))["id"]
    for _ in range(2):
        response = await v2.post(f"{JOBS}/{queued}/cancel")
        assert (response.status, (await response.json())["status"]) == (200, "canceled")
    running = (await submitted(v2))["id"]
    attempt = claim(v2_edge.store).attempt
    for _ in range(2):
        assert (await (await v2.post(f"{JOBS}/{running}/cancel")).json())["status"] == "canceling"
    done(v2_edge.store.finish(running, attempt, ending(JobStatus.CANCELED, finished_at_s=v2_edge.clock.now_s)))
    assert (await (await v2.post(f"{JOBS}/{running}/cancel")).json())["status"] == "canceled"


class TestPriority:
    async def test_workflow_before_label_before_default(self, v2, v2_edge):
        label = {"expeditor.priority": "8"}
        first = await submitted(v2, workflow={**PROMPT, "_priority": 9}, metadata=label)
        second = await submitted(v2, metadata=label)
        third = await submitted(v2)
        assert [entry.priority for entry in v2_edge.door.entries] == [9, 8, 3]
        assert (first["metadata"], second["metadata"], third["metadata"]) == (label, label, {}), "echoed as sent"

    async def test_a_principals_default_and_ceiling(self, aiohttp_client, tmp_path):
        secret = "a-long-enough-secret"

        edge = V2App(tmp_path, Tokens([Token("shop", hashlib.sha256(secret.encode()).hexdigest())], required=True))
        http = await aiohttp_client(edge.web)
        header = {"Authorization": f"Bearer {secret}"}
        assert (await http.post(JOBS, json={"workflow": PROMPT}, headers=header)).status == 201
        (entry,) = edge.door.entries
        assert (entry.priority, entry.principal.name, entry.principal.trusted) == (6, "shop", True)
        over = {"workflow": PROMPT, "metadata": {"expeditor.priority": "8"}}
        assert await told(await http.post(JOBS, json=over, headers=header)) == (403, "forbidden")
        assert await told(await http.post(JOBS, json=over)) == (401, "unauthorized")
        assert await told(await http.get(f"{JOBS}/any")) == (401, "unauthorized")
        assert (await http.get("/api/v2/health")).status == 200
        edge.shelf.store.close()
        edge.storage.stop()

    async def test_a_trusted_proxys_user_else_anonymous(self, v2, v2_edge):
        await v2.post(JOBS, json={"workflow": PROMPT}, headers={"X-User": "ada"})
        await submitted(v2)
        assert [(e.principal.name, e.principal.trusted) for e in v2_edge.door.entries] == [
            ("ada", True),
            ("anonymous", False),
        ]


class TestKeys:
    async def post(self, http, key="k 1", **fields):
        return await http.post(JOBS, json={"workflow": PROMPT, **fields}, headers={"Idempotency-Key": key})

    async def test_a_key_counts_once_whatever_the_body(self, v2):
        first = await (await self.post(v2)).json()
        for fields in ({}, {"metadata": {"other": "body"}}):
            again = await self.post(v2, **fields)
            assert await told(again) == (422, "idempotency_key_reuse")
            assert (await again.json())["error"]["details"]["job_id"] == first["id"]
        assert (await self.post(v2, key="k 2")).status == 201
        assert len((await got(v2, JOBS))["jobs"]) == 2

    async def test_of_many_at_once_one_gets_in(self, v2):
        answers = await asyncio.gather(*(self.post(v2) for _ in range(8)))
        assert sorted(answer.status for answer in answers) == [201] + [422] * 7
        assert len((await got(v2, JOBS))["jobs"]) == 1

    async def test_a_refusal_gives_the_key_back(self, v2, v2_edge):
        assert await told(await self.post(v2, workflow=7)) == (422, "invalid_workflow")
        v2_edge.door.failure = StoreUnavailable()
        assert await told(await self.post(v2)) == (429, "deployment_not_ready")
        v2_edge.door.failure = None
        v2_edge.flow.drain()
        assert await told(await self.post(v2)) == (429, "deployment_not_ready")
        v2_edge.flow.resume()
        assert (await self.post(v2)).status == 201

    async def test_a_key_outlives_its_job(self, v2, v2_edge):
        job_id = (await (await self.post(v2)).json())["id"]
        await v2.post(f"{JOBS}/{job_id}/cancel")
        done(v2_edge.store.prune([job_id]))
        again = await self.post(v2)
        assert await told(again) == (422, "idempotency_key_reuse")
        assert (await again.json())["error"]["details"]["job_id"] == job_id

    async def test_it_lives_a_day(self, v2, v2_edge):
        assert (await self.post(v2)).status == 201
        v2_edge.clock.now_s += 86_399
        assert (await self.post(v2)).status == 422
        v2_edge.clock.now_s += 2
        assert (await self.post(v2)).status == 201

    async def test_own_routes_keys_are_others(self, v2):
        assert (await self.post(v2, key="k")).status == 201
        own = await v2.post("/expeditor/submit", json={"prompt": PROMPT}, headers={"Idempotency-Key": "k"})
        assert own.status == 201

    @pytest.mark.parametrize("key", ["", "x" * 256, "\u00fc", "a\tb"])
    async def test_a_key_that_is_none(self, v2, key):
        assert await told(await self.post(v2, key=key)) == (400, "invalid_request")


class TestFull:
    async def test_a_full_queue_says_when_to_come_back(self, v2, v2_edge):
        for _ in range(MAX_WAITING):
            await submitted(v2)
        full = await v2.post(JOBS, json={"workflow": PROMPT}, headers={"Idempotency-Key": "k"})
        assert await told(full) == (429, "queue_full")
        assert int(full.headers["Retry-After"]) >= 1
        for _ in range(11):  # room is made in steps
            claim(v2_edge.store)
        assert (await v2.post(JOBS, json={"workflow": PROMPT}, headers={"Idempotency-Key": "k"})).status == 201


class TestHeld:
    async def poll(self, http, job_id):
        return asyncio.ensure_future(got(http, f"{JOBS}/{job_id}?wait=1"))

    async def held(self, edge, job_id):
        """Once the poll waits."""
        await wait_until_async(lambda: job_id in edge.watched)

    async def test_it_is_answered_by_the_end(self, v2, v2_edge):
        job_id = (await submitted(v2))["id"]
        attempt = claim(v2_edge.store).attempt
        poll = await self.poll(v2, job_id)
        await self.held(v2_edge, job_id)
        assert not poll.done()
        done(v2_edge.store.finish(job_id, attempt, ending(finished_at_s=v2_edge.clock.now_s)))
        assert (await asyncio.wait_for(poll, 10))["status"] == "succeeded"

    async def test_a_start_is_told_too(self, v2, v2_edge):
        job_id = (await submitted(v2))["id"]
        poll = await self.poll(v2, job_id)
        await self.held(v2_edge, job_id)
        claim(v2_edge.store)
        assert (await asyncio.wait_for(poll, 10))["status"] == "running"

    async def test_an_ended_job_and_a_plain_poll_are_answered_at_once(self, v2):
        job_id = (await submitted(v2))["id"]
        assert (await asyncio.wait_for(got(v2, f"{JOBS}/{job_id}"), 10))["status"] == "queued"
        await v2.post(f"{JOBS}/{job_id}/cancel")
        assert (await asyncio.wait_for(got(v2, f"{JOBS}/{job_id}?wait=1"), 10))["status"] == "canceled"

    async def test_an_unknown_job_is_not_waited_for(self, v2):
        assert await told(await asyncio.wait_for(v2.get(f"{JOBS}/none?wait=1"), 10)) == (404, "not_found")
