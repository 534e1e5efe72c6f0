"""Queue, health, readiness and the scrape over real HTTP."""

from __future__ import annotations

from tests.conformance.harness import claim, enqueue


async def got(http, path):
    response = await http.get(path)
    assert response.status == 200
    return await response.json()


async def test_an_empty_queue(http):
    assert await got(http, "/expeditor/queue") == {
        "waiting": 0,
        "running": 0,
        "eta_s": 0.0,
        "by_priority": {},
        "by_principal": {},
        "oldest_wait_s": None,
        "drain_rate_jobs_per_second": 0.5,
        "paused": False,
        "draining": False,
        "held": 0,
        "delayed": 0,
        "parked": 0,
    }


async def test_depth_by_priority_and_principal_and_the_work_that_is_left(http, edge):
    for job_id, priority, principal in (("a", 9, "ada"), ("b", 3, "ada"), ("c", 3, "grace"), ("d", 3, "ada")):
        enqueue(edge.store, job_id, priority, principal)
    assert claim(edge.store).job.id == "a"
    edge.runs.begin("a", {}, 5.0, 1)
    edge.monotonic.now_s = 2.0
    edge.clock.now_s += 30.0
    queue = await got(http, "/expeditor/queue")
    assert (queue["waiting"], queue["running"], queue["eta_s"]) == (3, 1, 4 * 5.0 - 2.0)
    assert queue["by_priority"] == {"3": {"jobs": 3, "work_s": 15.0}}
    assert queue["by_principal"] == {"ada": {"jobs": 2, "work_s": 10.0}, "grace": {"jobs": 1, "work_s": 5.0}}
    assert queue["oldest_wait_s"] == 30.0


async def test_health_is_200_whatever_it_says(http, edge):
    edge.health = {"status": "degraded", "store": {"error": "disk full"}}
    edge.storage.stop()
    assert await got(http, "/expeditor/health") == edge.health


async def test_readiness(http, edge):
    assert await got(http, "/expeditor/ready") == {"ready": True, "reason": None}
    edge.not_ready = "queue: another pack owns it"
    response = await http.get("/expeditor/ready")
    assert response.status == 503
    assert await response.json() == {"ready": False, "reason": "queue: another pack owns it"}


async def test_the_scrape_knows_the_depth(http, edge):
    enqueue(edge.store, "a", 9)
    text = await (await http.get("/expeditor/metrics")).text()
    assert 'expeditor_queue_depth{priority="9",status="queued"} 1.0' in text


async def test_wrong_methods_and_paths_are_aiohttps_own(http):
    assert (await http.get("/expeditor/submit")).status == 405
    assert (await http.post("/expeditor/queue")).status == 405
    assert (await http.get("/expeditor/nowhere")).status == 404
