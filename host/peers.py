"""HTTP between the instances of one queue: who is asked, the secret that is shown, time limits, and what a failure means.

Owns the client's half and the thread with the event loop that it lives on: nothing of it runs on ComfyUI's loop. Does not own what is
asked (``handover``, ``fetching``), the answering half (``routes.peers``), nor who is a member (``ports.Members``).

Redirects are never followed and no proxy is asked: a member is where it says that it is.
"""

from __future__ import annotations

import asyncio
import io
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast
from urllib.parse import quote

import aiohttp

from .ports import Members

_T = TypeVar("_T")

SECRET_HEADER = "X-Expeditor-Peer"  # noqa: S105 - the name of a header
PREFIX = "/expeditor/peer"
CONNECT_S = 5.0
SILENT_S = 30.0
"""A peer that neither takes nor gives a byte for so long is away."""
STOP_S = 10.0
ANSWER_MAX_BYTES = 4 * 1024 * 1024


class PeerAway(Exception):
    """The instance cannot be reached or cannot do it now; to be tried again."""


class PeerGone(PeerAway):
    """The instance is known not to be there: nothing was tried, and trying again soon is of no use."""


class PeerRefused(Exception):
    """The instance understood and said no. ``status`` is HTTP's, ``code`` our word for it or empty."""

    def __init__(self, message: str, status: int, code: str = "") -> None:
        """See the class."""
        super().__init__(message)
        self.status = status
        self.code = code


class PeerThread:
    """An event loop on a thread of its own, started when it is first needed. Any thread may call it."""

    def __init__(self) -> None:
        """Starts nothing."""
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, work: Coroutine[Any, Any, _T]) -> Future[_T]:
        """Have it run there."""
        return asyncio.run_coroutine_threadsafe(work, self._started())

    def stop(self) -> None:
        """End the loop; what runs is cancelled. Idempotent; for tests and embedding, ComfyUI's process just ends."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None and self._thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            self._thread.join(STOP_S)

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_run, args=(self._loop,), name="expeditor-peers", daemon=True)
                self._thread.start()
            return self._loop


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(_cancel_all())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Peers:
    """Asks other instances. All of one object is used on one event loop; every verb raises ``PeerAway`` or ``PeerRefused``."""

    def __init__(self, members: Members, *, connect_s: float = CONNECT_S, silent_s: float = SILENT_S) -> None:
        """``members`` blocks, so it is asked on another thread."""
        self._members = members
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect_s, sock_connect=connect_s, sock_read=silent_s)
        self._session: aiohttp.ClientSession | None = None

    async def ask(
        self, instance: str, path: str, body: Mapping[str, Any], *, most_bytes: int = ANSWER_MAX_BYTES
    ) -> dict[str, Any]:
        """Send JSON, get a JSON object of at most so many bytes back."""
        # Not json=...: aiohttp warns of a body of more than a megabyte in one piece.
        data, headers = io.BytesIO(json.dumps(dict(body)).encode()), {"Content-Type": "application/json"}
        async with self._answer(instance, "POST", path, data=data, headers=headers) as answer:
            return await _object(instance, answer, most_bytes)

    async def send(
        self, instance: str, path: str, params: Mapping[str, str], data: AsyncIterator[bytes]
    ) -> dict[str, Any]:
        """Stream bytes there, get a JSON object back."""
        headers = {"Content-Type": "application/octet-stream"}
        async with self._answer(instance, "PUT", path, params=dict(params), data=data, headers=headers) as answer:
            return await _object(instance, answer)

    @asynccontextmanager
    async def fetch(
        self, instance: str, path: str, params: Mapping[str, str], offset: int
    ) -> AsyncGenerator[aiohttp.ClientResponse, None]:
        """An answer with the bytes from ``offset`` on; its status is 206 if it begins there, 200 if at the beginning."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        async with self._answer(instance, "GET", path, params=dict(params), headers=headers) as answer:
            yield answer

    async def close(self) -> None:
        """Let go of open connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    @asynccontextmanager
    async def _answer(
        self, instance: str, method: str, path: str, *, headers: Mapping[str, str] | None = None, **kwargs: Any
    ) -> AsyncGenerator[aiohttp.ClientResponse, None]:
        url = await self._url(instance)
        shown = {SECRET_HEADER: await self._secret(instance), "Accept-Encoding": "identity", **(headers or {})}
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout, auto_decompress=False)
        try:
            async with self._session.request(
                method, url + PREFIX + path, headers=shown, allow_redirects=False, **kwargs
            ) as answer:
                await _raise_for(instance, answer)
                yield answer
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as fault:
            why = fault.strerror if isinstance(fault, OSError) and fault.strerror else type(fault).__name__
            raise PeerAway(f"Instance {instance} cannot be reached at {url} ({why}).") from fault

    async def _url(self, instance: str) -> str:
        try:
            url = await asyncio.to_thread(self._members.url_of, instance)
        except Exception as fault:  # noqa: BLE001 - whatever keeps the shared store from saying where it is
            raise PeerAway(f"Where instance {instance} is cannot be found out now: {fault}") from fault
        if url is None:
            raise PeerGone(f"Instance {instance} is not there.")
        return url.rstrip("/")

    async def _secret(self, instance: str) -> str:
        try:
            return await asyncio.to_thread(self._members.secret)
        except Exception as fault:  # noqa: BLE001 - as above
            raise PeerAway(f"Instance {instance} cannot be asked, for the shared store is away: {fault}") from fault


async def _raise_for(instance: str, answer: aiohttp.ClientResponse) -> None:
    if answer.status in (200, 201, 206):
        return
    code = answer.headers.get("X-Expeditor-Code", "")
    message = f"Instance {instance} answered {answer.status} {code or answer.reason or ''}".rstrip()
    stranger = (not code and answer.status != 416) or (answer.status in (404, 405) and answer.method != "GET")
    if answer.status >= 500 or answer.status in (401, 408, 429) or stranger:
        # 401: its secret and ours differ for a moment, after the shared store was emptied. A stranger: another version, one that is just
        # starting, or something in between (a proxy that asks for a password): what it says is not the instance's word.
        raise PeerAway(f"{message}: {await _told(answer)}")
    raise PeerRefused(f"{message}: {await _told(answer)}", answer.status, code)


async def _told(answer: aiohttp.ClientResponse) -> str:
    body = await answer.content.read(2000)
    return quote(body.decode("utf-8", "replace"), safe=" {}\":,.'()[]/_-")[:500]


async def _object(instance: str, answer: aiohttp.ClientResponse, most_bytes: int = ANSWER_MAX_BYTES) -> dict[str, Any]:
    read = bytearray()
    async for piece in answer.content.iter_any():
        read += piece
        if len(read) > most_bytes:
            raise PeerAway(f"Instance {instance} answered with too much.")
    try:
        found: Any = json.loads(read)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise PeerAway(f"Instance {instance} answered with no JSON object: something else answers in its place.")
    return cast("dict[str, Any]", found)
