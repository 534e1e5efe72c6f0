"""What runs on this machine now: progress, node times, and cancels that cannot be lost.

Owns the in-memory picture of claimed jobs between claim and finish. Signals come from ``host.observer`` on ComfyUI's
worker thread and others; reads come from the event loop: one lock, held for dictionary work only. Nothing here survives a crash.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from ..jobs.model import Progress
from .ports import Interrupter, RunObserver, RunRecorder
from .stall import RunSigns
from .verdict import RunFacts

Clock = Callable[[], float]
EARLY_WISHES = 1_000
"""How many cancels of jobs that have not begun here are remembered."""


@dataclass(slots=True)
class _Run:
    classes: Mapping[str, str]
    attempt: int
    started_s: float
    heard_s: float
    estimated_s: float = 0.0
    stalled_s: float | None = None
    cancel_wanted: bool = False
    heard: bool = False
    executed: set[str] = field(default_factory=set[str])
    begun: int = 0
    ran_before: frozenset[str] = frozenset()
    node_id: str | None = None
    node_started_s: float | None = None
    cached: frozenset[str] = frozenset()
    nodes: dict[str, tuple[float, float, str]] = field(default_factory=lambda: {})


class RunTable:
    """The jobs on this machine, by id."""

    def __init__(
        self, *, interrupter: Interrupter, observer: RunObserver, monotonic: Clock, recorder: RunRecorder | None = None
    ) -> None:
        """``monotonic`` measures durations and never jumps; ``recorder`` keeps what a dead process should leave behind."""
        self._interrupter = interrupter
        self._observer = observer
        self._recorder = recorder
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._runs: dict[str, _Run] = {}
        self._early: deque[tuple[str, int]] = deque(maxlen=EARLY_WISHES)

    def begin(
        self,
        job_id: str,
        classes: Mapping[str, str],
        estimated_s: float,
        attempt: int,
        ran_before: frozenset[str] = frozenset(),
    ) -> None:
        """An attempt of a job was opened here; ``classes`` maps the job's node ids to class types.

        ``ran_before``: the nodes that ran in the attempt that this one repeats at once.
        """
        if self._recorder is not None:
            self._recorder.began(job_id, attempt, None, None)
        with self._lock:
            now_s = self._monotonic()
            run = _Run(
                classes=classes,
                attempt=attempt,
                started_s=now_s,
                heard_s=now_s,
                estimated_s=estimated_s,
                ran_before=ran_before,
            )
            if (job_id, attempt) in self._early:
                self._early.remove((job_id, attempt))
                run.cancel_wanted = True
            self._runs[job_id] = run

    def end(self, job_id: str, finished_at_s: float) -> RunFacts:
        """The run is over: its facts. An unknown job gives empty facts."""
        with self._lock:
            run = self._runs.pop(job_id, None)
        if run is not None:
            self._close_node(run, self._monotonic())
            self._observer.nodes_cached(len(run.cached), len(run.executed))
        return self._facts(run, finished_at_s)

    def look(self, job_id: str, now_s: float) -> RunFacts:
        """The facts of a run as they would be if it ended now (``now_s`` by the clock); it goes on."""
        with self._lock:
            run = self._runs.get(job_id)
        return self._facts(run, now_s)

    def _facts(self, run: _Run | None, finished_at_s: float) -> RunFacts:
        if run is None:
            return RunFacts(finished_at_s=finished_at_s, run_s=0.0, nodes_executed=None, last_node_id=None)
        return RunFacts(
            finished_at_s=finished_at_s,
            run_s=self._monotonic() - run.started_s,
            nodes_executed=len(run.executed) if run.heard else None,
            last_node_id=run.node_id,
            stalled=run.stalled_s is not None,
            cancel_wanted=run.cancel_wanted,
            ran=run.ran_before | run.executed,
        )

    def signal(self, event: str, fields: Mapping[str, Any]) -> None:
        """One of ComfyUI's socket messages about a run; anything else is ignored. A ``preview`` names no run: it is anyone's."""
        job_id = fields.get("prompt_id")
        with self._lock:
            if event == "preview":
                self._all_alive()
                return
            run = self._runs.get(job_id) if isinstance(job_id, str) else None
            if run is None:
                return
            run.heard, run.heard_s = True, self._monotonic()
            stop = run.cancel_wanted or run.stalled_s is not None
            if event == "execution_cached":
                run.cached = frozenset(str(node) for node in fields.get("nodes") or ())
            elif event == "progress_state":
                run.nodes = _node_states(fields.get("nodes"))
        if event == "executing":
            self._node_begins(str(job_id), run, fields)
        if stop:
            self._interrupter.interrupt(str(job_id))

    def interrupt(self, job_id: str, attempt: int) -> None:
        """Stop an attempt: now, and again at each of its signals until it ends (ComfyUI clears its flag at the start of a run).

        The wish may come between the attempt's commit in the store and its ``begin``: it is kept for then. A wish for an
        attempt that is over is nothing: a job whose cancel was asked for opens no further attempt (the store's rule).
        """
        with self._lock:
            run = self._runs.get(job_id)
            if run is None or run.attempt < attempt:
                if (job_id, attempt) not in self._early:
                    self._early.append((job_id, attempt))
                return
            if run.attempt > attempt:
                return
            run.cancel_wanted = True
        self._interrupter.interrupt(job_id)

    def attempt_of(self, job_id: str) -> int | None:
        """The attempt of a job that runs here, else None."""
        with self._lock:
            run = self._runs.get(job_id)
            return None if run is None else run.attempt

    def progress(self, job_id: str) -> Progress | None:
        """The latest snapshot of a job that runs here, else None."""
        with self._lock:
            run = self._runs.get(job_id)
            return None if run is None else _progress(run)

    def nodes_begun(self, job_id: str) -> int | None:
        """How many nodes of a run have begun by now, those of expansions too; None when nothing is heard of it, or it is to be stopped."""
        with self._lock:
            run = self._runs.get(job_id)
            if run is None or not run.heard or run.cancel_wanted or run.stalled_s is not None:
                return None
            return run.begun

    def running_for_s(self, job_id: str) -> float | None:
        """Seconds since the claim of a job that runs here, else None."""
        with self._lock:
            run = self._runs.get(job_id)
            return None if run is None else self._monotonic() - run.started_s

    def worked_off_s(self) -> float:
        """How much of the estimated work of the jobs that run now is done already."""
        with self._lock:
            now_s = self._monotonic()
            return sum(min(now_s - run.started_s, run.estimated_s) for run in self._runs.values())

    def signs(self) -> tuple[RunSigns, ...]:
        """How long each run has been silent, and how long ago it was stopped for that."""
        with self._lock:
            now_s = self._monotonic()
            return tuple(
                RunSigns(
                    job_id=job_id,
                    silent_s=now_s - run.heard_s,
                    stopped_for_s=None if run.stalled_s is None else now_s - run.stalled_s,
                    node_id=run.node_id,
                    class_type=run.classes.get(run.node_id) if run.node_id else None,
                )
                for job_id, run in self._runs.items()
            )

    def alive(self, job_id: str) -> None:
        """A run that is silent for a good reason (it waits for a person): its silence counts from now."""
        with self._lock:
            run = self._runs.get(job_id)
            if run is not None:
                run.heard_s = self._monotonic()

    def stall(self, job_id: str) -> None:
        """Stop a run for its silence, as ``interrupt`` does; its facts will say so. Nothing happens if it is over."""
        with self._lock:
            run = self._runs.get(job_id)
            if run is None:
                return
            run.stalled_s = self._monotonic()
        self._interrupter.interrupt(job_id)

    def _all_alive(self) -> None:
        now_s = self._monotonic()
        for run in self._runs.values():
            run.heard_s = now_s

    def _node_begins(self, job_id: str, run: _Run, fields: Mapping[str, Any]) -> None:
        now_s = self._monotonic()
        self._close_node(run, now_s)
        node = fields.get("node")
        if node is None:
            return
        if self._recorder is not None:
            self._recorder.began(job_id, run.attempt, str(node), run.classes.get(str(node)))
        run.node_id, run.node_started_s = str(node), now_s
        run.executed.add(str(node))
        run.begun += 1

    def _close_node(self, run: _Run, now_s: float) -> None:
        if run.node_id is not None and run.node_started_s is not None:
            self._observer.node_ran(run.classes.get(run.node_id, "unknown"), now_s - run.node_started_s)
            run.node_started_s = None


def _node_states(nodes: Any) -> dict[str, tuple[float, float, str]]:
    states: dict[str, tuple[float, float, str]] = {}
    if not isinstance(nodes, Mapping):
        return states
    for node_id, state in cast("Mapping[str, Any]", nodes).items():
        if isinstance(state, Mapping):
            fields = cast("Mapping[str, Any]", state)
            value, largest = _number(fields.get("value"), 0.0), _number(fields.get("max"), 1.0)
            states[str(node_id)] = (value, largest, str(fields.get("state", "")))
    return states


def _number(value: Any, otherwise: float) -> float:
    """Nodes may report anything as their progress; what no JSON reader could take is ``otherwise``."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return otherwise
    return number if math.isfinite(number) else otherwise


def _progress(run: _Run) -> Progress:
    total = max(len(run.classes), 1)
    finished = {node for node, (_, _, state) in run.nodes.items() if state == "finished"} | run.cached
    done = min(len(finished), total)
    step: float | None = None
    steps: float | None = None
    part = 0.0
    current = run.node_id
    if current is not None and current in run.nodes and current not in finished:
        step, steps, _ = run.nodes[current]
        part = min(max(step / steps, 0.0), 1.0) if steps else 0.0
    return Progress(
        value=min((done + part) / total, 1.0),
        nodes_done=done,
        nodes_total=total,
        current_node=current,
        current_node_class=run.classes.get(current) if current else None,
        step=step,
        steps=steps,
    )
