"""Prompts that wait for people only: stopped, kept aside with what their nodes have made, and put back when they go on.

Owns when a run may be parked (nothing of it but its questions is left to do, and what it has made can be kept), and what is kept while it
is. Does not own the questions (``events.mailbox``), the form of ComfyUI's caches (``kept_caches``), nor the job's record (``dispatch`` and
the store). A run is known from ``began`` to ``stopped``; what is kept, until it goes on or its job ends. Nothing survives the process:
then the nodes run again.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..jobs.belonging import runs_elsewhere
from ..jobs.events import JobEvent
from ..jobs.model import Job
from ..jobs.transitions import is_terminal
from ..jobs.waits import JobWait
from .kept_caches import KeptRun, changed_of, kept_of, off_device, put_back, say_changed, size_bytes
from .ports import ParkedRuns, Questions

log = logging.getLogger("expeditor.host")


@dataclass(frozen=True, slots=True)
class ParkingRules:
    """``after_s``: how long a run must have nothing to do but wait. ``cache_bytes``: the most that is kept of all parked prompts.
    ``not_here``: why nothing is parked at all (empty: nobody wants it), None where it is."""

    after_s: float = 1.0
    cache_bytes: int = 16 * 1024**3
    not_here: str | None = None


@dataclass(slots=True)
class _Run:
    """A run on the machine. ``asking``: the tasks of its nodes that wait, and which node's they are."""

    executor: Any = None
    prompt: Any = None
    asking: dict[asyncio.Task[Any], str] = field(default_factory=lambda: {})
    quiet: tuple[int, frozenset[int]] | None = None
    quiet_s: float = 0.0
    waits: tuple[JobWait, ...] = ()
    refused: bool = False


@dataclass(slots=True)
class _Kept:
    run: KeptRun
    size_bytes: int
    ran: frozenset[str] = frozenset()


class Parking:
    """See the module's docstring. ``parks`` in a node's coroutine; ``before`` and ``after`` around an execution; the rest from dispatch."""

    def __init__(
        self, questions: Questions, rules: ParkingRules, monotonic: Callable[[], float], here: str | None = None
    ) -> None:
        """Nothing is parked before ``join``. ``here``: this instance's name where several share the queue."""
        self._here = here
        self._questions = questions
        self._rules = rules
        self._monotonic = monotonic
        self._runs_here: ParkedRuns | None = None
        self._interrupted: Callable[[], bool] = lambda: False
        self._lock = threading.Lock()
        self._runs: dict[str, _Run] = {}
        self._kept: dict[str, _Kept] = {}
        self._told: set[str] = set()
        self._refusal: str | None = None

    def join(self, runs: ParkedRuns, interrupted: Callable[[], bool]) -> None:
        """Called once. ``interrupted``: whether somebody has asked ComfyUI to stop what it runs."""
        self._runs_here = runs
        self._interrupted = interrupted

    def facts(self) -> dict[str, Any]:
        """For health: ``state`` is ``on``, ``off``, or why a prompt could not be parked the last time that one was to be."""
        why = self._rules.not_here if self._rules.not_here is not None else self._refusal
        with self._lock:
            prompts = len(self._kept)
        return {
            "state": "on" if why is None else why or "off",
            "kept_prompts": prompts,
            "kept_bytes": self.kept_bytes(),
        }

    def kept_bytes(self) -> int:
        """How much is kept of parked prompts."""
        with self._lock:
            return sum(kept.size_bytes for kept in self._kept.values())

    # --- a node that waits ------------------------------------------------------------------------------------------

    def parks(self, prompt_id: str, node_id: str) -> bool:
        """Whether the run is to be parked, so that the coroutine that asks stops it by core's interruption. Asked every tenth of a second
        by each node that waits, in its own task."""
        run = self._runs.get(prompt_id)
        if run is None or run.refused:
            return False
        if run.waits:
            return True
        task = asyncio.current_task()
        if task is not None:
            run.asking[task] = node_id
        if not self._is_quiet(prompt_id, run):
            return False
        return self._park(prompt_id, run)

    def _is_quiet(self, prompt_id: str, run: _Run) -> bool:
        """Whether nothing has happened in this run for long enough, and nothing can but an answer."""
        run.asking = {task: node for task, node in run.asking.items() if not task.done()}
        # Beside those that ask there may be the executor's own task, and one of it per node that waits for that node's calls.
        alone = len(asyncio.all_tasks()) <= 1 + len(run.asking) + len(set(run.asking.values()))
        begun = None if self._runs_here is None else self._runs_here.nodes_begun(prompt_id)
        if not alone or begun is None:
            run.quiet = None
            return False
        now_s, quiet = self._monotonic(), (begun, frozenset(map(id, run.asking)))
        if run.quiet != quiet:
            run.quiet, run.quiet_s = quiet, now_s
            return False
        return now_s - run.quiet_s >= self._rules.after_s

    def _park(self, prompt_id: str, run: _Run) -> bool:
        off = self._rules.not_here
        why = self._refusal = self._cannot_keep(run) if off is None else off
        if why is not None:
            run.refused = True
            self._tell(why)
            return False
        run.waits = self._questions.park(prompt_id)
        return bool(run.waits)

    def _cannot_keep(self, run: _Run) -> str | None:
        if run.executor is None:
            return "the execute hook is not in place"
        kept = kept_of(run.executor.caches.outputs)
        if kept is None:
            return "ComfyUI keeps no results of finished nodes (--cache-none), or in a form that is not known"
        if size_bytes(kept) + self.kept_bytes() > self._rules.cache_bytes:
            return "what the finished nodes have made is more than park_cache_bytes allows"
        return None

    def _tell(self, why: str) -> None:
        if why and why not in self._told:
            self._told.add(why)
            log.warning("Prompts that wait for people keep the machine: %s", why, extra={"event": "parking.refused"})

    # --- around an execution ----------------------------------------------------------------------------------------

    def before(self, executor: Any, prompt_id: str, prompt: Any) -> None:
        """An execution begins: give it back what was kept of it. Never raises."""
        with self._lock:
            run, kept = self._runs.get(prompt_id), self._kept.pop(prompt_id, None)
        if run is None:
            return
        run.executor, run.prompt = executor, prompt
        if kept is None:
            return
        try:
            put_back(kept.run.cache, executor.caches.outputs)
            say_changed(prompt, kept.run.changed)
        except Exception:  # noqa: BLE001 - without it the nodes run again, which is right too
            log.warning("What a parked prompt had made is lost", exc_info=True, extra={"event": "parking.lost"})

    def after(self, executor: Any, prompt_id: str) -> None:
        """An execution has stopped: if it is parked, keep what it has made before another prompt drops it. Never raises."""
        run = self._runs.get(prompt_id)
        if run is None or not run.waits:
            return
        try:
            if self._interrupted():
                run.waits = ()  # somebody wants it to end, at the same moment
                return
            cache = kept_of(executor.caches.outputs)
            if cache is not None:
                kept = _Kept(KeptRun(off_device(cache), changed_of(run.prompt)), size_bytes(cache))
                with self._lock:
                    self._kept[prompt_id] = kept
        except Exception:  # noqa: BLE001 - as above
            log.warning("What a parked prompt has made cannot be kept", exc_info=True, extra={"event": "parking.lost"})

    # --- dispatch ---------------------------------------------------------------------------------------------------

    def began(self, job: Job) -> frozenset[str]:
        """See ``dispatch.ports.Parking``."""
        self._questions.begin(job.id, () if job.parked is None else job.parked.waits)
        with self._lock:
            self._runs[job.id] = _Run()
            kept = self._kept.get(job.id)
        return frozenset() if kept is None else kept.ran

    def stopped(self, job_id: str, ran: frozenset[str], *, parkable: bool) -> tuple[JobWait, ...]:
        """See ``dispatch.ports.Parking``."""
        with self._lock:
            run = self._runs.pop(job_id, None)
            kept = self._kept.get(job_id)
            waits = run.waits if run is not None and parkable else ()
            if kept is not None and waits:
                kept.ran = ran
            else:
                self._kept.pop(job_id, None)
        if not waits:
            self._questions.end(job_id)
        return waits

    def refused(self, job_id: str) -> None:
        """See ``dispatch.ports.Parking``."""
        with self._lock:
            self._kept.pop(job_id, None)
        self._questions.end(job_id)

    def publish(self, events: tuple[JobEvent, ...]) -> None:
        """Committed events, as ``jobs.events.Publisher``: nothing is kept of a job that has ended, or goes on elsewhere."""
        for event in events:
            if is_terminal(event.job.status) or runs_elsewhere(event.job, self._here):
                with self._lock:
                    self._kept.pop(event.job.id, None)

    def kept(self) -> tuple[str, ...]:
        """The parked jobs of which something is kept, by id."""
        with self._lock:
            return tuple(self._kept)
