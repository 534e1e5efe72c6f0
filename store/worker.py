"""One thread that runs what is asked of it in the order asked, in batches: the engine room of our stores.

Owns the hand-over between callers and the thread, and the futures. Does not know what a verb does, nor what makes a
batch durable: that is the ``run`` function it is given.

A future is marked running when it is made, so nobody can cancel it: a client that goes away (``asyncio.wrap_future``
passes its cancellation on) never undoes what was asked. Futures are completed while no lock is held.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

from ..jobs.errors import ExpeditorError, Internal, StoreUnavailable
from ..jobs.events import Publisher
from .done import Done, Verb

T = TypeVar("T")

Outcome = Done[Any] | ExpeditorError
"""What became of one verb of a batch."""


AskedKey = tuple[str, str]
"""A principal and its request key."""


class Call(NamedTuple):
    """A verb that was asked for. ``job_id`` is the only job that it touches; None when that is not known beforehand.

    ``key`` is the request key that it will look for.
    """

    run: Verb
    job_id: str | None
    key: AskedKey | None = None


BATCH_MAX = 256
"""The most verbs of one batch, so that the first caller does not wait for an endless one."""

_log = logging.getLogger("expeditor.store")


class BatchWorker:
    """A thread around ``run``, which takes a batch of verbs and gives back one outcome for each, and never raises."""

    def __init__(
        self,
        name: str,
        run: Callable[[Sequence[Call]], Sequence[Outcome]],
        after: Callable[[], None] | None = None,
    ) -> None:
        """Not started yet: until ``start``, everything asked is refused. ``after`` is called when the callers of a batch have their
        answers: what they need not wait for. What it raises is logged, and ends nothing."""
        self._name = name
        self._run = run
        self._after = after
        self._lock = threading.Lock()
        self._progress = threading.Condition(self._lock)
        self._asked: SimpleQueue[tuple[Call, Future[Any]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._accepting = False
        self._submitted = 0
        self._settled = 0
        self._latest = 0  # the number of the latest call that may touch any job
        self._latest_of: dict[str, int] = {}  # the same of one job, while it is pending
        self._latest_with: dict[AskedKey, int] = {}  # the latest call with a request key, while it is pending

    def start(self) -> None:
        """Accept verbs from now on."""
        self._accepting = True
        self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Accept nothing more, do what was asked, end the thread. Blocks; idempotent."""
        with self._lock:
            self._accepting = False
        if self._thread is not None:
            self._asked.put(None)
            self._thread.join()
            self._thread = None

    @property
    def running(self) -> bool:
        """Whether verbs are accepted."""
        return self._accepting

    @property
    def pending(self) -> int:
        """How many verbs were asked and are not settled."""
        return self._submitted - self._settled

    def submit(self, verb: Callable[[], Done[T]], job_id: str | None = None, key: AskedKey | None = None) -> Future[T]:
        """Ask for a verb, see ``Call``; never blocks on it. The future fails with ``StoreUnavailable`` when the store is not open."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        with self._lock:
            if accepted := self._accepting:
                self._submitted += 1
                if job_id is None:
                    self._latest = self._submitted
                else:
                    self._latest_of[job_id] = self._submitted
                if key is not None:
                    self._latest_with[key] = self._submitted
                self._asked.put((Call(verb, job_id, key), future))
        if not accepted:
            future.set_exception(StoreUnavailable("The queue's storage is not open."))
        return future

    def ticket(self, job_id: str | None = None) -> int:
        """Stands for all that was asked so far, or for what of it may touch one job; see ``wait_for``."""
        if job_id is None:
            return self._submitted
        with self._lock:
            return max(self._latest, self._latest_of.get(job_id, 0))

    def ticket_with(self, key: AskedKey) -> int:
        """Stands for what was asked with a request key so far: nothing else makes a key stand for a job."""
        with self._lock:
            return self._latest_with.get(key, 0)

    def settled(self, ticket: int) -> bool:
        """Whether all that the ticket stands for is settled."""
        return self._settled >= ticket

    def wait_for(self, ticket: int) -> None:
        """Block until all that the ticket stands for is settled."""
        if not self.settled(ticket):
            with self._lock:
                self._progress.wait_for(lambda: self.settled(ticket))

    def _serve(self) -> None:
        while batch := self._next_batch():
            outcomes = self._outcomes([call for call, _ in batch])
            self._settle([call for call, _ in batch])
            for (_, future), outcome in zip(batch, outcomes, strict=True):
                _complete(future, outcome)
            self._afterwards()

    def _afterwards(self) -> None:
        if self._after is not None:
            try:
                self._after()
            except Exception:  # noqa: BLE001 - a fault of ours must not end the thread that everybody waits for
                _log.exception("what follows a batch of verbs failed")

    def _settle(self, calls: Sequence[Call]) -> None:
        with self._lock:
            self._settled += len(calls)
            for call in calls:
                if call.job_id is not None and self._latest_of.get(call.job_id, self._submitted + 1) <= self._settled:
                    del self._latest_of[call.job_id]
                if call.key is not None and self._latest_with.get(call.key, self._submitted + 1) <= self._settled:
                    del self._latest_with[call.key]
            self._progress.notify_all()

    def _next_batch(self) -> list[tuple[Call, Future[Any]]]:
        """What is asked now, waited for; empty at the end, which is asked for last."""
        asked, batch = self._asked.get(), list[tuple[Call, Future[Any]]]()
        while asked is not None:
            batch.append(asked)
            if len(batch) == BATCH_MAX or self._asked.empty():
                return batch
            asked = self._asked.get()
        if batch:
            self._asked.put(None)
        return batch

    def _outcomes(self, calls: Sequence[Call]) -> Sequence[Outcome]:
        try:
            return self._run(calls)
        except Exception:  # noqa: BLE001 - a fault of ours must not end the thread that everybody waits for
            return [unexpected() for _ in calls]


def outcome_of(verb: Verb) -> Outcome:
    """Run one verb; whatever it raises is its own outcome."""
    try:
        return verb()
    except ExpeditorError as refusal:
        return refusal
    except Exception:  # noqa: BLE001 - a fault of ours in one verb is no fault of the others in its batch
        return unexpected()


def unexpected() -> Internal:
    """The outcome of a verb that failed by a fault of ours; the log gets the exception being handled."""
    _log.exception("a verb of the store failed unexpectedly")
    return Internal("The queue's storage failed; the log says why.")


def tell(publisher: Publisher, outcomes: Sequence[Outcome]) -> int:
    """Publish a committed batch's events in order. Returns how many; a publisher that raises is logged and passed over."""
    events = tuple(event for outcome in outcomes if isinstance(outcome, Done) for event in outcome.events)
    if events:
        try:
            publisher.publish(events)
        except Exception:  # noqa: BLE001 - the batch is committed, and its callers must hear so
            _log.exception("a listener of the store failed")
    return len(events)


def _complete(future: Future[Any], outcome: Outcome) -> None:
    if future.done():
        return
    if isinstance(outcome, Done):
        future.set_result(outcome.value)
    else:
        future.set_exception(outcome)
