"""Getting a batch done: so many submits at a time, one follower for all jobs, results saved as they come.

Owns the threads and their order. A full queue is waited out, a refused item fails alone, a lost server is asked again; whatever
happens, the record knows how far each item got. Prints nothing: the ``Board`` hears how it goes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock
from typing import Protocol

from ..api import Expeditor, Wish
from ..connect import Server
from ..faults import Busy, ClientError, Refused
from ..following import look
from ..records import Job
from ..saving import save_outputs
from .items import LABEL, Item, Plan, key_of
from .record import REFUSED, Record, Standing
from .together import submit_together

LOST = "lost"
UNAUTHENTICATED = 401
SLOWEST_LOOK_S = 10.0
_JOBS_PER_LOOK_S = 50.0
_FEW = 8
_HELD_S = 5.0


class Stopped(ClientError):
    """Somebody pressed Ctrl-C: a thread that waits gives up."""


class Stopper:
    """Ends the waiting of all threads of a batch."""

    def __init__(self) -> None:
        self._event = Event()

    def stop(self) -> None:
        """From now on every wait raises ``Stopped``."""
        self._event.set()

    def sleep(self, seconds: float) -> None:
        """Wait so long."""
        if self._event.wait(seconds):
            raise Stopped("stopped")


class Board(Protocol):
    """Who shows how a batch goes. Called from several threads."""

    def submitted(self) -> None:
        """An item has become a job."""
        ...

    def settled(self, item: Item, status: str, error: str | None) -> None:
        """An item has ended, or was refused."""
        ...

    def running(self, jobs: tuple[tuple[Item, Job], ...]) -> None:
        """What runs at this moment."""
        ...


@dataclass(frozen=True, slots=True)
class Options:
    """``workers`` submits at a time; results go to ``folder``; ``wait`` False: submit only; ``together``: in one
    request where the server can take it."""

    folder: Path
    workers: int = 4
    wait: bool = True
    together: bool = True
    poll_s: float = 0.5


class Runner:
    """One run of a batch."""

    def __init__(
        self, server: Server, plan: Plan, record: Record, board: Board, options: Options, stopper: Stopper
    ) -> None:
        self._server, self._plan, self._record, self._board = server, plan, record, board
        self._options, self._stopper = options, stopper
        self._uploads: dict[Path, str] = {}
        self._lock = Lock()
        self._jobs: dict[str, Item] = {}

    def run(self) -> None:
        """Return when every item is settled (or submitted, if nothing is waited for). Raises what made it impossible to go on."""
        if not self._record.begun:
            self._begin()
        todo = [item for item in self._plan.items if not self._record.standing(item.number).settled]
        for item in todo:
            if job_id := self._record.standing(item.number).job_id:
                self._jobs[job_id] = item
        pool = ThreadPoolExecutor(self._options.workers, thread_name_prefix="submit")
        savers = ThreadPoolExecutor(min(4, self._options.workers), thread_name_prefix="save")
        try:
            submits = [
                pool.submit(self._submit, item) for item in todo if not self._record.standing(item.number).job_id
            ]
            if self._options.wait:
                self._follow(submits, savers)
            _raise_first(submits, wait_for_all=True)
        except BaseException:
            self._stopper.stop()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            savers.shutdown(wait=True, cancel_futures=True)

    def _begin(self) -> None:
        """All in one request if that can be; else it is noted that it was not, lest a later run sends it all again."""
        server, standing = self._server, self._record.standing
        if isinstance(server, Expeditor) and self._options.together:
            uploaded = {file: self._uploaded(file) for item in self._plan.items for file in item.files()}
            if submit_together(server, self._plan, self._record, uploaded):
                for item in self._plan.items:
                    if standing(item.number).job_id:
                        self._board.submitted()
                    else:
                        self._board.settled(item, REFUSED, standing(item.number).error)
                return
        self._record.one_by_one()

    def _submit(self, item: Item) -> None:
        self._stopper.sleep(0)
        standing = self._record.standing(item.number)
        key = key_of(self._record.batch_id, item.number, standing.take)
        try:
            prompt = item.prompt(self._plan.base, {file: self._uploaded(file) for file in item.files()})
            job = self._server.submit(prompt, self._wish(), key=key, repeat=self._record.resumed)
        except Refused as refused:
            if isinstance(refused, Busy) or refused.status == UNAUTHENTICATED:
                raise  # not the item's fault
            self._record.settled(item.number, REFUSED, str(refused))
            self._board.settled(item, REFUSED, str(refused))
            return
        self._record.accepted(item.number, job.id)
        with self._lock:
            self._jobs[job.id] = item
        self._board.submitted()

    def _wish(self) -> Wish:
        if not isinstance(self._server, Expeditor):
            return Wish(**self._plan.wish)
        shared = dict(self._plan.wish)
        own: dict[str, str] = shared.pop("metadata", None) or {}
        labels = {**own, LABEL: self._record.batch_id}
        return Wish(**shared, metadata=labels)

    def _uploaded(self, file: Path) -> str:
        with self._lock:
            known = self._uploads.get(file)
        if known is None:
            known = self._server.upload(file)
            with self._lock:
                self._uploads[file] = known
        return known

    def _follow(self, submits: list[Future[None]], savers: ThreadPoolExecutor) -> None:
        """Until all submits are through and each job has ended and is saved."""
        saves: list[Future[None]] = []
        pause_s = self._options.poll_s
        while True:
            all_in = all(submit.done() for submit in submits)
            _raise_first(submits)
            _raise_first(saves)
            with self._lock:
                known = dict(self._jobs)
            unfinished = look(self._server, {LABEL: self._record.batch_id}).unfinished
            running = tuple(
                (known[job_id], job)
                for job_id, job in unfinished.items()
                if job_id in known and job.status == "running"
            )
            self._board.running(running)
            for job_id in known.keys() - unfinished.keys():
                with self._lock:
                    item = self._jobs.pop(job_id)
                saves.append(savers.submit(self._settle, item, job_id))
            with self._lock:
                left = bool(self._jobs)
            if all_in and not left:
                break
            # The longer the queue, the more a look costs the server (stock tells all of it, graphs included).
            pause_s = min(max(self._options.poll_s, len(unfinished) / _JOBS_PER_LOOK_S), SLOWEST_LOOK_S)
            self._pause(pause_s, unfinished)
        self._board.running(())
        _raise_first(saves, wait_for_all=True)

    def _pause(self, pause_s: float, unfinished: Mapping[str, Job]) -> None:
        """Until the next look. Of the last few the server itself says when one has ended."""
        self._stopper.sleep(0)
        if 0 < len(unfinished) <= _FEW and isinstance(self._server, Expeditor):
            runs = [job.id for job in unfinished.values() if job.status == "running"]  # newest first
            try:
                self._server.ended_within((runs or list(unfinished))[-1], min(pause_s, _HELD_S))
            except Busy:
                raise
            except Refused:
                pass  # it is gone, or the server is an older one
            else:
                return
        self._stopper.sleep(pause_s)

    def _settle(self, item: Item, job_id: str) -> None:
        try:
            job = self._server.job(job_id)
        except Busy:
            raise
        except Refused as refused:
            job = Job(job_id, LOST, error=str(refused))
        if job.status != LOST and not job.ended:
            with self._lock:  # it was tried again between the two looks
                self._jobs[job_id] = item
            return
        error, files = None if job.succeeded else job.error or job.cause, tuple[str, ...]()
        try:
            saved = save_outputs(self._server, job, self._options.folder, f"{item.number:05d}_")
            files = tuple(path.name for path in saved)
        except Busy:
            raise
        except Refused as refused:
            error = f"its files could not be fetched: {refused}"
        self._record.settled(item.number, job.status, error, files)
        self._board.settled(item, job.status, error)


def begin_again(server: Server, plan: Plan, record: Record) -> int:
    """Let every item that ended badly run again: how many. What was refused or lost is submitted anew, the others' jobs are retried."""
    again = 0
    for item, standing in _ended_badly(plan, record):
        if standing.job_id and standing.status != LOST and isinstance(server, Expeditor):
            try:
                server.retry(standing.job_id)
                record.reopened(item.number)
            except Refused:
                record.anew(item.number)
        else:
            record.anew(item.number)
        again += 1
    return again


def _ended_badly(plan: Plan, record: Record) -> Iterator[tuple[Item, Standing]]:
    for item in plan.items:
        standing = record.standing(item.number)
        if standing.settled and standing.status != "succeeded":
            yield item, standing


def _raise_first(futures: list[Future[None]], *, wait_for_all: bool = False) -> None:
    if wait_for_all:
        wait(futures)
    for future in futures:
        if future.done() and not future.cancelled() and (fault := future.exception()):
            raise fault
