"""Progress and previews of running jobs for those who listen to them: the latest only, at most two a second for each job.

Owns how often. Costs a look into a dictionary for a job that nobody listens to. Keeps nothing that anybody could miss.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from ..jobs.events import PREVIEW, PROGRESS
from ..jobs.model import JsonObject
from ..jobs.wire import progress_json
from .hub import Hub, Passing
from .ports import Progressing

APART_S = 0.5
"""The least time between two of one kind and job."""
JOBS_MAX = 64


class Glimpses:
    """Any thread tells; the loop that listens passes on."""

    def __init__(self, hub: Hub, runs: Progressing, clock: Callable[[], float], monotonic: Callable[[], float]) -> None:
        """``clock`` gives the time that is told, ``monotonic`` measures."""
        self._hub = hub
        self._runs = runs
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._told_s: dict[tuple[str, str], float] = {}
        self._waiting: set[str] = set()

    def progressed(self, job_id: str) -> None:
        """A running job went on. What is told is how it stands when it is its turn, so the last word is never old."""
        if not self._hub.wants(job_id):
            return
        with self._lock:
            if job_id in self._waiting:
                return
            wait_s = self._turn(PROGRESS, job_id)
            if wait_s > 0:
                self._waiting.add(job_id)
        if wait_s > 0:
            self._hub.later(wait_s, lambda: self._late(job_id))
        else:
            self._tell_progress(job_id)

    def previewed(self, job_id: str, facts: Callable[[], JsonObject | None]) -> None:
        """A running job shows a picture. ``facts`` makes what is told of it; it is called only if that will be told."""
        if not self._hub.wants(job_id):
            return
        with self._lock:
            if self._turn(PREVIEW, job_id) > 0:
                return
        made = facts()
        if made is not None:
            self._hub.pass_on(Passing(PREVIEW, job_id, self._clock(), made))

    def _late(self, job_id: str) -> None:
        with self._lock:
            self._waiting.discard(job_id)
            self._told_s[PROGRESS, job_id] = self._monotonic()
        self._tell_progress(job_id)

    def _tell_progress(self, job_id: str) -> None:
        progress = self._runs.progress(job_id)
        if progress is not None:
            facts: JsonObject = {"progress": progress_json(progress)}
            self._hub.pass_on(Passing(PROGRESS, job_id, self._clock(), facts))

    def _turn(self, kind: str, job_id: str) -> float:
        """Seconds until one of this kind may be told; 0 and it is noted that it is told now."""
        now_s = self._monotonic()
        wait_s = self._told_s.get((kind, job_id), -APART_S) + APART_S - now_s
        if wait_s > 0:
            return wait_s
        if len(self._told_s) >= JOBS_MAX:
            self._told_s = {told: at_s for told, at_s in self._told_s.items() if at_s > now_s - APART_S}
        self._told_s[kind, job_id] = now_s
        return 0.0
