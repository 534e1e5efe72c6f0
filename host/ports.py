"""What host needs from our other rooms, by shape; ``runtime`` joins them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from aiohttp import web

from ..jobs.entry import PreparedPrompt
from ..jobs.model import Cause, Claim, Job, JobError, JsonObject, NewBatch, NewJob, Payload, Principal, RequestKey
from ..jobs.settled import Settled
from ..jobs.waits import JobWait


class Finished(Protocol):
    """An ended job with what is kept of its history entry; ``store.base.Finished`` fits."""

    @property
    def job(self) -> Job:
        """The job."""
        ...

    @property
    def payload(self) -> Payload:
        """What it ran."""
        ...

    @property
    def history_json(self) -> str:
        """See ``jobs.model.Ending``; empty if nothing is kept."""
        ...


class Line(Protocol):
    """The durable queue as ComfyUI's queue needs it; ``store`` fits."""

    def enqueue(self, job: NewJob) -> Future[Job]:
        """Store a job; done when committed."""
        ...

    def enqueue_all(self, batch: NewBatch | None, jobs: Sequence[NewJob]) -> Future[tuple[Job, ...]]:
        """Store all jobs and their batch in one commit, or none; done when committed."""
        ...

    def cancel(self, job_id: str, cause: Cause = Cause.CANCELED) -> Future[Job]:
        """Cancel a job; done when committed."""
        ...

    def payload(self, job_id: str) -> Future[Payload | None]:
        """What a job runs."""
        ...

    def history(self, job_id: str) -> Future[Any]:
        """What the history shows of one job that ended, a ``Finished``; None if nothing."""
        ...

    def forget_history(self, job_ids: Sequence[str] | None = None) -> Future[None]:
        """Forget what is kept of ended jobs for ComfyUI's history: of these, or of all."""
        ...


class Depth(Protocol):
    """Gives each job its place among those that wait, or refuses it; ``intake.depth`` fits."""

    def enter(self, job: NewJob, *, refusable: bool) -> Callable[[], None]:
        """Take a place; call what comes back when the job's commit is done, either way.

        Raises ``Busy`` or ``Refused``, then nothing was taken; never for a job that is not ``refusable``.
        """
        ...

    def enter_all(self, jobs: Sequence[NewJob]) -> Callable[[], None]:
        """As ``enter``, for all jobs of one principal: each gets its place or none does."""
        ...


class Dispatch(Protocol):
    """Claim and settle, called on ComfyUI's worker thread; ``dispatch.dispatcher`` fits."""

    def owes(self) -> bool:
        """Whether something asked of the store is still open, so that ``claim`` has work to do even if nothing waits."""
        ...

    def claim(self, *, fresh: bool = True) -> Claim | None:
        """The next job, or None; unless ``fresh`` only what was asked before. May raise ``StoreUnavailable``."""
        ...

    def again_now(self, job_id: str, succeeded: bool, messages: list[Any], outputs: Mapping[str, Any]) -> bool:
        """Whether a run that has just failed is to be executed again at once, as a new attempt; never raises.

        Called after an execution and before its ``task_done``. True: the new attempt is committed; the caller frees memory
        and executes the prompt again. False: go on to ``finish``.
        """
        ...

    def finish(
        self,
        job_id: str,
        succeeded: bool,
        messages: list[Any],
        outputs: Mapping[str, Any],
        history_json: str | None = None,
    ) -> Settled:
        """Settle a run; never raises. ``history_json``: see ``jobs.model.Ending``.

        ``AGAIN``: the job waits in the store again, so the caller lists its item again (which still has its partner key).
        """
        ...

    def refuse(self, job_id: str, error: JobError) -> Settled:
        """Settle a claimed job that could not be started as failed; ``error.code`` names the cause. Never raises."""
        ...

    def put_off(self, job_id: str, error: JobError) -> Settled:
        """Settle a claimed job that could not be started for now; it may be tried again. Never raises."""
        ...

    def withdraw(self, job_id: str) -> Settled:
        """Settle a claimed job that was cancelled before it began; never raises."""
        ...

    def lost(self) -> list[str]:
        """The jobs whose owed end was refused since this was asked last: they are somebody else's by now."""
        ...

    def settle_arrived(self) -> None:
        """Commit the ends whose results have come home by now. Any thread; blocks; never raises."""
        ...

    def settled(self) -> list[str]:
        """The jobs that ended since this was asked last without ``finish``, ``refuse`` or ``withdraw`` having said ``ENDED``.

        First told ``OWED``, or ``AGAIN`` and cancelled before that was stored: then the relisted item has to go.
        """
        ...


class Abroad(Protocol):
    """Takes what the run of a job that was submitted to another instance says on its socket to that instance; ``outbound`` fits.
    Never raises."""

    def begin(self, job: Job) -> None:
        """Its run starts, on this thread."""
        ...

    def over(self, job_id: str) -> None:
        """Its run has said all it will, and its end is about to be stored."""
        ...

    def forget(self, job_id: str) -> None:
        """It runs here no more."""
        ...

    def takes(self, event: object, sid: object) -> bool:
        """Whether a message is one that such a run says: by the socket that it is for, or, for everybody's, by the thread."""
        ...

    def say(self, event: Any, data: Any, sid: Any) -> None:
        """Take this message there."""
        ...


class Words(Protocol):
    """Short words to other instances, at most once; ``store.relay.Relay`` fits. Never blocks, never raises."""

    def send(self, to: str | None, kind: str, body: bytes = b"") -> None:
        """Say something to an instance, or (None) to all others."""
        ...


class Handover(Protocol):
    """Brings files of a run to the instance where its job was submitted, while it runs."""

    def deliver(self, job_id: str, node_outputs: Any) -> Future[Any] | None:
        """What a node made, as that instance names it once its files are there; None: there is nothing to bring. Never raises, never
        blocks."""
        ...


class Signals(Protocol):
    """Who hears ComfyUI's socket messages about runs; ``dispatch.runs`` fits. Must be quick and never raise."""

    def signal(self, event: str, fields: Mapping[str, Any]) -> None:
        """One message."""
        ...


class Glimpses(Protocol):
    """Who passes on how running jobs go on; ``events.glimpses`` fits. Must be quick where nobody listens."""

    def progressed(self, job_id: str) -> None:
        """A run went on."""
        ...

    def previewed(self, job_id: str, facts: Callable[[], JsonObject | None]) -> None:
        """A run shows a picture; ``facts`` makes what is told of it."""
        ...


class StockGate(Protocol):
    """Judges bodies of stock routes; ``intake.gate`` fits."""

    def read(self, raw: bytes, remote: str | None, headers: Mapping[str, str]) -> PreparedPrompt:
        """Read a body of ``POST /prompt`` and whose it is; its graph is not judged yet. Raises ``ExpeditorError``."""
        ...

    def admit(self, prepared: PreparedPrompt) -> PreparedPrompt:
        """What may go on to core. Raises ``ExpeditorError``."""
        ...

    def lift(self, body: Any) -> tuple[Any, int | None]:
        """Take priorities out of a parsed body, whatever it is, and the one found; never raises."""
        ...

    def owner(self, body: Any) -> Principal:
        """Who a body says that it comes from, where nothing is known of its request; never raises."""
        ...

    def check(self, method: str, path: str, raw: bytes, query: Mapping[str, str]) -> None:
        """Check a body of another stock route. Raises ``ExpeditorError``."""
        ...


class Turn(Protocol):
    """One request's way in, while others with its key wait."""

    @property
    def earlier(self) -> Job | None:
        """The job that the request's key stands for already."""
        ...

    def done(self, job_id: str) -> None:
        """The request got this job in."""
        ...

    def close(self) -> None:
        """The request is over; idempotent."""
        ...


class Repeats(Protocol):
    """Finds out whether a request is a repeated one; ``intake.idempotency`` fits."""

    async def turn(self, principal: Principal, key: RequestKey) -> Turn:
        """Wait for requests with the same key before this one; close what comes back. Raises ``ExpeditorError``."""
        ...


class ErrorRenderer(Protocol):
    """Core's shape for our errors; ``routes.errors`` fits."""

    def __call__(self, error: Exception, place: str) -> web.Response:
        """The answer for a stock route; an error that is none of ours is logged with its ``place``."""
        ...


class RequestLog(Protocol):
    """Counts and logs requests; ``telemetry`` fits."""

    def request(
        self,
        *,
        method: str,
        route: str,
        path: str,
        status: int,
        duration_s: float,
        client_id: str | None,
        code: str | None,
    ) -> None:
        """One request was answered."""
        ...


class Inputs(Protocol):
    """Brings the input files of a claimed job here; ``foreign_inputs`` fits. Blocks: ComfyUI's worker thread."""

    def ready(self, claim: Claim) -> Claim | JobError:
        """The claim as it can run here; or why it cannot now. Never raises."""
        ...


class Members(Protocol):
    """The instances that share a queue. Blocks; any thread; raises what keeps the shared store from answering."""

    def url_of(self, instance: str) -> str | None:
        """Where a living instance is reached; None for one that is gone or unknown."""
        ...

    def secret(self) -> str:
        """What members show each other."""
        ...


class Questions(Protocol):
    """What runs ask people; ``events.parked_waits`` fits. Any thread."""

    def begin(self, prompt_id: str, waits: Sequence[JobWait]) -> None:
        """A run begins, or goes on with these questions."""
        ...

    def park(self, prompt_id: str) -> tuple[JobWait, ...]:
        """All questions of a run that is to be parked, open from now on until its job has ended; none when it cannot be."""
        ...

    def end(self, prompt_id: str) -> object:
        """A run is over and its job is not parked by it: it asks nobody any more."""
        ...


class ParkedRuns(Protocol):
    """What runs on this machine; ``dispatch.runs`` fits. Any thread."""

    def nodes_begun(self, job_id: str) -> int | None:
        """How many of a run's nodes have begun by now; None when it is not known, or the run is to be stopped."""
        ...
