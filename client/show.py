"""Jobs and queues as lines and tables for a terminal. Pure: from records to rich's renderables and texts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from .records import Job

_CONTROLS = r"\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_COMMANDS = re.compile(rf"[\x00-\x08\x0b-\x1f{_CONTROLS}]")
_NOT_IN_LINES = re.compile(rf"[\u2028\u2029{_CONTROLS}]")

COLOURS = {
    "succeeded": "green",
    "failed": "red",
    "canceled": "yellow",
    "expired": "yellow",
    "running": "cyan",
    "queued": "white",
}
WORKER_COLOURS = {"active": "green", "paused": "yellow", "draining": "yellow", "gone": "red"}


def plain(text: str) -> str:
    """A text of somebody else's for a terminal: what it would obey, or cannot write, is spelt out."""
    return _COMMANDS.sub(_spelt, text)


def json_line(told: Any) -> str:
    """A JSON value in one line, readable in any language; what a terminal would obey, or cannot write, is escaped."""
    return _NOT_IN_LINES.sub(_spelt, json.dumps(told, ensure_ascii=False)) + "\n"


def job_line(job: Job) -> str:
    """How a job stands, in one line."""
    told = [job.id, job.status]
    if job.status == "queued":
        if job.position is not None:
            told.append(f"{job.position} in line")
        if reason := _reason(job):
            told.append(reason)
    if job.progress is not None and not job.ended:
        told.append(f"{job.progress:.0%}" + (f" {job.node}" if job.node else ""))
    if job.eta_s is not None:
        told.append(f"done in about {duration(job.eta_s)}")
    if job.cause and not job.succeeded:
        told.append(job.cause)
    if job.error:
        told.append(job.error)
    return "  ".join(told)


def job_table(jobs: Iterable[Job]) -> Table:
    """Many jobs, a row each."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("id", "status", "priority", "place", "progress", "done in", "created", "cause"):
        table.add_column(name, no_wrap=True, min_width=36 if name == "id" else None)
    for job in jobs:
        table.add_row(
            escape(plain(job.id)),
            f"[{COLOURS.get(job.status, 'white')}]{escape(plain(job.status))}[/]"
            + (" (held)" if job.wire.get("held") else ""),
            _or_dash(job.priority),
            _or_dash(job.position),
            "-" if job.progress is None else f"{job.progress:.0%}",
            "-" if job.eta_s is None else duration(job.eta_s),
            escape(plain((job.created_at or "-")[:19].replace("T", " "))),
            "" if job.succeeded else escape(plain(job.cause or "")),
        )
    return table


def job_details(job: Job) -> list[str]:
    """One job, a fact a line."""
    wire = job.wire
    lines = [job_line(job)]
    facts = ("priority", "principal", "attempt", "created_at", "started_at", "finished_at", "not_before", "expires_at")
    lines += [f"  {name.replace('_', ' ')}: {wire[name]}" for name in facts if wire.get(name) not in (None, 0)]
    waiting: Mapping[str, Any] = wire.get("waiting") or {}
    if waiting.get("message"):
        lines.append(f"  waits: {waiting['message']}")
    lines += [f"  label {key}: {value}" for key, value in job.metadata.items()]
    lines += [f"  output of node {each.node_id}: {each.name}" for each in job.outputs]
    if job.remedy:
        lines.append(f"  what to do: {job.remedy}")
    return lines


def queue_lines(queue: Mapping[str, Any]) -> list[str]:
    """The queue at a glance."""
    state = " (draining)" if queue.get("draining") else " (paused)" if queue.get("paused") else ""
    lines = [f"{queue['waiting']} waiting, {queue['running']} running{state}"]
    if queue.get("eta_s") is not None and queue["waiting"] + queue["running"]:
        lines.append(f"all done in about {duration(queue['eta_s'])}")
    if queue.get("held") or queue.get("delayed"):
        lines.append(f"{queue['held']} held, {queue['delayed']} wait for their time")
    for title in ("by_priority", "by_principal"):
        depths: Mapping[str, Mapping[str, Any]] = queue.get(title) or {}
        for name, depth in depths.items():
            lines.append(
                f"  {title.removeprefix('by_')} {name}: {depth['jobs']} jobs, {duration(depth['work_s'])} of work"
            )
    return lines


def worker_table(workers: Iterable[Mapping[str, Any]]) -> Table:
    """Instances, a row each."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("name", "state", "roles", "pools", "runs", "busy", "memory free", "version", "url"):
        table.add_column(name, no_wrap=name in {"name", "state"})
    for each in workers:
        state = str(each["state"])
        table.add_row(
            escape(plain(str(each["name"]))),
            f"[{WORKER_COLOURS.get(state, 'white')}]{escape(plain(state))}[/]",
            escape(plain(", ".join(each["roles"]))),
            escape(plain(", ".join(each["pools"]))),
            str(len(each["running"])),
            "-" if each["busy_ratio"] is None else f"{each['busy_ratio']:.0%}",
            escape(plain(_memory(each["devices"]))),
            escape(plain(f"{each['version']} on {each['comfyui_version']}")),
            escape(plain(str(each["url"]))),
        )
    return table


def ability_lines(worker: Mapping[str, Any]) -> list[str]:
    """What an instance can run, if that was asked for."""
    told = (("node classes", "node_classes"), ("models on disk", "models_on_disk"), ("models in memory", "models"))
    if "node_classes" not in worker:
        return []
    lines = ["", str(worker["name"])]
    for title, name in told:
        has = worker[name]
        count = "not told" if has is None else str(len(has))
        lines.append(f"  {title} ({count}): {', '.join(has or ())}")
    return lines


def wait_lines(wait: Mapping[str, Any], url: str) -> list[str]:
    """A node that waits: what it asks, and where its pictures are."""
    takes = "any text"
    if wait["kind"] == "approve":
        takes = "approve or reject"
    elif wait["kind"] == "pick":
        least, most = wait["least"], wait["most"]
        takes = f"{least if least == most else f'{least} to {most}'} of {len(wait['images'])}, from 0"
    lines = [f"{str(wait['token'])[:8]}  {wait['label']}  ({takes}; until {wait['deadline_at']})"]
    lines.append(f"  node {wait['node_id']} of job {wait['prompt_id']}")
    lines += [f"  text: {wait['text']}"] if wait["text"] else []
    return lines + [f"  {url}{image['url']}" for image in wait["images"]]


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    whole = round(seconds)
    if whole < 60:
        return f"{max(seconds, 0):.0f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _reason(job: Job) -> str:
    waiting: Mapping[str, Any] = job.wire.get("waiting") or {}
    reason = waiting.get("reason")
    return f"({reason})" if reason and reason not in {"next", "ahead_in_line"} else ""


def _memory(devices: Iterable[Mapping[str, Any]]) -> str:
    told = [
        f"{each['vram_free_bytes'] / 2**30:.0f} of {each['vram_total_bytes'] / 2**30:.0f} GiB"
        for each in devices
        if each["vram_free_bytes"] is not None and each["vram_total_bytes"] is not None
    ]
    return ", ".join(told) or "-"


def _spelt(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _or_dash(value: object) -> str:
    return "-" if value is None else str(value)
