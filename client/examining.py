"""The doctor's hands: asks a server everything that ``findings`` has an opinion on, changing nothing."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime

import httpx
import websocket

from . import findings
from .api import Expeditor
from .connect import Server, connect
from .faults import ClientError, NotHere, Refused, Unreachable
from .findings import Finding, State
from .transport import Ask, Transport

SOCKET_TIMEOUT_S = 5.0
_TINY = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 0}},
    "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}


def examine(transport: Transport, token: str | None, now: Callable[[], float] = time.time) -> Iterator[Finding]:
    """Every finding, the most basic first; ends early where nothing further can be asked."""
    began_s = time.monotonic()
    try:
        answer = transport.ask(Ask("GET", "/system_stats", final=frozenset({401, 403, 404})))
    except Unreachable as fault:
        remedy = "Is ComfyUI running, on this address and port, and with --listen if it is another machine?"
        yield Finding("reachable", State.BAD, str(fault), remedy)
        return
    yield findings.of_reach(transport.url, time.monotonic() - began_s)
    yield findings.of_clock(_date_of(answer), now())
    try:
        server = connect(transport)
    except ClientError as fault:
        yield Finding(
            "comfyui", State.BAD, str(fault), "Is this the address of a ComfyUI? A proxy may want another path."
        )
        return
    if answer.is_success:
        yield from findings.of_system(answer.json())
    yield from _socket(transport.url, token)
    if isinstance(server, Expeditor):
        yield from _expeditor(server)
    else:
        yield from _stock(server)


def _expeditor(server: Expeditor) -> Iterator[Finding]:
    try:
        yield from findings.of_health(server.health())
        yield findings.of_ready(*server.ready())
        yield from findings.of_queue(server.queue())
        yield from findings.of_workers(server.workers()["workers"])
        yield from _check(server)
    except Refused as refused:
        remedy = "Give --token, or EXPEDITOR_TOKEN." if refused.status == 401 else "The log of the server says more."
        yield Finding("expeditor", State.BAD, str(refused), remedy)
    listed = server.transport.ask(Ask("GET", "/extensions", final=frozenset({401, 403, 404})))
    if listed.is_success:
        yield findings.of_page(listed.json())
    yield _events(server)
    yield findings.of_contract(server.transport.url, *(_speaks_v2(server, mount) for mount in findings.CONTRACT_MOUNTS))


def _speaks_v2(server: Expeditor, mount: str) -> bool:
    """Whether the official SDKs' contract is served below ``mount``; a refusal in its words is an answer too."""
    final = frozenset({401, 403, 404, 405, 429, 500, 501, 502, 503})
    answer = server.transport.ask(Ask("GET", f"{mount}/api/v2/jobs", params={"limit": 1}, final=final))
    try:
        told = answer.json()
    except ValueError:
        return False
    return isinstance(told, dict) and ("jobs" in told or answer.status_code in {401, 429})


def _stock(server: Server) -> Iterator[Finding]:
    yield Finding(
        "expeditor",
        State.WARNING,
        "it is not installed here, or it is switched off: no priorities, and a restart loses all jobs",
        "Put it into custom_nodes/ and look into ComfyUI's log for `Expeditor`.",
    )
    yield from findings.of_queue(server.queue())


def _check(server: Expeditor) -> Iterator[Finding]:
    """Whether a submit would be taken, by the dry run."""
    try:
        server.validate(dict(_TINY))
    except Refused as refused:
        if refused.status == 401:
            raise
        state = State.WARNING if refused.code in {"NODE_NOT_ALLOWED", "UNKNOWN_NODE"} else State.BAD
        yield Finding(
            "submit", state, f"a tiny workflow is refused: {refused}", "The settings allow_nodes and deny_nodes decide."
        )
    else:
        yield Finding("submit", State.OK, "a tiny workflow would be taken")


def _events(server: Expeditor) -> Finding:
    """Whether the stream of events opens, also through a proxy."""
    try:
        with server.transport.stream("/expeditor/events", timeout=httpx.Timeout(SOCKET_TIMEOUT_S)) as answer:
            kind = answer.headers.get("Content-Type", "")
    except (Refused, Unreachable, NotHere) as fault:
        return Finding(
            "events",
            State.WARNING,
            f"the stream of events does not open: {fault}",
            "`watch` asks again and again instead.",
        )
    if "text/event-stream" not in kind:
        return Finding(
            "events", State.WARNING, f"/expeditor/events is {kind or 'something else'}", "A proxy answers in its place."
        )
    return Finding("events", State.OK, "the stream of events opens")


def _socket(url: str, token: str | None) -> Iterator[Finding]:
    """Whether ComfyUI's socket opens and speaks, which the page and many clients need."""
    address = url.replace("http", "ws", 1) + f"/ws?clientId={uuid.uuid4()}"
    header = [f"Authorization: Bearer {token}"] if token else []
    try:
        socket = websocket.create_connection(address, timeout=SOCKET_TIMEOUT_S, header=header)
        try:
            socket.recv()
        finally:
            socket.close()
    except (OSError, websocket.WebSocketException) as fault:
        yield Finding(
            "socket",
            State.BAD,
            f"/ws does not open: {fault}",
            "A proxy must pass the headers Upgrade and Connection on.",
        )
    else:
        yield Finding("socket", State.OK, "/ws opens and speaks")


def _date_of(answer: httpx.Response) -> float | None:
    try:
        return parsedate_to_datetime(answer.headers["Date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return None
