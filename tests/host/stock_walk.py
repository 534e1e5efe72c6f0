"""The same requests to a stock ComfyUI and to one with Expeditor, and what differs between the answers.

Owns the two servers side by side, one comparable form of an HTTP answer, and the list of what may differ: clocks,
free memory, the servers' own addresses. Holds no expectation of a route: those stand in the tests.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.comfy_server import RealComfyUI
from tests.support.waiting import wait_until

TEST_NODES = Path(__file__).resolve().parents[1] / "support/packs/expeditor_test_nodes"
HEADERS = (
    "Content-Type",
    "Cache-Control",
    "Pragma",
    "Expires",
    "Content-Disposition",
    "Accept-Ranges",
    "Content-Range",
    "Allow",
)

# Keys whose values differ between any two servers; their types are still compared.
CLOCKS_AND_GAUGES = frozenset(
    {"timestamp", "create_time", "modified", "created", "ram_free", "vram_free", "torch_vram_free", "torch_vram_total"}
)
# The queue number: core counts refused requests too, so only its type and sign are told to clients.
NUMBERS = (("queue_running", "*", 0), ("queue_pending", "*", 0), ("prompt", 0), ("number",))


@dataclass(frozen=True, slots=True)
class Pair:
    """A stock server and one with Expeditor, both with the test nodes."""

    stock: RealComfyUI
    ours: RealComfyUI

    @property
    def both(self) -> tuple[RealComfyUI, RealComfyUI]:
        """Stock first."""
        return self.stock, self.ours


@contextmanager
def stock_and_expeditor(env: Mapping[str, str] | None = None, args: Sequence[str] = ()) -> Iterator[Pair]:
    """Two servers started at the same time; `env` goes to the one with Expeditor."""
    # Core runs the outputs of a prompt in the order of a set of strings: with one hash seed it is the same order on both.
    seed = {"PYTHONHASHSEED": "0"}
    stock = RealComfyUI(with_expeditor=False, packs=[TEST_NODES], env=seed, args=args)
    ours = RealComfyUI(packs=[TEST_NODES], env={**seed, **(env or {})}, args=args)
    with ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        started = [pool.submit(server.__enter__) for server in (stock, ours)]
        for server, start in zip((stock, ours), started, strict=True):
            if start.exception() is None:
                stack.push(server.__exit__)
        for start in started:
            start.result()
        yield Pair(stock, ours)


@dataclass(frozen=True, slots=True)
class Call:
    """One request; `status` is what stock answers today, so that a walk cannot pass by asking for nothing but 404s."""

    method: str
    path: str
    status: int = 200
    options: Mapping[str, Any] = field(
        default_factory=dict[str, Any]
    )  # as of requests: json, data, files, headers, params
    ours: Callable[[Any], Any] | None = (
        None  # takes what belongs to Expeditor out of our answer, checking that it is ours
    )
    masked: tuple[tuple[str | int, ...], ...] = ()  # further ends of paths of which only the type is compared
    unordered: bool = False  # a top-level list in the order of a directory

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, the headers that matter, and the body: parsed JSON, or bytes."""

    status: int
    headers: dict[str, str | None]
    body: Any


def ask(server: RealComfyUI, call: Call, prefix: str = "") -> Answer:
    """The answer of one server, its own address and folder replaced by names."""
    raw = server.request(call.method, prefix + call.path, allow_redirects=False, **call.options)
    headers = {name: raw.headers.get(name) for name in HEADERS}
    body: Any = raw.content
    if "json" in (headers["Content-Type"] or "") and raw.content:
        body = _anonymous(json.loads(raw.content), server)
        if call.unordered:
            body = sorted(body, key=lambda entry: json.dumps(entry, sort_keys=True))
    return Answer(raw.status_code, headers, body)


def walk(pair: Pair, calls: Sequence[Call], prefix: str) -> list[str]:
    """Every difference between the two servers, one line each; calls are made in order, each to both servers."""
    faults: list[str] = []
    for call in calls:
        stock, ours = (ask(server, call, prefix) for server in pair.both)
        where = f"{call.method} {prefix}{call.path}"
        if stock.status != call.status:
            faults.append(
                f"{where}: stock itself answers {stock.status}, the walk expects {call.status}: {stock.body!r:.300}"
            )
        faults += [f"{where}: {fault}" for fault in compare(call, stock, ours)]
    return faults


def compare(call: Call, stock: Answer, ours: Answer) -> list[str]:
    """What differs: status, headers, and the body value by value except for what no two servers share."""
    faults = (
        [] if stock.status == ours.status else [f"status {ours.status} instead of {stock.status}: {ours.body!r:.400}"]
    )
    for name, value in stock.headers.items():
        if ours.headers[name] != value:
            faults.append(f"{name} {ours.headers[name]!r} instead of {value!r}")
    body = ours.body if call.ours is None or ours.status != stock.status else call.ours(ours.body)
    if isinstance(stock.body, bytes) and isinstance(body, bytes):
        same = stock.body == body
        return (
            faults
            if same
            else [*faults, f"{len(body)} bytes {body[:80]!r} instead of {len(stock.body)} {stock.body[:80]!r}"]
        )
    return faults + list(differences(stock.body, body, masked=NUMBERS + call.masked))


def differences(
    stock: Any, ours: Any, path: tuple[str | int, ...] = (), masked: Sequence[tuple[str | int, ...]] = NUMBERS
) -> Iterator[str]:
    """One line per place where two JSON values differ in type, keys, length or, unless masked, in value."""
    if type(stock) is not type(ours):
        yield f"{_spelt(path)}: {type(ours).__name__} {ours!r:.200} instead of {type(stock).__name__} {stock!r:.200}"
    elif isinstance(stock, dict):
        for key in {**stock, **ours}:
            if key not in ours or key not in stock:
                yield f"{_spelt(path)}: key {key!r} {'is missing' if key not in ours else f'is new: {ours[key]!r:.200}'}"
            else:
                yield from differences(stock[key], ours[key], (*path, key), masked)
    elif isinstance(stock, list):
        if len(stock) != len(ours):
            yield f"{_spelt(path)}: {len(ours)} entries {ours!r:.300} instead of {len(stock)} {stock!r:.300}"
        for index, (left, right) in enumerate(zip(stock, ours, strict=False)):
            yield from differences(left, right, (*path, index), masked)
    elif stock != ours and not _is_masked(path, masked, stock, ours):
        yield f"{_spelt(path)}: {ours!r:.200} instead of {stock!r:.200}"


def ended(server: RealComfyUI, *prompt_ids: str) -> dict[str, Any]:
    """The history entries of these prompts, waited for."""

    def entries() -> dict[str, Any] | None:
        history = server.get("/history").json()
        return {each: history[each] for each in prompt_ids} if set(prompt_ids) <= set(history) else None

    found = wait_until(entries, what=f"the end of {prompt_ids}")
    assert found is not None
    # History is written inside task_done; the running entry is gone at the same moment, the worker's end marker follows.
    return found


def running(server: RealComfyUI, prompt_id: str) -> None:
    """Wait until this prompt is the one that runs."""
    wait_until(
        lambda: [entry[1] for entry in server.get("/queue").json()["queue_running"]] == [prompt_id],
        what=f"{prompt_id} running",
    )


def open_gate(server: RealComfyUI, name: str) -> None:
    """Let the node `ExpeditorTestGate` of that name go on."""
    (server.base / "input" / name).touch()


def prompt_id(name: str) -> str:
    """A UUID that is the same on both servers and in every run."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def gate_prompt(name: str) -> dict[str, Any]:
    """Runs until `open_gate(server, name)` or an interrupt."""
    return {"1": {"class_type": "ExpeditorTestGate", "inputs": {"name": name}}}


def image_prompt(color: int, prefix: str = "walk") -> dict[str, Any]:
    """A plain picture of one colour, saved to the output folder."""
    size = {"width": 16, "height": 16, "batch_size": 1}
    return {
        "1": {"class_type": "EmptyImage", "inputs": {**size, "color": color}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
    }


def _anonymous(value: Any, server: RealComfyUI) -> Any:
    if isinstance(value, dict):
        return {key: _anonymous(entry, server) for key, entry in value.items()}
    if isinstance(value, list):
        return [_anonymous(entry, server) for entry in value]
    if isinstance(value, str):
        return "<port>" if value == str(server.port) else value.replace(str(server.base), "<base>")
    return value


def _is_masked(path: tuple[str | int, ...], masked: Sequence[tuple[str | int, ...]], stock: Any, ours: Any) -> bool:
    if path and path[-1] in CLOCKS_AND_GAUGES:
        return True
    for pattern in masked:
        end = path[len(path) - len(pattern) :]
        if len(end) == len(pattern) and all(want in ("*", part) for want, part in zip(pattern, end, strict=True)):
            return not isinstance(stock, (int, float)) or (stock < 0) == (ours < 0)
    return False


def _spelt(path: tuple[str | int, ...]) -> str:
    return "/" + "/".join(str(part) for part in path)
