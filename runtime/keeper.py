"""The background loop that keeps the store in time and in bounds: what comes due, what expires, what is forgotten.

Owns when, and that a file goes before the job that names it: a crash in between only has it done again. Does not own which
jobs are beyond what is kept (``store``) nor which paths may be touched (``host.files``). Never blocks the event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from ..jobs.belonging import is_home
from ..jobs.errors import StoreUnavailable
from ..jobs.instances import Instance
from ..jobs.leftovers import INPUT, FileName, inputs_of, outputs_of, spellings
from ..jobs.model import Job
from ..store.base import KEY_LIFE_S, Clock, JobStore
from .retention import Retention

log = logging.getLogger("expeditor.runtime")

TICK_S = 1.0
PRUNE_EVERY_S = 60.0
FORGET_EVERY_S = 3600.0
SWEEP_EVERY_S = 6 * 3600.0
UPLOAD_LIFE_S = 3600.0
"""How long a file that came with a submit is left alone though no job names it: longer than any request is on its way."""
BATCH_JOBS = 200
"""Jobs that are forgotten in one step: a commit of a few milliseconds."""
BATCHES_MAX = 50
"""Steps in a row, so that a first start with a year's jobs does not keep the disk busy for minutes."""
PRUNED_LIFE_S = 365 * 86_400.0
"""How long the id of a pruned job is known to have been one."""

TEMP = "temp"


class FileRemover(Protocol):
    """Removes a file of ComfyUI's folders; ``host.files.Leftovers`` fits."""

    def remove(self, file: FileName, not_after_s: float) -> bool:
        """Remove it unless it was written later than this; whether it was."""
        ...

    def inputs_there(self, names: AbstractSet[str]) -> frozenset[str]:
        """Those of these names that a file of the input folder has."""
        ...


class CopyKeeper(Protocol):
    """Holds copies of files in ``temp``; ``host.files.TempCopies`` fits."""

    def restore(self) -> int:
        """Put the copies back where ComfyUI looks for them; how many."""
        ...

    def forget(self, file: FileName) -> None:
        """Remove the copy of a file, if there is one."""
        ...


class UploadFolder(Protocol):
    """Has the files that came with submits; ``host.uploads`` fits."""

    def unused_since(self, age_s: float) -> frozenset[str]:
        """Those that have not been sent for so long."""
        ...

    def remove_unused(self, names: AbstractSet[str], age_s: float) -> None:
        """Remove them, but for those that were sent again meanwhile."""
        ...


@dataclass(frozen=True, slots=True)
class SharedQueue:
    """This instance and all that share its queue (``InstanceRegistry.instances``).

    Each forgets its own jobs, with their files: the names of files of others' jobs are names in their folders. Jobs of one that is
    not listed any more are forgotten by anybody, and their files stay."""

    here: str
    listed: Callable[[], Future[tuple[Instance, ...]]]


class Keeper:
    """See the module's docstring. One per server; used on the event loop."""

    def __init__(
        self,
        *,
        store: JobStore,
        retention: Retention,
        files: FileRemover,
        copies: CopyKeeper | None,
        uploads: UploadFolder | None = None,
        wake: Callable[[], None],
        spared: Callable[[Sequence[str]], Awaitable[frozenset[str]]] | None = None,
        clock: Clock,
        shared: SharedQueue | None = None,
        tick_s: float = TICK_S,
    ) -> None:
        """``copies`` is None when none are kept, ``uploads`` when they stay for ever. ``shared``: with whom
        the queue is shared, if with anybody.

        ``wake`` has the worker look at the queue again; ``clock`` is the store's."""
        self._store = store
        self._retention = retention
        self._files = files
        self._copies = copies
        self._uploads = uploads
        self._wake = wake
        self._spared = spared
        self._clock = clock
        self._shared = shared
        self._tick_s = tick_s

    async def watch(self) -> None:
        """Until cancelled: first what ComfyUI threw away at its start is put back; then a tick every second, pruning every
        minute, forgetting every hour. A step that fails is logged, and done again the next time."""
        await self._safely(self._restore)
        elapsed_s = 0.0
        every = {self.prune: PRUNE_EVERY_S, self.forget: FORGET_EVERY_S, self.sweep: SWEEP_EVERY_S}
        due = dict.fromkeys(every, PRUNE_EVERY_S)
        while True:
            await asyncio.sleep(self._tick_s)
            elapsed_s += self._tick_s
            await self._safely(self.tick, of_store=True)
            for step in [step for step in due if elapsed_s >= due[step]]:
                due[step] = elapsed_s + every[step]
                await self._safely(step, of_store=True)

    async def tick(self) -> None:
        """End what has expired, and have the queue look again when something came due."""
        ticked = await asyncio.wrap_future(self._store.tick())
        if ticked.became_due:
            self._wake()

    async def prune(self) -> None:
        """Forget the jobs beyond what is kept, with their files if so set."""
        pruned, spared = 0, await self._others()
        for _ in range(BATCHES_MAX):
            jobs = await asyncio.wrap_future(self._store.prunable(self._retention.kept, BATCH_JOBS, spared))
            if not jobs:
                break
            await self._remove_files(jobs)
            forgotten = await asyncio.wrap_future(self._store.prune([job.id for job in jobs]))
            pruned += forgotten
            if not forgotten:
                break
        if pruned:
            log.info("%d jobs were pruned", pruned, extra={"event": "jobs.pruned"})

    async def forget(self) -> None:
        """Forget old request keys and the ids of jobs that were pruned long ago."""
        now_s = self._clock()
        await asyncio.wrap_future(self._store.forget(now_s - KEY_LIFE_S, now_s - PRUNED_LIFE_S))

    async def sweep(self) -> None:
        """Remove the files that came with submits and that no job names any more: of jobs that were pruned, or never came."""
        if self._uploads is None:
            return
        unused: frozenset[str] = await asyncio.to_thread(self._uploads.unused_since, UPLOAD_LIFE_S)
        after_seq: int | None = 0
        while unused and after_seq is not None:
            texts = frozenset(spelling for name in unused for spelling in spellings(name))
            named = await asyncio.wrap_future(self._store.naming(frozenset(), texts, frozenset(), after_seq))
            unused = frozenset(name for name in unused if named.texts.isdisjoint(spellings(name)))
            after_seq = named.next_seq
        await asyncio.to_thread(self._uploads.remove_unused, unused - await self._wanted(unused), UPLOAD_LIFE_S)

    async def _others(self) -> frozenset[str]:
        """The instances that keep their own jobs in bounds."""
        if self._shared is None:
            return frozenset()
        return frozenset(one.name for one in await asyncio.wrap_future(self._shared.listed())) - {self._shared.here}

    async def _restore(self) -> None:
        if self._copies is not None:
            await asyncio.to_thread(self._copies.restore)

    async def _safely(self, step: Callable[[], Awaitable[None]], *, of_store: bool = False) -> None:
        if of_store and not self._store.state().open:
            return
        try:
            await step()
        except StoreUnavailable:
            pass  # the store's state says so, and the next time comes
        except Exception:  # noqa: BLE001 - the loop must outlive every fault, or nothing would ever come due again
            log.exception("A step of the background work failed", extra={"event": "keeper.failed"})

    # -- files -------------------------------------------------------------------------------------------------------

    async def _remove_files(self, jobs: Sequence[Job]) -> None:
        """Remove what these jobs left here and no other job names."""
        jobs = [job for job in jobs if is_home(job, None if self._shared is None else self._shared.here)]
        outputs, inputs = self._made_by(jobs), await self._named_by(jobs)
        if not outputs and not inputs:
            return
        names = frozenset(spelling for name in inputs for spelling in spellings(name))
        but = frozenset(job.id for job in jobs)
        after_seq: int | None = 0
        while after_seq is not None:
            named = await asyncio.wrap_future(self._store.naming(frozenset(outputs), names, but, after_seq))
            outputs = {file: at_s for file, at_s in outputs.items() if file not in named.outputs}
            inputs = {name: at_s for name, at_s in inputs.items() if named.texts.isdisjoint(spellings(name))}
            after_seq = named.next_seq
        await asyncio.to_thread(self._remove, outputs, inputs)

    def _made_by(self, jobs: Sequence[Job]) -> dict[FileName, float]:
        """The files that these jobs made and that may go, with the time after which they are somebody else's."""
        return {
            file: job.finished_at_s or 0.0
            for job in sorted(jobs, key=lambda job: job.finished_at_s or 0.0)
            for file in outputs_of(job)
            if self._retention.outputs or (file.folder == TEMP and self._copies is not None)
        }

    async def _named_by(self, jobs: Sequence[Job]) -> dict[str, float]:
        if not self._retention.inputs:
            return {}
        named: dict[str, float] = {}
        for job in jobs:
            payload = await asyncio.wrap_future(self._store.payload(job.id))
            for name in inputs_of(payload.prompt_json) if payload else ():
                named[name] = max(named.get(name, 0.0), job.finished_at_s or 0.0)
        there = await asyncio.to_thread(self._files.inputs_there, frozenset(named))
        return {name: named[name] for name in there - await self._wanted(there)}

    async def _wanted(self, names: AbstractSet[str]) -> frozenset[str]:
        """Those of these files of the input folder that somebody else keeps, though no job names them."""
        return frozenset() if self._spared is None else await self._spared(sorted(names))

    def _remove(self, outputs: Mapping[FileName, float], inputs: Mapping[str, float]) -> None:
        for file, at_s in outputs.items():
            if self._copies is not None:
                self._copies.forget(file)
            if self._retention.outputs:
                self._files.remove(file, at_s)
        for name, at_s in inputs.items():
            self._files.remove(FileName(INPUT, "", name), at_s)
