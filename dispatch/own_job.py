"""What a node may ask about the job that it runs in, and what it may write into it.

Called on ComfyUI's worker thread, from inside a run. Owns how long such a call may take. Does not own what metadata may be
(``jobs.metadata``) nor whether it is kept (the store).
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from ..jobs.errors import Conflict, InputInvalid, NotFound, StoreUnavailable
from ..jobs.model import Job
from ..store.base import JobStore

T = TypeVar("T")


class OwnJob:
    """The jobs that run here, for their nodes."""

    def __init__(self, store: JobStore, attempt_of: Callable[[str], int | None], deadline_s: float) -> None:
        """``attempt_of``: the attempt of a job that runs here, None for any other. No call takes longer than ``deadline_s``."""
        self._store = store
        self._attempt_of = attempt_of
        self._deadline_s = deadline_s

    def attempt(self, job_id: str) -> int | None:
        """The number of the attempt that runs; None if the queue that runs this job is not ours."""
        return self._attempt_of(job_id)

    def job(self, job_id: str) -> Job | None:
        """The job as it is stored; None if the queue that runs it is not ours. ``ConnectionError`` when the store does not answer."""
        return None if self._attempt_of(job_id) is None else self._settled(self._store.get(job_id))

    def set_metadata(self, job_id: str, key: str, value: str) -> bool:
        """Put one pair into the metadata of the job; whether there was one to put it into. It is committed when this returns.

        ``ValueError`` for what metadata may not be; ``ConnectionError``, which is tried again later, when the store is away or
        this attempt is not the job's any more.
        """
        attempt = self._attempt_of(job_id)
        if attempt is None:
            return False
        try:
            self._settled(self._store.set_metadata(job_id, attempt, {key: value}))
        except InputInvalid as fault:
            raise ValueError(fault.message) from fault
        return True

    def _settled(self, asked: Future[T]) -> T:
        try:
            return asked.result(self._deadline_s)
        except concurrent.futures.TimeoutError as fault:
            raise ConnectionError(f"The queue's store did not answer within {self._deadline_s:g} s.") from fault
        except (StoreUnavailable, Conflict, NotFound) as fault:
            raise ConnectionError(fault.message) from fault
