"""What the processes share that host a store and the real dispatcher until they are killed: how they say something, and what surrounds a
dispatcher where there is no ComfyUI. Owns no fate of a job."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable

from expeditor.dispatch.dispatcher import Dispatcher, RetryRules
from expeditor.dispatch.retrying import RetryPolicy
from expeditor.dispatch.runs import RunTable
from expeditor.jobs.backoff import Backoff
from expeditor.jobs.causes import CauseTable
from expeditor.store.base import JobStore

Request = tuple[str, str, str, str]
"""Id, fate, principal and priority of a job, as they were asked."""


def say(*words: object) -> None:
    """A line on standard output, in one write."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


class DeafEars:
    """Hears nothing of commits and runs; what it hears of events is its heir's."""

    def committed(self, duration_s: float, verbs: int) -> None:
        """Not told."""

    def node_ran(self, class_type: str, duration_s: float) -> None:
        """Not told."""

    def nodes_cached(self, hits: int, misses: int) -> None:
        """Not told."""

    def gap(self, duration_s: float) -> None:
        """Not told."""


class NoFiles:
    """There are no files to look at, and nothing runs that could be interrupted."""

    def size_bytes(self, folder: str, subfolder: str, name: str) -> int | None:
        return 1

    def interrupt(self, job_id: str) -> bool:
        return False


def dispatcher_of(
    store: JobStore, boot_id: str, ears: DeafEars, clock: Callable[[], float], deadline_s: float
) -> Dispatcher:
    """The real one, whose back-offs are short."""
    nothing = NoFiles()
    return Dispatcher(
        store=store,
        runs=RunTable(interrupter=nothing, observer=ears, monotonic=time.monotonic),
        files=nothing,
        observer=ears,
        retries=RetryRules(CauseTable(), RetryPolicy(backoff=Backoff(0.01, 0.05)), random.Random(boot_id).random),
        clock=clock,
        monotonic=time.monotonic,
        deadline_s=deadline_s,
        draining=lambda: False,
    )
