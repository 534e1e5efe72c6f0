"""From the line to the machine: claim, and settle what was claimed.

Runs on ComfyUI's worker thread. Owns when a claim is tried and that no ending is lost while the store is away: an ending
that cannot be committed is kept and committed before the next claim, so nothing runs on top of an unsettled job (a crash
in between means the job runs again: at least once, one finishing attempt). A verb whose answer did not come in time may
still take effect: its future is kept and waited for again, never asked twice. Does not own the order (``store``) nor how
a run is judged (``verdict``).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from ..jobs.errors import Conflict, ExpeditorError, NotFound, StoreUnavailable
from ..jobs.model import Cause, Claim, Ending, Job, JobError, JobStatus
from ..jobs.settled import Settled
from ..store.base import JobStore, Recovered, RecoveryRule
from .ports import OutputFiles, RunObserver
from .runs import RunTable
from .stall import RunSigns
from .verdict import RunReport, judge, stall_error

log = logging.getLogger("expeditor.dispatch")
Clock = Callable[[], float]
_T = TypeVar("_T")
_SECRET_LOST = "The job needs a partner key that was sent with it; keys are never stored and the server restarted. Submit it again."


@dataclass(slots=True)
class _Unsettled:
    job_id: str
    attempt: int
    ending: Ending
    asked: Future[Job] | None = None


class Dispatcher:
    """One machine's dispatcher. ``claim`` and ``finish`` are called by one thread at a time."""

    def __init__(
        self,
        *,
        store: JobStore,
        runs: RunTable,
        files: OutputFiles,
        observer: RunObserver,
        clock: Clock,
        monotonic: Clock,
        deadline_s: float,
    ) -> None:
        """``deadline_s`` bounds every wait for the store; ``clock`` tells times, ``monotonic`` measures gaps."""
        self._store = store
        self._runs = runs
        self._files = files
        self._observer = observer
        self._clock = clock
        self._monotonic = monotonic
        self._deadline_s = deadline_s
        self._attempts: dict[str, int] = {}  # of the jobs that run here, by job id
        self._unsettled: list[_Unsettled] = []
        self._settled_late: list[str] = []  # that the host has not heard of
        self._freed: tuple[float, float] | None = None  # when the last run ended: by the clock, and monotonic
        self._asked: Future[Claim | None] | None = None

    def recover(self, rule: RecoveryRule = RecoveryRule()) -> Recovered:  # noqa: B008 - a frozen value
        """What waits from before this start; called once, before the first claim. Raises ``StoreUnavailable``."""
        del rule
        recovered = self._wait(self._store.recover())
        kept: list[Any] = []
        for job, payload in recovered.waiting:
            if job.needs_secret:
                self.give_up(job.id, Cause.SECRET_LOST, _SECRET_LOST)
            else:
                kept.append((job, payload))
        return replace(recovered, waiting=tuple(kept))

    def owes(self) -> bool:
        """Whether something asked of the store is still open: ``claim`` has work to do even if nothing waits."""
        return bool(self._unsettled) or self._asked is not None

    def claim(self) -> Claim | None:
        """The next job to run, or None when nothing waits. Raises ``StoreUnavailable`` while the store is away, else nothing."""
        try:
            self._settle_leftovers()
            claim = self._next()
        except StoreUnavailable:
            raise
        except ExpeditorError as error:
            # Whatever else the store can fail with: the worker thread must live and ask again later.
            raise StoreUnavailable(error.message) from error
        if claim is None:
            return None
        self._tell_gap(claim)
        self._attempts[claim.job.id] = claim.attempt
        classes = node_classes(claim.payload.prompt_json)
        self._runs.begin(claim.job.id, classes, claim.job.estimated_s, claim.attempt)
        return claim

    def finish(
        self,
        job_id: str,
        succeeded: bool,
        messages: Sequence[tuple[str, Mapping[str, Any]]],
        outputs: Mapping[str, Any],
        history_json: str | None = None,
    ) -> Settled:
        """Settle the run of ``job_id``. Never raises: what cannot be committed now is committed before the next claim."""
        facts = self._runs.end(job_id, self._clock())
        try:
            ending = self._sized(judge(RunReport(succeeded=succeeded, messages=messages, outputs=outputs), facts))
        except Exception as error:  # noqa: BLE001 - nodes hand over objects of their own, which may fail in any way
            log.warning("What a run left behind cannot be read", exc_info=True, extra={"job_id": job_id})
            fault = JobError(
                Cause.NODE_ERROR.value, f"What the run left behind cannot be read ({type(error).__name__})."
            )
            ending = Ending(JobStatus.FAILED, facts.finished_at_s, facts.run_s, cause=Cause.NODE_ERROR, error=fault)
        return self._settle(job_id, replace(ending, history_json=history_json))

    def again_now(
        self,
        job_id: str,
        succeeded: bool,
        messages: Sequence[tuple[str, Mapping[str, Any]]],
        outputs: Mapping[str, Any],
    ) -> bool:
        """Whether the run that has just failed runs again at once. Never raises."""
        del job_id, succeeded, messages, outputs
        return False

    def settled(self) -> list[str]:
        """The jobs whose end was owed and is over now, each told once."""
        settled, self._settled_late = self._settled_late, []
        return settled

    def refuse(self, job_id: str, error: JobError) -> Settled:
        """Settle a claimed job that could not be started as failed; ``error.code`` names the cause. Never raises."""
        facts = self._runs.end(job_id, self._clock())
        ending = Ending(JobStatus.FAILED, facts.finished_at_s, 0.0, cause=Cause(error.code), error=error)
        return self._settle(job_id, ending)

    def withdraw(self, job_id: str) -> Settled:
        """Settle a claimed job that was cancelled before it began. Never raises."""
        facts = self._runs.end(job_id, self._clock())
        return self._settle(job_id, Ending(JobStatus.CANCELED, facts.finished_at_s, 0.0, cause=Cause.CANCELED))

    def abandon(self, run: RunSigns) -> bool:
        """See ``watchdog.Abandoning``: for a process that is about to end itself. Called by the watchdog's thread."""
        if run.job_id in self._attempts:
            facts = self._runs.end(run.job_id, self._clock())
            error = stall_error(run.node_id, run.class_type)
            ending = Ending(
                JobStatus.FAILED, facts.finished_at_s, facts.run_s, Cause.STALLED, error, last_node_id=run.node_id
            )
            self._settle(run.job_id, ending)
            return not self._unsettled
        try:
            self._settle_leftovers()
        except StoreUnavailable:
            return False
        return True

    def _tell_gap(self, claim: Claim) -> None:
        freed, self._freed = self._freed, None
        if freed is not None and claim.job.queued_at_s <= freed[0]:
            self._observer.gap(self._monotonic() - freed[1])

    def _next(self) -> Claim | None:
        asked = self._asked = self._asked or self._store.claim()
        self._await(asked)
        self._asked = None
        return asked.result()

    def _sized(self, ending: Ending) -> Ending:
        size_bytes = self._files.size_bytes
        sized = (replace(one, size_bytes=size_bytes(one.folder, one.subfolder, one.name)) for one in ending.outputs)
        return replace(ending, outputs=tuple(sized))

    def _settle(self, job_id: str, ending: Ending) -> Settled:
        attempt = self._attempts.pop(job_id, None)
        if attempt is None:
            log.warning("A run ended that was not claimed here", extra={"event": "run.unknown", "job_id": job_id})
            return Settled.ENDED
        self._freed = (self._clock(), self._monotonic())
        self._unsettled.append(_Unsettled(job_id, attempt, ending))
        try:
            self._settle_leftovers()
        except StoreUnavailable as error:
            log.warning(
                "The end of a job could not be stored yet; it is stored before the next job starts: %s",
                error.message,
                extra={"event": "store.unavailable", "job_id": job_id, "code": error.code},
            )
            return Settled.OWED
        self._settled_late.remove(job_id)
        return Settled.ENDED

    def _settle_leftovers(self) -> None:
        while self._unsettled:
            left = self._unsettled[0]
            left.asked = left.asked or self._store.finish(left.job_id, left.attempt, left.ending)
            self._await(left.asked)
            asked, left.asked = left.asked, None
            error = asked.exception()
            if isinstance(error, StoreUnavailable):
                raise error
            if isinstance(error, (Conflict, NotFound)):
                log.warning(
                    "A late result was refused: %s",
                    error.message,
                    extra={"event": "result.refused", "job_id": left.job_id},
                )
            elif error is not None:
                # Trying for ever would stop the queue; the start after this process recovers the job.
                log.error(
                    "The end of a job cannot be stored: %s",
                    error,
                    extra={"event": "result.lost", "job_id": left.job_id},
                )
            self._settled_late.append(self._unsettled.pop(0).job_id)

    def give_up(self, job_id: str, cause: Cause, message: str) -> None:
        """Fail a waiting job that can never run. Never raises; waits for the commit."""
        error = JobError(code=cause.value, message=message)
        ending = Ending(JobStatus.FAILED, self._clock(), 0.0, cause=cause, error=error)
        try:
            self._wait(self._store.fail_queued(job_id, ending))
        except ExpeditorError as refused:
            log.warning("Could not fail a job that cannot run: %s", refused.message, extra={"job_id": job_id})

    def _wait(self, future: Future[_T]) -> _T:
        self._await(future)
        return future.result()

    def _await(self, future: Future[Any]) -> None:
        # Not ``result(timeout)``: whether *this* wait ran out must be told apart from a future that is done a moment later.
        if not wait([future], self._deadline_s).done:
            raise StoreUnavailable(f"The store did not answer within {self._deadline_s:g} s.")


def node_classes(prompt_json: str) -> dict[str, str]:
    """Node ids to class types of a stored prompt; none of one that cannot be read."""
    try:
        prompt = json.loads(prompt_json)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(prompt, dict):
        return {}
    nodes = cast("dict[str, Any]", prompt)
    return {
        node_id: str(cast("dict[str, Any]", node).get("class_type"))
        for node_id, node in nodes.items()
        if isinstance(node, dict)
    }
