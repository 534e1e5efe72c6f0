"""What the server tells, as records. Reads leniently: a field that an older or newer server lacks or adds is no error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

JsonObject = dict[str, Any]

ENDED = frozenset({"succeeded", "failed", "canceled", "expired"})


@dataclass(frozen=True, slots=True)
class Output:
    """A file that a job made. ``url`` is absolute or meant against the server's address; ``size_bytes`` None when it was not told."""

    node_id: str
    name: str
    kind: str
    url: str
    content_type: str = ""
    size_bytes: int | None = None

    @classmethod
    def of(cls, wire: Mapping[str, Any]) -> Output:
        """From a job's JSON."""
        return cls(
            node_id=str(wire.get("node_id", "")),
            name=str(wire["name"]),
            kind=str(wire.get("type", "file")),
            url=str(wire["url"]),
            content_type=str(wire.get("content_type") or ""),
            size_bytes=wire.get("size_bytes"),
        )


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the server told it; ``wire`` is all of it. On stock ComfyUI priority, times and estimates are None."""

    id: str
    status: str
    priority: int | None = None
    position: int | None = None
    eta_s: float | None = None
    progress: float | None = None
    node: str | None = None
    cause: str | None = None
    error: str | None = None
    remedy: str | None = None
    created_at: str | None = None
    outputs: tuple[Output, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    wire: JsonObject = field(default_factory=dict[str, Any], compare=False, repr=False)

    @property
    def ended(self) -> bool:
        """Whether it will never change again by itself."""
        return self.status in ENDED

    @property
    def succeeded(self) -> bool:
        """Whether it ended well."""
        return self.status == "succeeded"

    @classmethod
    def of(cls, wire: JsonObject) -> Job:
        """From the JSON of ``/expeditor/jobs/{id}``."""
        progress: Mapping[str, Any] = wire.get("progress") or {}
        error: Mapping[str, Any] = wire.get("error") or {}
        return cls(
            id=str(wire["id"]),
            status=str(wire["status"]),
            priority=wire.get("priority"),
            position=wire.get("position"),
            eta_s=wire.get("eta_s"),
            progress=progress.get("value"),
            node=progress.get("current_node_class"),
            cause=wire.get("cause"),
            error=_sentence(error),
            remedy=error.get("remedy"),
            created_at=wire.get("created_at"),
            outputs=tuple(Output.of(each) for each in wire.get("outputs") or ()),
            metadata=wire.get("metadata") or {},
            wire=wire,
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Some jobs, newest first, and the cursor of the next page or None."""

    jobs: tuple[Job, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job: its ``type`` (``job.started`` …), the cursor behind it (None: not kept), and what was told."""

    type: str
    cursor: str | None
    told: JsonObject

    @property
    def job_id(self) -> str:
        """Whose it is, "" when it is nobody's."""
        return str(self.told.get("job_id") or "")


def _sentence(error: Mapping[str, Any]) -> str | None:
    if not error:
        return None
    message = str(error.get("message") or error.get("code") or "")
    where = f"node {error['node_id']} ({error.get('class_type')}): " if error.get("node_id") else ""
    return where + message
