"""`GET /expeditor/jobs` over real HTTP: pages and filters."""

from __future__ import annotations

import pytest

from expeditor.jobs.model import BatchSlot
from expeditor.store.batches import NewBatch
from tests.conformance.harness import done, new_job
from tests.http.edge import refusal
from tests.http.test_job_routes import got, submitted


async def test_jobs_are_listed_newest_first_in_pages(http):
    ids = [(await submitted(http, client_id=name))["id"] for name in ("ada", "grace", "ada")]
    page = await got(http, "/expeditor/jobs?limit=2")
    assert [job["id"] for job in page["jobs"]] == [ids[2], ids[1]]
    rest = await got(http, f"/expeditor/jobs?limit=2&cursor={page['next_cursor']}")
    assert ([job["id"] for job in rest["jobs"]], rest["next_cursor"]) == ([ids[0]], None)
    mine = await got(http, "/expeditor/jobs?principal=ada&status=queued,running")
    assert [job["id"] for job in mine["jobs"]] == [ids[2], ids[0]]
    assert (await got(http, "/expeditor/jobs?status=failed"))["jobs"] == []


async def test_jobs_are_listed_by_batch_and_by_metadata(http, edge):
    both = {"set": "a b", "päivä": "1"}
    alone = (await submitted(http, metadata=both))["id"]
    await submitted(http, metadata={"set": "other", "päivä": "1"})
    slots = [new_job(f"s{n}", slot=BatchSlot("b", n), metadata={"set": "a b"}) for n in range(2)]
    done(edge.store.enqueue_all(NewBatch("b", "ada", 0.0, 2), slots))
    of_batch = (await got(http, "/expeditor/jobs?batch=b"))["jobs"]
    assert [(job["id"], job["batch"]) for job in of_batch] == [
        ("s1", {"id": "b", "index": 1}),
        ("s0", {"id": "b", "index": 0}),
    ]
    labelled = (await got(http, "/expeditor/jobs?metadata.set=a%20b"))["jobs"]
    assert [(job["id"], job["batch"] is None) for job in labelled] == [("s1", False), ("s0", False), (alone, True)]
    assert [
        job["id"] for job in (await got(http, "/expeditor/jobs?metadata.set=a%20b&metadata.p%C3%A4iv%C3%A4=1"))["jobs"]
    ] == [alone]
    assert (await got(http, "/expeditor/jobs?batch=nobody"))["jobs"] == []


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("metadata.a=1&metadata.a=2", ["/metadata.a"]),
        ("metadata=1", ["/metadata"]),
        ("&".join(f"metadata.k{n}=1" for n in range(17)), ["/metadata"]),
        ("batch=a&batch=b", ["/batch"]),
        ("limit=0", ["/limit"]),
        ("limit=1001", ["/limit"]),
        ("limit=x", ["/limit"]),
        ("limit=", ["/limit"]),
        ("limit=%D9%A3", ["/limit"]),
        ("limit=1&limit=2", ["/limit"]),
        ("status=done", ["/status"]),
        ("status=queued,done,gone", ["/status", "/status"]),
        ("state=queued&offset=5", ["/state", "/offset"]),
        ("cursor=nonsense", ["/cursor"]),
    ],
)
async def test_a_wrong_query_is_refused_where_it_stands(http, query, pointers):
    assert await refusal(await http.get(f"/expeditor/jobs?{query}")) == (422, "INPUT_INVALID", pointers)
