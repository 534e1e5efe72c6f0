"""What this machine owes the store: ends of runs, and jobs to put back, that could not be committed yet.

Owns that none of them is lost while the store is away and none is asked twice: a verb whose answer did not come in time may
still take effect, so its future is kept and waited for again. Debts are paid in their order, and all before the next claim,
so nothing runs on top of an unsettled job (a crash in between means that the job runs again: at least once, one finishing
attempt). An end whose results are on their way to where the job was submitted is owed too, and holds up no other. Used by the worker
thread, when a run is given up by the watchdog's, and when results have arrived late by one of their own: one of them pays at a time.
Does not own what is owed (``dispatcher``).
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Any, TypeVar

from ..jobs.errors import Conflict, NotFound, StoreUnavailable
from ..jobs.model import Attempt, Cause, Ending, Job, JobError, JobStatus
from ..jobs.settled import Settled
from ..jobs.transitions import is_terminal
from ..jobs.waits import JobWait
from ..store.base import JobStore

log = logging.getLogger("expeditor.dispatch")
_T = TypeVar("_T")

_TAKEN_AWAY = frozenset({Cause.PROCESS_DIED, Cause.LEASE_LOST})
"""Why an attempt is closed that somebody else gave up."""


@dataclass(slots=True, eq=False)
class Debt:
    """The end of one attempt: the job's end, or with ``put_back`` its return into the queue, due at ``not_before_s``.

    ``rerun``: the attempt was to be followed by another one at once, and whether that was committed is not known yet.
    ``fenced``: other instances may run the job too, so an end that is refused is not this instance's to tell.
    ``park``: the job is parked with these questions.
    ``home``: the run's results are on their way; what comes is the ending to be stored. ``over``: what became of it. ``left``:
    whoever owed it has gone on, so ``Debts`` tells of it.
    """

    job_id: str
    attempt: int
    ending: Ending
    put_back: bool = False
    park: tuple[JobWait, ...] = ()
    not_before_s: float | None = None
    rerun: Future[Job] | None = None
    asked: Future[Job] | None = None
    fenced: bool = False
    home: Future[Ending] | None = None
    over: Settled | None = None
    left: bool = False


class Debts:
    """See the module's docstring."""

    def __init__(self, store: JobStore, deadline_s: float) -> None:
        """``deadline_s`` bounds every single wait for the store."""
        self._store = store
        self._deadline_s = deadline_s
        self._paying = threading.Lock()
        self._owed: list[Debt] = []
        self._ended: list[str] = []
        self._lost: list[str] = []

    def __bool__(self) -> bool:
        """Whether anything is owed."""
        return bool(self._owed)

    def add(self, debt: Debt) -> None:
        """Owe this too."""
        self._owed.append(debt)

    def pay(self) -> None:
        """Commit all that is owed, in order, but for runs whose results are on their way still. Raises ``StoreUnavailable``: then the
        rest stays owed."""
        with self._paying:
            for debt in tuple(self._owed):
                if debt.home is not None and not debt.home.done():
                    continue
                if debt.home is not None:
                    debt.ending, debt.home = debt.home.result(), None
                if debt.rerun is None or self._rerun_is_over(debt, debt.rerun):
                    self._commit(debt)
                self._owed.remove(debt)

    def on_the_way(self) -> int:
        """How many runs' results are on their way."""
        return sum(debt.home is not None for debt in tuple(self._owed))

    def leave(self, debt: Debt) -> Settled | None:
        """What became of this debt; None while it is owed, and from now on ``ended`` or ``lost`` tell of it."""
        with self._paying:
            debt.left = debt.over is None
            return debt.over

    def ended(self) -> list[str]:
        """The jobs whose end was paid since this was asked last, of debts that were left; those that were put back are not among them."""
        with self._paying:
            ended, self._ended = self._ended, []
            return ended

    def lost(self) -> list[str]:
        """The jobs whose end was refused since this was asked last, of debts that were left."""
        with self._paying:
            lost, self._lost = self._lost, []
            return lost

    def wait(self, future: Future[_T]) -> _T:
        """What the store answers. Raises ``StoreUnavailable`` when it does not in time, else what the verb raised."""
        self.wait_done(future)
        return future.result()

    def wait_done(self, future: Future[Any]) -> None:
        """Raise ``StoreUnavailable`` unless the store answers in time."""
        # Not ``result(timeout)``: whether *this* wait ran out must be told apart from a future that is done a moment later.
        if not wait([future], self._deadline_s).done:
            raise StoreUnavailable(f"The store did not answer within {self._deadline_s:g} s.")

    def _rerun_is_over(self, debt: Debt, rerun: Future[Job]) -> bool:
        """Learn what became of a rerun; False when the job has ended by it, so that nothing is left to commit."""
        self.wait_done(rerun)
        debt.rerun = None
        if rerun.exception() is not None:
            return True  # nothing has changed: the attempt is still open
        job = rerun.result()
        if is_terminal(job.status):
            self._over(debt, Settled.ENDED)
            return False
        # The store opened another attempt, and nobody runs it: it is closed as one that counts for nothing.
        error = JobError(Cause.INTERRUPTED.value, "The attempt never began: the store answered too late.")
        at_s = job.attempts[-1].started_at_s
        debt.attempt, debt.put_back = job.attempt, True
        debt.ending = Ending(JobStatus.FAILED, at_s, 0.0, cause=Cause.INTERRUPTED, error=error)
        return True

    def _commit(self, debt: Debt) -> None:
        debt.asked = debt.asked or self._ask(debt)
        self.wait_done(debt.asked)
        asked, debt.asked = debt.asked, None
        error = asked.exception()
        if isinstance(error, StoreUnavailable):
            raise error
        known = self._stored(debt) if debt.fenced and isinstance(error, Conflict) else None
        if known is not None:
            # An earlier try came through, and its answer was lost: nobody else has the job.
            self._over(debt, known)
            return
        if error is not None:
            _tell_refused(debt, error)
        if debt.fenced and isinstance(error, (Conflict, NotFound)):
            self._over(debt, Settled.LOST)
        elif error is not None or is_terminal(asked.result().status):
            self._over(debt, Settled.ENDED)
        else:
            self._over(debt, Settled.AGAIN)

    def _stored(self, debt: Debt) -> Settled | None:
        """What became of the debt if it is this very end that stands in the store; None if it is not."""
        job = self.wait(self._store.get(debt.job_id))
        if job is not None and debt.park and _is_parked_by(job, debt):
            return Settled.AGAIN
        if job is None or not any(_is_end_of(attempt, debt) for attempt in job.attempts):
            return None
        return Settled.ENDED if is_terminal(job.status) and job.attempt == debt.attempt else Settled.AGAIN

    def _over(self, debt: Debt, settled: Settled) -> None:
        debt.over = settled
        if debt.left and settled is Settled.LOST:
            self._lost.append(debt.job_id)
        elif debt.left and settled is Settled.ENDED:
            self._ended.append(debt.job_id)

    def _ask(self, debt: Debt) -> Future[Job]:
        if debt.park:
            return self._store.park(debt.job_id, debt.attempt, debt.park, debt.ending)
        if debt.put_back:
            return self._store.retry(debt.job_id, debt.attempt, debt.ending, debt.not_before_s)
        return self._store.finish(debt.job_id, debt.attempt, debt.ending)


def _is_end_of(attempt: Attempt, debt: Debt) -> bool:
    # The moment tells it: whoever else ends the attempt does so at another one, and for a cause that no run ends with.
    at_its_end = attempt.number == debt.attempt and attempt.finished_at_s == debt.ending.finished_at_s
    return at_its_end and attempt.cause not in _TAKEN_AWAY


def _is_parked_by(job: Job, debt: Debt) -> bool:
    waits = () if job.parked is None or job.status is not JobStatus.WAITING else job.parked.waits
    return job.attempt == debt.attempt and [wait.token for wait in waits] == [wait.token for wait in debt.park]


def _tell_refused(debt: Debt, error: BaseException) -> None:
    if isinstance(error, (Conflict, NotFound)):
        extra = {"event": "result.refused", "job_id": debt.job_id}
        log.warning("A late result was refused: %s", error.message, extra=extra)
    else:
        # Trying for ever would stop the queue; the start after this process recovers the job.
        extra = {"event": "result.lost", "job_id": debt.job_id}
        log.error("The end of a job cannot be stored: %s", error, extra=extra)
