"""A ComfyUI without Expeditor, as far as it can do what ``api.Expeditor`` does: submit, look, cancel, save.

Its jobs are read from ``/queue`` and ``/history``. It keeps nothing over a restart, knows no priorities, and does not notice
a repeated submit: this client chooses the ``prompt_id`` and looks for it before it sends anything again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlencode, urljoin

from .api import POLL_S, Wish, answered, upload
from .faults import NotHere, Refused, Unreachable
from .records import Job, JsonObject, Output
from .transport import Ask, Transport

LOST = "LOST"
"""The cause of a job that stock ComfyUI does not know any more."""


class StockComfyUI:
    """One ComfyUI by its own routes."""

    kind = "stock"

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def submit(self, prompt: JsonObject, wish: Wish | None = None, *, key: str, repeat: bool = False) -> Job:
        """The accepted job; its id is ``key``, a UUID. It is lost if ComfyUI stops before it has run.

        ``repeat``: this key may have been sent before, so look for its job first.
        """
        wish = wish or Wish()
        for name in ("priority", "not_before", "expires_in_s", "max_attempts"):
            if getattr(wish, name) is not None:
                raise NotHere(f"{name.replace('_', ' ')} {_WITHOUT}")
        if repeat and (known := self._find(key)):
            return known
        body: JsonObject = {"prompt": prompt, "prompt_id": key, "extra_data": wish.extra_data or {}}
        body |= {"client_id": wish.client_id} if wish.client_id else {}
        body |= {"front": True} if wish.front else {}
        try:
            answered(self.transport, Ask("POST", "/prompt", json=body, safe=False))
        except Unreachable:
            found = self._find(key)  # waits until it answers again; only the answer may have been lost
            if found is None:
                raise
            return found
        return _unfinished(key, "queued", None)

    def job(self, job_id: str) -> Job:
        """The job as it stands; ``Refused`` when ComfyUI does not know it (any more)."""
        found = self._find(job_id)
        if found is None:
            raise Refused(404, "NOT_FOUND", f"ComfyUI does not know the job {job_id}: it forgets all at a restart.")
        return found

    def jobs(self, **filters: str) -> Iterator[Job]:
        """What waits, runs and is in the history, newest first; of the filters stock has ``status`` alone."""
        if set(filters) - {"status"}:
            raise NotHere(f"a filter by {', '.join(sorted(set(filters) - {'status'}))} {_WITHOUT}")
        wanted = set(filters.get("status", "").split(",")) - {""}
        history: Mapping[str, Any] = self._told("/history")
        ended = [_of_history(job_id, entry) for job_id, entry in history.items()]
        for job in [*reversed(self._unfinished()), *reversed(ended)]:
            if not wanted or job.status in wanted:
                yield job

    def wait(self, job_id: str, poll_s: float = POLL_S) -> Job:
        """The job once it has ended."""
        while not (job := self.job(job_id)).ended:
            self.transport.wait(poll_s)
        return job

    def cancel(self, job_id: str) -> Job:
        """Cancel it, whether it waits or runs; a waiting one is gone without a trace."""
        job = self.job(job_id)
        if job.status == "queued":
            self.transport.ask(Ask("POST", "/queue", json={"delete": [job_id]}))
            return self._find(job_id) or Job(
                job_id, "canceled", cause="CANCELED", wire={"id": job_id, "status": "canceled"}
            )
        if job.status == "running":
            self.transport.ask(Ask("POST", "/interrupt", json={"prompt_id": job_id}))
            return self.job(job_id)
        return job

    def queue(self) -> JsonObject:
        """How many wait and run; the rest that Expeditor tells is not known."""
        told = self._told("/queue")
        return {"waiting": len(told["queue_pending"]), "running": len(told["queue_running"])}

    def upload(self, picture: Path) -> str:
        """See ``Expeditor.upload``."""
        return upload(self.transport, picture)

    def save(self, output: Output, target: Path) -> None:
        """See ``Expeditor.save``."""
        self.transport.fetch(urljoin(self.transport.url + "/", output.url), target)

    def _find(self, job_id: str) -> Job | None:
        # The history first and last: between the two looks a job may have moved on, never back.
        for _ in range(2):
            if entry := self._told(f"/history/{quote(job_id, safe='')}").get(job_id):
                return _of_history(job_id, entry)
            for job in self._unfinished():
                if job.id == job_id:
                    return job
        return None

    def _unfinished(self) -> list[Job]:
        """What runs, then what waits, next first."""
        told = self._told("/queue")
        running = [_unfinished(str(item[1]), "running", None) for item in told["queue_running"]]
        pending = sorted(told["queue_pending"], key=lambda item: item[0])
        return running + [_unfinished(str(item[1]), "queued", place) for place, item in enumerate(pending, 1)]

    def _told(self, path: str) -> JsonObject:
        return answered(self.transport, Ask("GET", path))


_WITHOUT = "needs Expeditor, and this server is a ComfyUI without it."


def _unfinished(job_id: str, status: str, position: int | None) -> Job:
    return Job(job_id, status, position=position, wire={"id": job_id, "status": status, "position": position})


def _of_history(job_id: str, entry: Mapping[str, Any]) -> Job:
    status: Mapping[str, Any] = entry.get("status") or {}
    messages: dict[str, Any] = dict(status.get("messages") or ())
    outputs = tuple(_outputs(entry.get("outputs") or {}))
    error: str | None = None
    cause: str | None = None
    verdict = "succeeded"
    if status.get("status_str") == "error":
        failed: Mapping[str, Any] = messages.get("execution_error") or {}
        verdict, cause = ("failed", "NODE_ERROR") if failed else ("canceled", "CANCELED")
        if failed:
            error = f"node {failed.get('node_id')} ({failed.get('node_type')}): {failed.get('exception_message', '')}".strip()
    wire: JsonObject = {
        "id": job_id,
        "status": verdict,
        "cause": cause,
        "error": None if error is None else {"message": error},
        "outputs": [
            {"node_id": each.node_id, "name": each.name, "type": each.kind, "url": each.url} for each in outputs
        ],
    }
    return Job(job_id, verdict, cause=cause, error=error, outputs=outputs, wire=wire)


def _outputs(told: Mapping[str, Mapping[str, Any]]) -> Iterator[Output]:
    for node_id, kinds in told.items():
        for kind, listed in kinds.items():
            files = cast("list[Any]", listed) if isinstance(listed, list) else []
            for file in files:
                if isinstance(file, dict) and "filename" in file:
                    entry = cast("dict[str, Any]", file)
                    place = {name: str(entry.get(name, "")) for name in ("filename", "subfolder", "type")}
                    yield Output(node_id, place["filename"], kind, f"/view?{urlencode(place)}")
