"""``Expeditor``: one server with Expeditor as a typed object. For programs too; the commands use nothing else.

    server = Expeditor(Transport("http://127.0.0.1:8188"))
    job = server.submit(prompt, Wish(priority=8), key=str(uuid4()))
    job = server.wait(job.id)

Blocking; may be shared by threads. Every call raises ``Refused``, ``Busy`` (after the transport's patience) or ``Unreachable``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

from .faults import Refused
from .records import Job, JsonObject, Output, Page
from .transport import Ask, Transport, refusal

POLL_S = 1.0
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Wish:
    """What a submit may ask for besides its prompt; None: the server's default. ``priority`` 1 to 10, 10 is most urgent."""

    priority: int | None = None
    front: bool | None = None
    client_id: str | None = None
    metadata: Mapping[str, str] | None = None
    not_before: str | None = None
    expires_in_s: float | None = None
    max_attempts: int | None = None
    extra_data: JsonObject | None = None

    def fields(self) -> JsonObject:
        """As the body's fields."""
        return {name: value for name, value in asdict(self).items() if value is not None}


class Expeditor:
    """The routes of one server, ``docs/api.md``."""

    kind = "expeditor"

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def submit(self, prompt: JsonObject, wish: Wish | None = None, *, key: str, repeat: bool = False) -> Job:
        """The accepted job: it is on the server's disk. The same ``key`` and prompt again get the same job.

        ``repeat`` (this key may have been sent before) makes a difference on stock ComfyUI alone.
        """
        del repeat  # the server knows
        fields = (wish or Wish()).fields()
        headers = {"Idempotency-Key": key}
        return self._job(Ask("POST", "/expeditor/submit", json={"prompt": prompt, **fields}, headers=headers))

    def validate(self, prompt: JsonObject, wish: Wish | None = None) -> JsonObject:
        """The verdict on a prompt that is not queued; raises ``Refused`` with all faults."""
        return self._told(Ask("POST", "/expeditor/validate", json={"prompt": prompt, **(wish or Wish()).fields()}))

    def job(self, job_id: str) -> Job:
        """The job as it stands."""
        return self._job(Ask("GET", _path(job_id)))

    def page(self, limit: int = 50, cursor: str | None = None, **filters: str) -> Page:
        """Jobs, newest first. ``filters``: ``status``, ``cause``, ``principal``, ``held``, ``batch``, ``metadata.<key>``."""
        params = {"limit": str(limit), **({"cursor": cursor} if cursor else {}), **filters}
        told = self._told(Ask("GET", "/expeditor/jobs", params=params))
        return Page(tuple(Job.of(each) for each in told["jobs"]), told["next_cursor"])

    def jobs(self, **filters: str) -> Iterator[Job]:
        """All jobs that the filters pick, newest first."""
        cursor: str | None = None
        while True:
            page = self.page(PAGE, cursor, **filters)
            yield from page.jobs
            cursor = page.next_cursor
            if cursor is None:
                return

    def wait(self, job_id: str, poll_s: float = POLL_S) -> Job:
        """The job once it has ended, however long that takes."""
        while not (job := self.job(job_id)).ended:
            self.transport.wait(poll_s)
        return job

    def ended_within(self, job_id: str, wait_s: float) -> bool:
        """Whether the job ended before so many seconds were over: the server holds the answer until then."""
        return self._job(Ask("GET", _path(job_id), params={"wait_s": f"{wait_s:g}"})).ended

    def cancel(self, job_id: str) -> Job:
        """Cancel it, whether it waits or runs; harmless when it has ended."""
        return self._act(job_id, "cancel")

    def retry(self, job_id: str) -> Job:
        """Run a job again that ended badly."""
        return self._act(job_id, "retry")

    def hold(self, job_id: str) -> Job:
        """Keep a waiting job back."""
        return self._act(job_id, "hold")

    def release(self, job_id: str) -> Job:
        """Let it go on."""
        return self._act(job_id, "release")

    def priority(self, job_id: str, priority: int | None = None) -> Job:
        """Give a waiting job another priority; None: put it before everything that waits."""
        body: JsonObject = {"front": True} if priority is None else {"priority": priority}
        return self._job(Ask("POST", _path(job_id, "priority"), json=body))

    def cancel_many(self, **chosen: Any) -> JsonObject:
        """Cancel all that the filter picks (``status``, ``principal``, ``cause``, ``priority``, ``held``, ``ids``, ``all``): the report."""
        return self._told(Ask("POST", "/expeditor/jobs/cancel", json=chosen))

    def retry_many(self, **chosen: Any) -> JsonObject:
        """Retry all that the filter picks."""
        return self._told(Ask("POST", "/expeditor/jobs/retry", json=chosen))

    def submit_batch(self, body: JsonObject, *, key: str) -> JsonObject:
        """Many jobs in one commit, docs/batches.md: the batch. The same ``key`` and body again get the same batch.

        Tried again only where no answer came: a 429 may mean that there is room for some, and is the caller's to judge.
        """
        final = frozenset({429})
        answer = self.transport.ask(
            Ask("POST", "/expeditor/batches", json=body, headers={"Idempotency-Key": key}, final=final)
        )
        if answer.status_code in final:
            raise refusal(answer)
        return answer.json()

    def batch_results(self, batch_id: str) -> JsonObject:
        """Every job of a batch by its place, and what was refused."""
        return self._told(Ask("GET", f"/expeditor/batches/{quote(batch_id, safe='')}/results"))

    def queue(self) -> JsonObject:
        """The queue at a glance."""
        return self._told(Ask("GET", "/expeditor/queue"))

    def steer(self, verb: str) -> JsonObject:
        """``pause``, ``resume`` or ``drain``: the queue after it."""
        return self._told(Ask("POST", f"/expeditor/queue/{verb}"))

    def workers(self) -> JsonObject:
        """The instances that share the queue."""
        return self._told(Ask("GET", "/expeditor/workers"))

    def worker(self, name: str) -> JsonObject:
        """One instance, with the node classes and the model files that it has."""
        return self._told(Ask("GET", f"/expeditor/workers/{quote(name, safe='')}"))

    def machines(self) -> int:
        """How many instances start jobs now; 1 at least."""
        there = (each for each in self.workers()["workers"] if "worker" in each["roles"])
        return max(sum(each["state"] == "active" for each in there), 1)

    def steer_workers(self, verb: str, name: str | None = None) -> JsonObject:
        """``pause``, ``resume`` or ``drain`` one instance, or (None) every one that lives: those that were asked."""
        where = "" if name is None else f"/{quote(name, safe='')}"
        return self._told(Ask("POST", f"/expeditor/workers{where}/{verb}"))

    def waits(self) -> list[JsonObject]:
        """The nodes that wait for a person, oldest first, ``docs/api.md#messages``."""
        return list(self._told(Ask("GET", "/expeditor/messages/pending"))["pending"])

    def answer(self, wait: JsonObject, message: str) -> JsonObject:
        """Answer one of ``waits``: where it went. ``Refused`` with 410 when it is over, also by an answer of ours that got no reply."""
        body = {"message": message, "node_id": wait["node_id"], "token": wait["token"]}
        return self._told(Ask("POST", "/expeditor/messages", json=body))

    def health(self) -> JsonObject:
        """How the server is."""
        return self._told(Ask("GET", "/expeditor/health"))

    def ready(self) -> tuple[bool, JsonObject]:
        """Whether it should get work, and what it says."""
        answer = self.transport.ask(Ask("GET", "/expeditor/ready", final=frozenset({503})))
        return answer.is_success, answer.json()

    def upload(self, picture: Path) -> str:
        """Put a file into ComfyUI's input folder: the name that ``LoadImage`` knows it by. The same file again gets the same name."""
        return upload(self.transport, picture)

    def save(self, output: Output, target: Path) -> None:
        """Save a job's output as ``target``: whole, or not at all."""
        self.transport.fetch(urljoin(self.transport.url + "/", output.url), target)

    def _act(self, job_id: str, verb: str) -> Job:
        return self._job(Ask("POST", _path(job_id, verb)))

    def _job(self, request: Ask) -> Job:
        return Job.of(self._told(request))

    def _told(self, request: Ask) -> JsonObject:
        return answered(self.transport, request)


def _path(job_id: str, verb: str = "") -> str:
    return "/".join(part for part in ("/expeditor/jobs", quote(job_id, safe=""), verb) if part)


def answered(transport: Transport, request: Ask) -> JsonObject:
    """The JSON object of an answer; ``Refused`` when it is none, as from a proxy's page."""
    answer = transport.ask(request)
    try:
        told = answer.json()
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise Refused(answer.status_code, "NOT_JSON", f"{answer.url} answered something that is not a JSON object")
    return told  # pyright: ignore[reportUnknownVariableType] - JSON


def upload(transport: Transport, picture: Path) -> str:
    """See ``Expeditor.upload``."""
    told = answered(transport, Ask("POST", "/upload/image", files={"image": (picture.name, picture.read_bytes())}))
    return "/".join(part for part in (str(told["subfolder"]), str(told["name"])) if part)
