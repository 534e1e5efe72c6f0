"""What the doctor makes of what a server told: findings, each with what to mend. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from .show import duration

CLOCK_SKEW_S = 5.0
SLOW_LOOP_S = 0.25
SLOW_ANSWER_S = 1.0
LOW_DISK_BYTES = 2 * 1024**3
LOW_MEMORY_SHARE = 0.05
OLD_WAIT_S = 3600.0


class State(Enum):
    """``BAD`` must be mended and decides the exit code; ``WARNING`` should be looked at."""

    OK = "ok"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check, what was found, and what to do about it ("" when it is well)."""

    check: str
    state: State
    message: str
    remedy: str = ""

    def told(self) -> dict[str, str]:
        """As JSON."""
        return {"check": self.check, "state": self.state.value, "message": self.message, "remedy": self.remedy}


def of_reach(url: str, took_s: float) -> Finding:
    """A server that answered."""
    if took_s > SLOW_ANSWER_S:
        remedy = "The machine is busy, the network is slow, or a node blocks ComfyUI's event loop."
        return Finding("reachable", State.WARNING, f"{url} took {took_s:.1f} s to answer", remedy)
    return Finding("reachable", State.OK, f"{url} answers in {took_s * 1000:.0f} ms")


def of_clock(server_s: float | None, here_s: float) -> Finding:
    """The server's clock beside this machine's, both in seconds since 1970; its answer is exact to a second."""
    if server_s is None:
        return Finding(
            "clock", State.WARNING, "the server does not tell its time", "A proxy takes the Date header out."
        )
    skew_s = server_s + 0.5 - here_s
    if abs(skew_s) > CLOCK_SKEW_S:
        side = "ahead of" if skew_s > 0 else "behind"
        return Finding(
            "clock",
            State.WARNING,
            f"the server's clock is {duration(abs(skew_s))} {side} this one",
            "Set both by NTP: not_before and the times of jobs are the server's.",
        )
    return Finding("clock", State.OK, "the clocks agree")


def of_system(told: Mapping[str, Any]) -> Iterator[Finding]:
    """ComfyUI's ``/system_stats``."""
    system: Mapping[str, Any] = told.get("system") or {}
    python = str(system.get("python_version", "?")).split(" ", maxsplit=1)[0]
    yield Finding("comfyui", State.OK, f"ComfyUI {system.get('comfyui_version', '?')}, Python {python}")
    memory = [("memory", system.get("ram_free"), system.get("ram_total"))]
    devices: list[Mapping[str, Any]] = told.get("devices") or []
    memory += [
        (f"memory of {each.get('name')}", each.get("vram_free"), each.get("vram_total"))
        for each in devices
        if each.get("type") != "cpu"
    ]
    for name, free, total in memory:
        if not free or not total:
            continue
        said = f"{free / 1024**3:.1f} of {total / 1024**3:.1f} GiB free"
        if free / total < LOW_MEMORY_SHARE:
            yield Finding("memory", State.WARNING, f"{name}: {said}", "Free it, or expect OUT_OF_MEMORY.")
        else:
            yield Finding("memory", State.OK, f"{name}: {said}")


def of_health(health: Mapping[str, Any]) -> Iterator[Finding]:
    """Expeditor's ``/expeditor/health``."""
    version = health.get("version", "?")
    if health.get("status") == "ok":
        yield Finding("expeditor", State.OK, f"Expeditor {version}, up for {duration(health.get('uptime_s') or 0)}")
    else:
        yield Finding(
            "expeditor",
            State.BAD,
            f"Expeditor {version}: {health.get('fault')}",
            "See docs/operations.md; the log says more.",
        )
    if health.get("worker_alive") is False:
        yield Finding("worker", State.BAD, "ComfyUI's worker thread has died, so nothing runs", "Restart ComfyUI.")
    lag_s = float(health.get("loop_lag_s") or 0.0)
    if lag_s > SLOW_LOOP_S:
        yield Finding(
            "event loop",
            State.WARNING,
            f"it is up to {lag_s:.2f} s late",
            "A custom node does slow work in a route or on the loop.",
        )
    yield from _of_hooks(health.get("hooks") or {})
    yield from _of_store(health.get("store") or {})
    for name, loss in _BESIDE.items():
        yield from _of_side(name, loss, health.get(name) or {})


def of_ready(ready: bool, told: Mapping[str, Any]) -> Finding:
    """``/expeditor/ready``."""
    if ready:
        return Finding("ready", State.OK, "it wants work")
    reason = str(told.get("reason") or "no reason given")
    return Finding("ready", State.BAD, f"it wants no work: {reason}", "Mend that; while it drains: `expeditor resume`.")


def of_queue(queue: Mapping[str, Any]) -> Iterator[Finding]:
    """The queue: whether it moves."""
    waiting, running = int(queue.get("waiting") or 0), int(queue.get("running") or 0)
    said = f"{waiting} waiting, {running} running"
    asleep = int(queue.get("held") or 0) + int(queue.get("delayed") or 0)
    if queue.get("draining"):
        yield Finding(
            "queue", State.WARNING, f"{said}; it drains and takes no jobs", "Restart it, or `expeditor resume`."
        )
    elif queue.get("paused"):
        yield Finding("queue", State.WARNING, f"{said}; it is paused", "`expeditor resume` starts jobs again.")
    elif waiting > asleep and not running:
        yield Finding(
            "queue",
            State.BAD,
            f"{said}, though {waiting - asleep} could run",
            "Look again in a moment; if it stays so, the worker is stuck: the log says why.",
        )
    elif (queue.get("oldest_wait_s") or 0.0) > OLD_WAIT_S:
        yield Finding(
            "queue",
            State.WARNING,
            f"{said}; the oldest has waited {duration(queue['oldest_wait_s'])}",
            "`expeditor job ID` says why; more machines or higher priorities help.",
        )
    else:
        yield Finding("queue", State.OK, said)


def of_workers(workers: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """The instances, where there are several: whether all are there and start jobs."""
    if len(workers) < 2:  # noqa: PLR2004 - one is no cluster
        return
    active = sum(each["state"] == "active" for each in workers)
    others = [f"{each['name']} is {each['state']}" for each in workers if each["state"] != "active"]
    said = f"{active} of {len(workers)} are active" + (f"; {', '.join(others)}" if others else "")
    if others:
        remedy = "`expeditor workers resume NAME` ends a pause or a drain; one that is gone is forgotten after a day."
        yield Finding("instances", State.WARNING if active else State.BAD, said, remedy)
    else:
        yield Finding("instances", State.OK, said)


def of_page(listed: object) -> Finding:
    """ComfyUI's ``/extensions``: whether the page loads our script."""
    scripts: list[object] = list(listed) if isinstance(listed, list) else []  # pyright: ignore[reportUnknownArgumentType] - JSON
    if any("expeditor" in str(script).lower() for script in scripts):
        return Finding("page", State.OK, "the page loads Expeditor's script")
    return Finding(
        "page",
        State.WARNING,
        "the page does not load Expeditor's script",
        "Its folder in custom_nodes should be called expeditor.",
    )


CONTRACT_MOUNTS = ("", "/expeditor")
"""Where the Comfy API v2 may be, as paths of ``COMFY_BASE_URL``."""


def of_contract(url: str, at_root: bool, beside: bool) -> Finding:
    """Whether the official SDKs find the Comfy API v2 at the root, and in the place where nobody else's can be."""
    if at_root:
        return Finding("sdk", State.OK, f"the official SDKs find their API with COMFY_BASE_URL={url}")
    if beside:
        return Finding(
            "sdk", State.OK, f"the official SDKs find their API with COMFY_BASE_URL={url}{CONTRACT_MOUNTS[1]}"
        )
    remedy = "A proxy must pass /api/v2/ or /expeditor/api/v2/ on; docs/comfy-api-v2.md."
    return Finding("sdk", State.WARNING, "the Comfy API v2 of the official SDKs does not answer", remedy)


def _of_hooks(hooks: Mapping[str, Any]) -> Iterator[Finding]:
    off = {name: why for name, why in hooks.items() if why != "on"}
    for name, why in off.items():
        aside = name == "api_v2" and "core" in str(why).lower()
        state = State.OK if aside else State.WARNING
        yield Finding(
            "hooks", state, f"{name}: {why}", "" if aside else "Another pack, or a setting, stands in its place."
        )
    if hooks and not off:
        yield Finding("hooks", State.OK, f"all {len(hooks)} are on")


_BESIDE = {
    "assets": "Uploads and references to assets are refused until it can be used; all else works.",
    "webhooks": "Jobs go on; what happens is told later, once it can be used.",
}


def _of_side(name: str, loss: str, side: Mapping[str, Any]) -> Iterator[Finding]:
    told = side.get("error") or side.get("notice")
    if told:
        yield Finding(name, State.WARNING, str(told), f"{loss} See docs/operations.md.")


def _of_store(store: Mapping[str, Any]) -> Iterator[Finding]:
    if not store:
        return
    if not store.get("open") or store.get("error"):
        why = store.get("error") or "not open"
        yield Finding(
            "store",
            State.BAD,
            f"{store.get('kind')}: {why}",
            "Nothing is accepted until it can be written: docs/operations.md.",
        )
    else:
        yield Finding("store", State.OK, f"{store.get('kind')}, {store.get('pending_writes', 0)} writes on their way")
    if store.get("notice"):
        page = "cluster_failures.md" if store.get("kind") == "bullmq" else "operations.md, a damaged database"
        yield Finding("store", State.WARNING, str(store["notice"]), f"docs/{page}.")
    free = store.get("free_bytes")
    if free is not None:
        said = f"{free / 1024**3:.1f} GiB free where the queue is kept"
        if free < LOW_DISK_BYTES:
            yield Finding(
                "disk", State.WARNING, said, "Free some: when it is full nothing is accepted and nothing runs."
            )
        else:
            yield Finding("disk", State.OK, said)
