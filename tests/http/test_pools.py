"""The pool of a job over HTTP, by every door of ours."""

from __future__ import annotations

import pytest

from tests.http.edge import PROMPT


@pytest.mark.parametrize(
    ("fields", "pool"),
    [({}, "default"), ({"pool": "gpu-24g"}, "gpu-24g"), ({"extra_data": {"_pool": "gpu-24g"}}, "gpu-24g")],
)
async def test_a_job_shows_its_pool(http, fields, pool):
    response = await http.post("/expeditor/submit", json={"prompt": PROMPT, **fields})
    body = await response.json()
    assert (response.status, body["pool"], body["origin"], body["instance"]) == (201, pool, None, None)


async def test_a_pool_that_nobody_serves_is_refused_and_nothing_enters(http, edge):
    for path in ("/expeditor/submit", "/expeditor/validate"):
        response = await http.post(path, json={"prompt": PROMPT, "pool": "gpu-80g"})
        error = (await response.json())["error"]
        assert (response.status, error["code"]) == (422, "INPUT_INVALID")
        assert error["errors"][0]["pointer"] == "/pool"
        assert error["details"] == {"pool": "gpu-80g", "pools": ["default", "gpu-24g"]}
    assert edge.door.entries == []


async def test_a_job_of_a_batch_may_ask_for_another_pool_than_the_rest(http, edge):
    jobs = [{"prompt": PROMPT}, {"prompt": PROMPT, "pool": "default"}]
    response = await http.post("/expeditor/batches", json={"jobs": jobs, "pool": "gpu-24g"})
    assert response.status == 201
    assert [entry.pool for entry in edge.door.entries] == ["gpu-24g", "default"]


async def test_a_job_of_a_batch_with_a_pool_of_nobody_is_named(http, edge):
    response = await http.post(
        "/expeditor/batches", json={"jobs": [{"prompt": PROMPT}, {"prompt": PROMPT, "pool": "x"}]}
    )
    error = (await response.json())["error"]
    assert (response.status, error["errors"][0]["pointer"]) == (422, "/jobs/1/pool")
    assert edge.door.entries == []


async def test_the_contract_has_the_pool_as_a_label(v2, v2_edge):
    response = await v2.post("/api/v2/jobs", json={"workflow": PROMPT, "metadata": {"expeditor.pool": "gpu-24g"}})
    assert response.status == 201
    assert [entry.pool for entry in v2_edge.door.entries] == ["gpu-24g"]


@pytest.mark.parametrize("pool", ["gpu-80g", "no pool"])
async def test_the_contract_refuses_a_pool_in_its_own_words(v2, v2_edge, pool):
    response = await v2.post("/api/v2/jobs", json={"workflow": PROMPT, "metadata": {"expeditor.pool": pool}})
    error = (await response.json())["error"]
    assert (response.status // 100, error["code"]) == (4, "metadata_invalid")
    assert v2_edge.door.entries == []
