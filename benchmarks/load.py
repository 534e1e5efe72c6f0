"""The load: posts given bodies to `/prompt`, or another path, from several clients at once and reports how long each answer took.

A process of its own, so that it shares nothing with what it measures but the machine. Reads one JSON object from standard
input, `{url, path?, clients, bodies}`, and writes one to standard output, `{wall_s, latencies_s, statuses}`. Client `i` posts the
bodies `i, i + clients, …` one after the other over a kept connection.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import aiohttp


async def _client(session: aiohttp.ClientSession, url: str, bodies: list[str]) -> tuple[list[float], list[int]]:
    latencies: list[float] = []
    statuses: list[int] = []
    for body in bodies:
        start = time.perf_counter()
        async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as answer:
            await answer.read()
        latencies.append(time.perf_counter() - start)
        statuses.append(answer.status)
    return latencies, statuses


async def measure(url: str, clients: int, bodies: list[str], path: str = "/prompt") -> dict[str, object]:
    """See the module's docstring."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=120)) as session:
        start = time.perf_counter()
        done = await asyncio.gather(*(_client(session, url + path, bodies[each::clients]) for each in range(clients)))
        wall_s = time.perf_counter() - start
    statuses = [status for _, found in done for status in found]
    return {
        "wall_s": wall_s,
        "latencies_s": [latency for found, _ in done for latency in found],
        "statuses": {str(status): statuses.count(status) for status in set(statuses)},
    }


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    json.dump(asyncio.run(measure(**asked)), sys.stdout)
