"""Looks after runs that have gone silent, and after the thread that runs them.

Owns the looking and what follows from ``stall``'s rule: a silent run is stopped; one that cannot be stopped is told of and, if
so wished, the process ends so that its supervisor starts it again, after the run's end is stored. A thread of its own, because
what holds a run up may hold the event loop up too. A node that never lets go of Python's lock stops this thread as well.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Protocol

from .runs import RunTable
from .stall import EXIT_STALLED, EXIT_WORKER_DIED, Patience, RunSigns, Step, look_interval_s, next_step

log = logging.getLogger("expeditor.dispatch")


class Exit(Protocol):
    """How this process ends itself; ``runtime.stopping`` fits."""

    def close(self) -> None:
        """Let no more jobs be claimed."""
        ...

    def end(self, code: int) -> None:
        """End the process at once; does not come back."""
        ...


class Abandoning(Protocol):
    """Settles a run that does not end; ``dispatcher.Dispatcher`` fits."""

    def abandon(self, run: RunSigns) -> bool:
        """Settle the run as stalled although it goes on; False while the store cannot take it (ask again). Never raises."""
        ...


class Watchdog:
    """One machine's watchdog."""

    def __init__(
        self,
        *,
        runs: RunTable,
        dispatcher: Abandoning,
        patience: Patience,
        waits: Callable[[], AbstractSet[str]],
        worker_alive: Callable[[], bool | None],
        exit_: Exit,
    ) -> None:
        """``waits``: the jobs that wait for a person now. ``worker_alive``: None before the worker thread's first sign."""
        self._runs = runs
        self._dispatcher = dispatcher
        self._patience = patience
        self._waits = waits
        self._worker_alive = worker_alive
        self._exit = exit_
        self._stuck: dict[str, str] = {}
        self._leaving: RunSigns | None = None

    def start(self) -> None:
        """Look from now on, on a thread that ends with the process."""
        threading.Thread(target=self._watch, name="expeditor-watchdog", daemon=True).start()

    def stuck(self) -> str | None:
        """What runs although it was stopped, for health; None when all is well."""
        return next(iter(self._stuck.values()), None)

    def look(self) -> None:
        """Look once."""
        if self._leaving is not None:
            self._leave(self._leaving)
            return
        waiting = self._waits()
        runs = self._runs.signs()
        for gone in self._stuck.keys() - {run.job_id for run in runs}:
            self._stuck.pop(gone)
        for run in runs:
            if run.job_id in waiting:
                self._runs.alive(run.job_id)
                continue
            step = next_step(run, self._patience)
            if step is Step.STOP:
                self._stop(run)
            elif step is Step.GIVE_UP:
                self._give_up(run)
        if self._patience.exit_on_stall and self._worker_alive() is False:
            log.critical(
                "ComfyUI's worker thread has died; the process ends with code %d to be started again",
                EXIT_WORKER_DIED,
                extra={"event": "exit.worker_died"},
            )
            self._exit.end(EXIT_WORKER_DIED)

    def _stop(self, run: RunSigns) -> None:
        log.warning(
            "A run has shown no sign of progress for %.0f s, %s; it is stopped",
            run.silent_s,
            run.place,
            extra={"event": "run.stalled", "job_id": run.job_id, "node_id": run.node_id, "class_type": run.class_type},
        )
        self._runs.stall(run.job_id)

    def _give_up(self, run: RunSigns) -> None:
        if run.job_id not in self._stuck:
            self._stuck[run.job_id] = (
                f"job {run.job_id} does not stop ({run.place}); nothing else runs until it does or the server is restarted"
            )
            log.error(
                "A run that was stopped for its silence goes on, %s",
                run.place,
                extra={
                    "event": "run.stuck",
                    "job_id": run.job_id,
                    "node_id": run.node_id,
                    "class_type": run.class_type,
                },
            )
        if self._patience.exit_on_stall:
            self._leave(run)

    def _leave(self, run: RunSigns) -> None:
        self._leaving = run
        self._exit.close()
        if not self._dispatcher.abandon(run):
            return  # the store is away: its end comes first, so ask again at the next look
        log.critical(
            "The process ends with code %d to be started again: a run cannot be stopped",
            EXIT_STALLED,
            extra={"event": "exit.stalled", "job_id": run.job_id, "node_id": run.node_id, "class_type": run.class_type},
        )
        self._exit.end(EXIT_STALLED)

    def _watch(self) -> None:
        pause = threading.Event()
        while not pause.wait(look_interval_s(self._patience)):
            try:
                self.look()
            except Exception:  # noqa: BLE001 - whatever goes wrong once, the next look must happen
                log.warning("The watchdog could not look", exc_info=True, extra={"event": "watchdog.failed"})
