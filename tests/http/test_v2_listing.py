"""The contract's list of jobs: newest first, in pages, by labels and status."""

from __future__ import annotations

import pytest

from tests.conformance.harness import claim
from tests.http.edge import PROMPT
from tests.http.v2_edge import told

JOBS = "/api/v2/jobs"


async def submitted(http, **labels):
    response = await http.post(JOBS, json={"workflow": PROMPT, "metadata": labels})
    assert response.status == 201, await response.text()
    return (await response.json())["id"]


async def listed(http, query=""):
    response = await http.get(JOBS + query)
    assert response.status == 200, await response.text()
    return await response.json()


def ids(page):
    return [job["id"] for job in page["jobs"]]


async def test_items_have_both_names_for_their_times(v2, v2_edge):
    job_id = await submitted(v2, run="7")
    v2_edge.clock.now_s += 5
    claim(v2_edge.store)
    page = await listed(v2)
    assert page == {
        "jobs": [
            {
                "id": job_id,
                "status": "running",
                "create_time": "2023-11-14T22:13:20.000Z",
                "update_time": "2023-11-14T22:13:25.000Z",
                "created_at": "2023-11-14T22:13:20.000Z",
                "updated_at": "2023-11-14T22:13:25.000Z",
                "metadata": {"run": "7"},
            }
        ]
    }


async def test_pages_give_each_job_once_newest_first(v2):
    wanted = [await submitted(v2) for _ in range(7)][::-1]
    found, cursor = [], ""
    while True:
        page = await listed(v2, f"?limit=3{cursor}")
        found += ids(page)
        if "next_cursor" not in page:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert found == wanted


async def test_labels_must_all_fit_exactly(v2):
    first = await submitted(v2, a="1", b="2", c="3")
    second = await submitted(v2, a="1", b="two & \u00fc")
    assert ids(await listed(v2, "?metadata[a]=1")) == [second, first]
    assert ids(await listed(v2, "?metadata[a]=1&metadata[b]=2&metadata[c]=3")) == [first]
    assert ids(await listed(v2, "?metadata%5Bb%5D=two%20%26%20%C3%BC")) == [second]
    assert ids(await listed(v2, "?metadata[a]=")) == []


async def test_by_status_in_the_contracts_words(v2, v2_edge):
    first, second, third = [await submitted(v2) for _ in range(3)]
    claim(v2_edge.store)
    await v2.post(f"{JOBS}/{second}/cancel")
    assert ids(await listed(v2, "?status=running")) == [first]
    assert ids(await listed(v2, "?status=queued,canceled")) == [third, second]


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("metadata[a]=1&metadata[b]=1&metadata[c]=1&metadata[d]=1", "invalid_metadata_filter"),
        ("metadata[a]=1&metadata[a]=2", "invalid_metadata_filter"),
        ("metadata[]=1", "invalid_metadata_filter"),
        ("metadata[a b]=1", "invalid_metadata_filter"),
        ("metadata[" + "k" * 41 + "]=1", "invalid_metadata_filter"),
        ("metadata[a]=" + "%C3%BC" * 129, "invalid_metadata_filter"),
        ("metadata[a]=%0A", "invalid_metadata_filter"),
        ("metadata[a]=%E2%80%AE", "invalid_metadata_filter"),
        ("cursor=", "invalid_cursor"),
        ("cursor=abc", "invalid_cursor"),
        ("cursor=-1", "invalid_cursor"),
        ("cursor=%C2%B2", "invalid_cursor"),
        ("cursor=" + "9" * 500, "invalid_cursor"),
        ("cursor=%ED%A0%80", "invalid_cursor"),
        ("limit=0", "invalid_request"),
        ("limit=-1", "invalid_request"),
        ("limit=ten", "invalid_request"),
        ("limit=%C2%B2", "invalid_request"),
        ("limit=1&limit=2", "invalid_request"),
        ("status=done", "invalid_request"),
        ("status=", "invalid_request"),
        ("metadata=1", "invalid_request"),
        ("offset=3", "invalid_request"),
    ],
)
async def test_a_query_that_is_wrong(v2, query, word):
    assert await told(await v2.get(f"{JOBS}?{query}")) == (400, word)


async def test_a_limit_beyond_the_largest_is_the_largest(v2):
    await submitted(v2)
    assert len((await listed(v2, "?limit=999999999"))["jobs"]) == 1
