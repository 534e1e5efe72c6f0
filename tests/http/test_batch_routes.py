"""`POST /expeditor/batches` over real HTTP, with the real validation on hand-made classes: lists, sweeps, faults, repeats, limits."""

from __future__ import annotations

import asyncio
import json

import pytest

from expeditor.jobs.errors import StoreUnavailable
from expeditor.jobs.model import BatchSlot, Source
from tests.conformance.harness import done
from tests.http.batch_edge import BATCHES, SEEDS, UUID, BatchApp, got, jobs_of, nothing_is_left, posted, prompts
from tests.http.edge import MAX_BATCH_JOBS, MAX_WAITING, refusal
from tests.support.depth import fill
from tests.support.waiting import wait_until_async
from tests.unit.intake.fake_definitions import graph


@pytest.fixture
def edge():
    made = BatchApp()
    yield made
    made.storage.stop()


# -- lists of prompts ----------------------------------------------------------------------------------------------------


async def test_a_list_of_prompts_is_one_batch(http, edge):
    jobs = [{"prompt": prompt} for prompt in prompts(1, 2, 3)]
    jobs[1] |= {"priority": 9, "metadata": {"shot": "2", "of": "me"}, "max_attempts": 1}
    body = {"jobs": jobs, "client_id": "ada", "priority": 4, "metadata": {"of": "all"}, "extra_data": {"x": [1]}}
    response = await http.post(BATCHES, json=body)
    batch = await response.json()
    assert (response.status, response.headers["Location"]) == (201, f"{BATCHES}/{batch['id']}")
    assert (batch["status"], batch["count"], batch["ended"], batch["principal"]) == ("queued", 3, 0, "ada")
    assert (batch["progress"]["queued"], batch["eta_s"], batch["refused"]) == (3, 15.0, [])
    stored = jobs_of(edge, batch["id"])
    assert batch["job_ids"] == [job.id for job in stored]
    assert [(job.slot, job.priority, job.max_attempts) for job in stored] == [
        (BatchSlot(batch["id"], 0), 4, None),
        (BatchSlot(batch["id"], 1), 9, 1),
        (BatchSlot(batch["id"], 2), 4, None),
    ]
    assert [job.metadata for job in stored] == [{"of": "all"}, {"shot": "2", "of": "me"}, {"of": "all"}]
    assert {(job.source, job.client_id) for job in stored} == {(Source.BATCH, "ada")}
    assert [entry.prompt["1"]["inputs"]["color"] for entry in edge.door.entries] == [1, 2, 3]
    extras = [entry.extra_data for entry in edge.door.entries]
    assert extras == [{"x": [1], "client_id": "ada"}] * 3
    assert extras[0]["x"] is not extras[1]["x"], "a node that writes into it must not write into another job's"
    assert edge.clients == ["ada"]


async def test_a_prompt_names_its_own_priority(http, edge):
    jobs = [{"prompt": prompt} for prompt in prompts(1, 2)]
    jobs[0]["prompt"]["_priority"] = 8
    batch = await posted(http, {"jobs": jobs, "priority": 2})
    assert [job.priority for job in jobs_of(edge, batch["id"])] == [8, 2]


async def test_every_fault_of_every_job_is_told_and_none_is_in(http, edge):
    jobs = [{"prompt": prompt} for prompt in prompts(1, -2, 3, "x")]
    jobs[2]["prompt"]["2"]["class_type"] = "ImageScal"
    jobs += [{"prompt": prompts(1)[0], "priority": 11}, "no job", {"prompt": prompts(1)[0], "metadatum": {}}, {}]
    response = await http.post(BATCHES, json={"jobs": jobs})
    body = await response.json()
    assert await refusal(response) == (
        422,
        "INPUT_INVALID",
        [
            "/jobs/1/prompt/1/inputs/color",
            "/jobs/2/prompt/2/class_type",
            "/jobs/3/prompt/1/inputs/color",
            "/jobs/4/priority",
            "/jobs/5",
            "/jobs/6/metadatum",
            "/jobs/7/prompt",
        ],
    )
    assert body["error"]["message"].startswith("Job 1: ")
    assert body["error"]["details"] == {"jobs": 8, "faulty": 7}
    assert {each["message"].split(":")[0] for each in body["error"]["errors"]} == {f"Job {n}" for n in range(1, 8)}
    nothing_is_left(edge)


async def test_partial_takes_the_good_ones_and_says_which_it_did_not(http, edge):
    jobs = [{"prompt": prompt} for prompt in prompts(-1, 2, -3, 4)]
    batch = await posted(http, {"jobs": jobs, "partial": True})
    assert (batch["count"], [job.slot.index for job in jobs_of(edge, batch["id"])]) == (2, [1, 3])
    assert [(each["index"], each["code"], each["pointer"]) for each in batch["refused"]] == [
        (0, "INPUT_INVALID", "/jobs/0/prompt/1/inputs/color"),
        (2, "INPUT_INVALID", "/jobs/2/prompt/1/inputs/color"),
    ]
    again = await got(http, f"{BATCHES}/{batch['id']}")
    assert again["refused"] == batch["refused"]
    results = await got(http, f"{BATCHES}/{batch['id']}/results")
    assert ([row["index"] for row in results["items"]], results["refused"]) == ([1, 3], batch["refused"])


async def test_partial_without_a_good_one_is_refused(http, edge):
    response = await http.post(BATCHES, json={"jobs": [{"prompt": prompts(-1)[0]}], "partial": True})
    assert (await refusal(response))[:2] == (422, "INPUT_INVALID")
    nothing_is_left(edge)


# -- sweeps --------------------------------------------------------------------------------------------------------------


async def test_a_sweep_makes_a_job_of_each_combination(http, edge):
    batch = await posted(http, {"prompt": graph(), "sweep": SEEDS})
    assert (batch["count"], batch["inputs"]) == (6, ["1.color", "3.filename_prefix"])
    ran = [
        (each.prompt["1"]["inputs"]["color"], each.prompt["3"]["inputs"]["filename_prefix"])
        for each in edge.door.entries
    ]
    assert ran == [(1, "a"), (1, "b"), (1, "c"), (2, "a"), (2, "b"), (2, "c")]
    results = await got(http, f"{BATCHES}/{batch['id']}/results")
    assert [row["values"] for row in results["items"]] == [{"1.color": c, "3.filename_prefix": p} for c, p in ran]
    assert len({id(each.prompt["2"]) for each in edge.door.entries}) == 6, "each job has a prompt of its own"


async def test_core_is_asked_once_for_values_that_are_what_they_should_be(http, edge):
    sweep = {"product": {"1.color": list(range(50)), "3.filename_prefix": ["a", "b"]}}
    await posted(http, {"prompt": graph(), "sweep": sweep})
    assert len(edge.core.targets) == 1
    asked = edge.definitions.asked
    assert asked.count("ImageScale") < 5, "a node that no value changes is judged once"
    assert asked.count("EmptyImage") < 60, "each value is judged once"


async def test_a_bad_value_is_told_where_it_stands_in_the_sweep(http, edge):
    sweep = {"zip": {"1.color": [1, -5, 3], "3.filename_prefix": ["a", "b", "c"]}}
    response = await http.post(BATCHES, json={"prompt": graph(), "sweep": sweep})
    assert await refusal(response) == (422, "INPUT_INVALID", ["/sweep/zip/1.color/1"])
    nothing_is_left(edge)


@pytest.mark.parametrize("partial", [True, False])
async def test_a_fault_beside_the_swept_values_is_told_once(http, edge, partial):
    prompt = graph()
    prompt["2"]["inputs"]["crop"] = "middle"
    body = {"prompt": prompt, "sweep": {"product": {"1.color": [1, 2, -3]}}, "partial": partial}
    assert await refusal(await http.post(BATCHES, json=body)) == (422, "INPUT_INVALID", ["/prompt/2/inputs/crop"])
    del prompt["3"]
    assert await refusal(await http.post(BATCHES, json=body)) == (422, "NO_OUTPUT", ["/prompt"])
    nothing_is_left(edge)


async def test_a_webhook_is_each_job_s_and_is_judged_once(http, edge):
    body = {"prompt": graph(), "sweep": {"product": {"1.color": [1, 2]}}, "webhook": "https://shop.example.com/a"}
    await posted(http, body)
    assert [entry.webhook.url for entry in edge.door.entries] == ["https://shop.example.com/a"] * 2
    response = await http.post(BATCHES, json={**body, "webhook": "https://elsewhere.org"})
    assert await refusal(response) == (422, "INPUT_INVALID", ["/webhook"])
    jobs = [{"prompt": graph()}, {"prompt": graph(), "webhook": "ftp://shop.example.com"}]
    assert (await refusal(await http.post(BATCHES, json={"jobs": jobs})))[2] == ["/jobs/1/webhook"]


async def test_a_form_is_as_good_as_json(http, edge):
    form = {"prompt": json.dumps(graph()), "sweep": json.dumps({"product": {"1.color": [1, 2]}}), "partial": "true"}
    response = await http.post(BATCHES, data=form)
    assert (response.status, (await response.json())["count"]) == (201, 2)


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["/jobs"]),
        ({"jobs": []}, ["/jobs"]),
        ({"jobs": {}}, ["/jobs"]),
        ({"jobs": [{}], "sweep": {}}, ["/sweep"]),
        ({"jobs": [{}], "prompt": {}}, ["/prompt"]),
        ({"sweep": {"product": {"1.a": [1]}}}, ["/prompt"]),
        ({"jobs": [{}], "prompt_id": UUID, "front": True, "number": 1}, ["/prompt_id", "/front", "/number"]),
        ({"jobs": [{}], "priorities": 1}, ["/priorities"]),
        ({"jobs": [{}], "partial": 1, "preview": "x"}, ["/preview", "/partial"]),
        ({"jobs": [{}], "priority": 0}, ["/priority"]),
        ({"jobs": [{}], "metadata": {"a": 1}}, ["/metadata/a"]),
        ({"prompt": {"1": {}}, "sweep": {"product": {"1.a": [1]}}}, ["/prompt/1", "/prompt/1"]),
        ({"prompt": [], "sweep": {"product": {"1.a": [1]}}}, ["/prompt"]),
        ({"prompt": graph(), "sweep": {"product": {"9.color": [1]}}}, ["/sweep/product/9.color"]),
        ({"prompt": graph(), "sweep": {"zip": {"1.color": [1], "1.width": [1, 2]}}}, ["/sweep/zip/1.width"]),
    ],
)
async def test_a_body_that_is_no_batch_is_refused_where_it_stands(http, edge, body, pointers):
    response = await http.post(BATCHES, json=body)
    status, _, found = await refusal(response)
    assert (status in (400, 422), found) == (True, pointers)
    nothing_is_left(edge)


@pytest.mark.parametrize("body", ["[]", "{", "nothing", '{"jobs": NaN}'])
async def test_a_body_that_is_no_json_object_is_refused(http, body):
    response = await http.post(BATCHES, data=body, headers={"Content-Type": "application/json"})
    assert (await refusal(response))[:2] == (400, "INVALID_JSON")


# -- limits --------------------------------------------------------------------------------------------------------------


async def test_a_batch_has_its_most_jobs(http, edge):
    sweep = {"product": {"1.color": list(range(MAX_BATCH_JOBS // 2 + 1)), "1.width": [1, 2]}}
    response = await http.post(BATCHES, json={"prompt": graph(), "sweep": sweep})
    assert await refusal(response) == (422, "LIMIT_EXCEEDED", ["/sweep"])
    response = await http.post(BATCHES, json={"jobs": [{}] * (MAX_BATCH_JOBS + 1)})
    assert await refusal(response) == (422, "LIMIT_EXCEEDED", ["/jobs"])
    nothing_is_left(edge)


async def test_a_batch_has_its_most_bytes(http, edge):
    body = {"prompt": graph(), "sweep": {"product": {"1.color": list(range(90))}}, "extra_data": {"x": "y" * 5_000}}
    response = await http.post(BATCHES, json=body)
    assert (await refusal(response))[:2] == (413, "LIMIT_EXCEEDED")
    nothing_is_left(edge)


async def test_there_is_room_for_all_or_for_none(http, edge):
    fill(edge.depth, MAX_WAITING - 20)
    sweep = {"product": {"1.color": list(range(21))}}
    for body in ({"prompt": graph(), "sweep": sweep}, {"prompt": graph(), "sweep": sweep, "partial": True}):
        response = await http.post(BATCHES, json=body)
        assert (await refusal(response))[:2] == (429, "QUEUE_FULL")
        assert int(response.headers["Retry-After"]) >= 1
        nothing_is_left(edge)
    await posted(http, {"prompt": graph(), "sweep": {"product": {"1.color": list(range(20))}}})


async def test_a_store_that_is_away_leaves_none(http, edge):
    edge.door.failure = StoreUnavailable("away")
    response = await http.post(BATCHES, json={"prompt": graph(), "sweep": SEEDS}, headers={"Idempotency-Key": "k"})
    assert (await refusal(response))[:2] == (503, "STORE_UNAVAILABLE")
    nothing_is_left(edge)
    edge.door.failure = None
    await posted(http, {"prompt": graph(), "sweep": SEEDS}, **{"Idempotency-Key": "k"})


async def test_a_priority_above_the_ceiling_is_refused_for_all(http, edge):
    headers = {"X-User": "junior"}
    response = await http.post(BATCHES, json={"prompt": graph(), "sweep": SEEDS, "priority": 9}, headers=headers)
    assert await refusal(response) == (403, "PRIORITY_NOT_ALLOWED", ["/priority"])
    jobs = [{"prompt": graph()}, {"prompt": graph(), "priority": 9}]
    response = await http.post(BATCHES, json={"jobs": jobs}, headers=headers)
    assert await refusal(response) == (403, "PRIORITY_NOT_ALLOWED", ["/jobs/1/priority"])


# -- preview -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("query", "more"), [("?dry_run=true", {}), ("", {"preview": True})])
async def test_a_preview_tells_count_and_times_and_changes_nothing(http, edge, query, more):
    await posted(http, {"jobs": [{"prompt": graph(), "priority": 9}, {"prompt": graph(), "priority": 1}]})
    before = len(edge.door.entries)
    told = await posted(http, {"prompt": graph(), "sweep": SEEDS, **more}, query, status=200)
    assert told == {
        "valid": True,
        "count": 6,
        "faulty": 0,
        "inputs": ["1.color", "3.filename_prefix"],
        "estimated_s": 30.0,
        "starts_in_s": 5.0,
        "eta_s": 35.0,
        "room": True,
        "no_room": None,
        "errors": [],
    }
    assert len(edge.door.entries) == before
    edge.roster.count = 2
    told = await posted(http, {"prompt": graph(), "sweep": SEEDS, **more}, query, status=200)
    assert (told["estimated_s"], told["starts_in_s"], told["eta_s"]) == (30.0, 2.5, 17.5), "two machines share it"


async def test_a_preview_tells_faults_and_that_there_is_no_room(http, edge):
    fill(edge.depth, MAX_WAITING)
    edge.flow.drain()
    body = {"prompt": graph(), "sweep": {"product": {"1.color": [1, -1]}}}
    told = await posted(http, body, "?dry_run=true", status=200)
    assert (told["valid"], told["count"], told["faulty"], told["eta_s"]) == (False, 2, 1, None)
    assert [each["pointer"] for each in told["errors"]] == ["/sweep/product/1.color/1"]
    assert told["room"] is False
    assert "draining" in told["no_room"] or "full" in told["no_room"]


@pytest.mark.parametrize("query", ["?dry_run=1", "?dry_run=true&dry_run=true", "?dryrun=true"])
async def test_a_wrong_query_is_refused(http, query):
    response = await http.post(BATCHES + query, json={"prompt": graph(), "sweep": SEEDS})
    assert (await refusal(response))[:2] == (422, "INPUT_INVALID")


# -- repeats -------------------------------------------------------------------------------------------------------------


async def test_a_repeated_batch_is_the_first_one(http, edge):
    body = {"prompt": graph(), "sweep": SEEDS}
    first = await posted(http, body, **{"Idempotency-Key": "k"})
    done(edge.store.cancel(first["job_ids"][0]))
    response = await http.post(BATCHES, json=body, headers={"Idempotency-Key": "k"})
    again = await response.json()
    assert (response.status, response.headers["Idempotent-Replayed"]) == (200, "true")
    assert (again["id"], again["job_ids"], again["ended"]) == (first["id"], first["job_ids"], 1)
    other = await http.post(BATCHES, json={**body, "priority": 4}, headers={"Idempotency-Key": "k"})
    assert (await refusal(other))[:2] == (409, "CONFLICT")
    single = await http.post("/expeditor/submit", json={"prompt": graph()}, headers={"Idempotency-Key": "k"})
    assert (await refusal(single))[:2] == (409, "CONFLICT")
    assert len(edge.door.entries) == 6


async def test_the_same_batch_at_once_is_one(http, edge):
    edge.door.before = asyncio.Event()
    body, headers = {"prompt": graph(), "sweep": SEEDS}, {"Idempotency-Key": "k"}
    sent = [asyncio.ensure_future(http.post(BATCHES, json=body, headers=headers)) for _ in range(3)]
    await wait_until_async(lambda: bool(edge.door.entries))
    edge.door.before.set()
    answers = [await response.json() for response in await asyncio.gather(*sent)]
    assert len({answer["id"] for answer in answers}) == 1
    assert len(edge.door.entries) == 6
