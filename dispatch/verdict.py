"""How a run is judged: from what ComfyUI reports to the ending of an attempt. Pure.

ComfyUI's ``success`` flag alone is not enough: it is only updated per executed node, and an ``execution_error`` event
alone is not a failure (a node may block one branch and the prompt still succeed). ``execution_success`` decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from ..jobs.causes import CauseTable
from ..jobs.model import Cause, Ending, JobError, JobStatus, Output

_KIND_BY_PREFIX = {"image": "image", "video": "video", "audio": "audio", "text": "text"}
_CONTENT_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".svg": "image/svg+xml",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".mov": "video/quicktime",
    ".flac": "audio/flac",
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".opus": "audio/opus",
    ".ogg": "audio/ogg",
    ".txt": "text/plain",
    ".json": "application/json",
    ".latent": "application/octet-stream",
    ".glb": "model/gltf-binary",
}


@dataclass(frozen=True, slots=True)
class RunReport:
    """What ComfyUI says of a finished run: its status word, its messages (event, fields) and its outputs by node."""

    succeeded: bool
    messages: Sequence[tuple[str, Mapping[str, Any]]]
    outputs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What we saw of the run ourselves. ``nodes_executed`` is None when nothing of it was heard (the observer is off).

    ``stalled``: it was interrupted by the watchdog, for its silence. ``cancel_wanted``: somebody asked for its end through us.
    ``ran``: the nodes that ran, in this attempt or in one before it that was run again at once.
    """

    finished_at_s: float
    run_s: float
    nodes_executed: int | None
    last_node_id: str | None
    stalled: bool = False
    cancel_wanted: bool = False
    ran: frozenset[str] = frozenset()


def judge(report: RunReport, facts: RunFacts, causes: CauseTable) -> Ending:
    """The ending of the attempt; outputs have no sizes yet."""
    events = _by_name(report.messages)
    cached = facts.nodes_executed == 0 and "execution_cached" in events
    outputs = tuple(_from_cache(output, facts) for output in collect_outputs(report.outputs))

    def ending(status: JobStatus, cause: Cause | None = None, error: JobError | None = None) -> Ending:
        last = error.node_id if error is not None and error.node_id is not None else facts.last_node_id
        return Ending(
            status=status,
            finished_at_s=facts.finished_at_s,
            run_s=facts.run_s,
            cause=cause,
            error=error,
            outputs=outputs,
            cached=cached and status is JobStatus.SUCCEEDED,
            last_node_id=last,
        )

    def stalled(node: Mapping[str, Any]) -> Ending:
        error = stall_error(_text(node.get("node_id")), _text(node.get("node_type")))
        return ending(JobStatus.FAILED, Cause.STALLED, error)

    if "execution_interrupted" in events and facts.stalled:
        return stalled(events["execution_interrupted"])
    if "execution_interrupted" in events:
        return ending(JobStatus.CANCELED, Cause.INTERRUPTED)
    if "execution_success" in events or (report.succeeded and "execution_error" not in events):
        return ending(JobStatus.SUCCEEDED)
    fields = events.get("execution_error", {})
    cause = causes.cause_of(str(fields.get("exception_type", "")), str(fields.get("exception_message", "")))
    if cause is Cause.INTERRUPTED:  # a node that turns an interruption into an error of its own
        return stalled(fields) if facts.stalled else ending(JobStatus.CANCELED, cause)
    return ending(JobStatus.FAILED, cause, error_of(cause, fields))


def _by_name(messages: Sequence[Any]) -> dict[str, Mapping[str, Any]]:
    """The last message of each event. Other packs write messages too: what is not (event, fields) is passed over."""
    events: dict[str, Mapping[str, Any]] = {}
    for message in messages:
        if isinstance(message, (tuple, list)) and len(cast("Sequence[Any]", message)) == 2:
            event, fields = cast("Sequence[Any]", message)
            if isinstance(event, str):
                events[event] = cast("Mapping[str, Any]", fields) if isinstance(fields, Mapping) else {}
    return events


def error_of(cause: Cause, fields: Mapping[str, Any]) -> JobError:
    """The error of a failed run. The node's inputs, which core sends along, are left out: they are the client's data."""
    message = str(fields.get("exception_message", "")).strip() or "The run ended without saying why."
    trace = fields.get("traceback")
    lines = cast("Sequence[Any]", trace) if isinstance(trace, (list, tuple)) else ()
    return JobError(
        code=cause.value,
        message=message,
        node_id=_text(fields.get("node_id")),
        class_type=_text(fields.get("node_type")),
        exception_type=_text(fields.get("exception_type")),
        traceback="".join(str(line) for line in lines) or None,
    )


def stall_error(node_id: str | None, class_type: str | None) -> JobError:
    """The error of a run that was stopped for its silence."""
    where = "" if node_id is None else f" at node {node_id}" + (f" ({class_type})" if class_type else "")
    text = f"The run showed no sign of progress for so long{where} that it was stopped."
    return JobError(Cause.STALLED.value, text, node_id=node_id, class_type=class_type)


def collect_outputs(by_node: Mapping[str, Any]) -> tuple[Output, ...]:
    """Every file named in a run's outputs, in the order of the nodes; texts and other values are not files."""
    found: list[Output] = []
    for node_id, groups in by_node.items():
        if not isinstance(groups, Mapping):
            continue
        for group, entries in cast("Mapping[str, Any]", groups).items():
            if not isinstance(entries, (list, tuple)):
                continue
            for entry in cast("Sequence[Any]", entries):
                output = _output(str(node_id), str(group), entry)
                if output is not None:
                    found.append(output)
    return tuple(found)


def _from_cache(output: Output, facts: RunFacts) -> Output:
    heard = facts.nodes_executed is not None
    return replace(output, cached=True) if heard and output.node_id not in facts.ran else output


def _output(node_id: str, group: str, entry: Any) -> Output | None:
    if not isinstance(entry, Mapping):
        return None
    fields = cast("Mapping[str, Any]", entry)
    name = fields.get("filename")
    if not isinstance(name, str):
        return None
    suffix = name[name.rfind(".") :].lower() if "." in name else ""
    content_type = _CONTENT_TYPES.get(suffix, "application/octet-stream")
    kind = _KIND_BY_PREFIX.get(content_type.split("/", 1)[0], "file")
    if group == "latents" or suffix == ".latent":
        kind = "latent"
    return Output(
        node_id=node_id,
        name=name,
        subfolder=str(fields.get("subfolder", "")),
        folder=str(fields.get("type", "output")),
        kind=kind,
        content_type=content_type,
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
