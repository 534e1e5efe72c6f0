"""`HEAD` of what is sent bit by bit: the headers alone, and nothing stays open. aiohttp serves it by the handler of `GET`."""

from __future__ import annotations

import asyncio

import pytest

from tests.http.edge import PROMPT
from tests.support.waiting import wait_until_async


async def head_twice(client, path: str) -> bytes:
    """All that comes for two requests on one connection, the second of which closes it."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    ask = f"HEAD {path} HTTP/1.1\r\nHost: here\r\n"
    writer.write(f"{ask}\r\n{ask}Connection: close\r\n\r\n".encode())
    try:
        return await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()


@pytest.mark.parametrize(
    "path",
    ["/expeditor/events", "/expeditor/jobs/{job}/events", "/api/v2/jobs/{job}/events", "/expeditor/batches/{batch}/results.zip"],
)  # fmt: skip
async def test_only_headers_are_sent_and_the_connection_can_be_used_again(v2, v2_edge, path):
    batch = await (await v2.post("/expeditor/batches", json={"jobs": [{"prompt": PROMPT}]})).json()
    told = await head_twice(v2, path.format(job=batch["job_ids"][0], batch=batch["id"]))
    assert told.count(b"HTTP/1.1 200 OK") == 2
    assert [part.split(b" ")[0] for part in told.split(b"\r\n\r\n")] == [b"HTTP/1.1", b"HTTP/1.1", b""]
    await wait_until_async(lambda: v2_edge.streams.count() == 0)


async def test_what_is_not_there_has_no_head(v2):
    for path in ("/expeditor/jobs/none/events", "/api/v2/jobs/none/events", "/expeditor/batches/none/results.zip"):
        assert (await v2.head(path)).status == 404
