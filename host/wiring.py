"""What our queue class needs beside core's own attributes: one object on the swapped instance."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from ..jobs.model import DEFAULT_POOL, Claim, Job, JobError, NewJob
from .context import Submission
from .endings import Endings, Word
from .farewells import Farewells
from .native import NativeItem, new_job
from .ports import Abroad, Depth, Dispatch, Inputs, Line

Proof = Callable[[NativeItem], JobError | None]
"""Why a job of an earlier start can no longer run, or None. Called on ComfyUI's worker thread; never raises."""


@dataclass(frozen=True, slots=True)
class Told:
    """What is said of a job's end: ``endings`` of those that ran, ``farewells`` of those that did not.

    ``history_max_bytes`` bounds what the store keeps of each entry of ComfyUI's history; 0 keeps none.
    """

    endings: Endings
    farewells: Farewells
    history_max_bytes: int = 0

    def end_of_run(self, job_id: str, *, restored: bool, instead: Word | None) -> None:
        """A run's end is committed. Of a job of an earlier start the client may not be back yet: it hears it when it is.

        ``instead``: the last word, if the job did not end as the run says.
        """
        if instead is not None:
            self.endings.correct(job_id, instead)
        if restored and self.farewells.is_away(self.endings.client_of(job_id)):
            handed = self.endings.hand_over(job_id)
            if handed is not None:
                client_id, frame = handed
                self.farewells.tell_client(client_id, job_id, (frame.event, dict(frame.fields)))
        self.endings.ended(job_id)

    def between_runs(self) -> None:
        """The worker thread has said all it will of the last run: tell its client what waited for that."""
        for client_id in self.endings.rest():
            self.farewells.catch_up(client_id)


class QueueWiring:
    """The collaborators and the state of the swapped queue; guarded by the queue's mutex."""

    def __init__(
        self,
        *,
        line: Line,
        depth: Depth,
        dispatch: Dispatch,
        clock: Callable[[], float],
        told: Told,
        proof: Proof | None = None,
        origin: str | None = None,
        usual_pool: Callable[[], str] = lambda: DEFAULT_POOL,
        abroad: Abroad | None = None,
        inputs: Inputs | None = None,
    ) -> None:
        """Claims are closed until ``open``: the store is opened after ComfyUI's worker thread has started. ``origin``: this
        instance where several share the queue; ``usual_pool``: of jobs that name none; ``abroad`` takes what others' jobs say, ``inputs``
        brings what they read."""
        self.line = line
        self.depth = depth
        self.dispatch = dispatch
        self.clock = clock
        self.told = told
        self.proof, self.origin = proof, origin
        self._usual_pool = usual_pool
        self.abroad, self.inputs = abroad, inputs
        self.open = self.stood_down = self.store_away = False
        self.restored = False  # whether what waited before this start is listed
        self.uncommitted: list[NativeItem] = []
        self.deleted: set[str] = set()
        self.cores_own: set[int] = set()
        """Runs, by their counter, that core started while the queue was core's: none of ours."""
        self.worker: threading.Thread | None = None
        self.wakes = 0
        self.arriving: set[str] = set()
        """Ids on their way to their commit; added and taken away by single operations, so it may be read without the mutex."""
        self.on_machine: set[str] = set()
        """Jobs whose end their run will tell."""
        self.to_list: set[str] = set()
        """Jobs that wait again and are not listed yet: their item is being fetched from the store, or their run is just ending."""
        self.from_store: set[str] = set()
        """Jobs whose item comes from the store (of an earlier start, or re-driven): they are validated again before they run."""
        self.left: set[str] = set()
        """Jobs that ended on their way to the list: between their commit, or a run, and their place in it."""
        self.canceled: dict[str, Job] = {}
        """Jobs that ended cancelled by their run, until that is told."""
        self.parked: set[str] = set()
        """Jobs that wait for people off the machine; listed among those that wait."""
        self.elsewhere: dict[str, NativeItem] = {}
        """Jobs that were submitted here and run on another instance; shown as running."""
        self.guests: set[str] = set()
        """Jobs on this machine that were submitted to another instance: neither listed here nor in the history."""
        self.others_wait = origin is not None
        """Whether the shared queue may have work beyond what is listed here."""

    def new_job(self, item: NativeItem, submission: Submission | None, now_s: float | None = None) -> NewJob:
        """The job that an item stands for, submitted here and now (or at ``now_s``)."""
        at_s = self.clock() if now_s is None else now_s
        return new_job(item, submission, at_s, self.origin, self._usual_pool())

    def claim(self) -> Claim | None:
        """The next job, with its input files here; None when there is none, or it could not have them and was put off. Worker thread,
        without the mutex; may raise ``StoreUnavailable``."""
        claim = self.dispatch.claim(fresh=self.open)
        if claim is None or self.inputs is None:
            return claim
        ready = self.inputs.ready(claim)
        if not isinstance(ready, JobError):
            return ready
        self.on_machine.discard(claim.job.id)  # no run will tell its end: ``listing`` does, should it be one
        self.dispatch.put_off(claim.job.id, ready)
        return None
