"""Who listens to which jobs in this process, and the way of an event from the store's thread to them on the event loop.

Owns the index of listeners (by job, batch, principal, or all) and the hand-over, one wake-up of the loop for all that happened
since the last. An event that nobody listens to costs a few looks into a dictionary. Keeps nothing: ``streams`` replays.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from ..jobs.events import JobEvent, LoggedEvent
from ..jobs.model import JobStatus, JsonObject

Key = tuple[str, str]
"""What somebody listens to: ``("job", id)``, ``("batch", id)``, ``("principal", name)`` or ``ALL``."""
ALL: Key = ("", "")

_ON_MACHINE = frozenset({JobStatus.RUNNING, JobStatus.WAITING, JobStatus.CANCELING})


@dataclass(frozen=True, slots=True)
class Passing:
    """What is told as it comes and not kept: the ``type`` (``job.progress``, ``job.preview``), and ``facts``, which are JSON."""

    type: str
    job_id: str
    at_s: float
    facts: JsonObject


Told = LoggedEvent | Passing


@dataclass(frozen=True, slots=True)
class _Unheard:
    after: int


class Listener(Protocol):
    """Somebody on the event loop."""

    def hear(self, told: Told) -> None:
        """Something happened to a job that is listened to. Must be quick and never raise."""
        ...

    def missed(self, after: int) -> None:
        """Events after this position were not heard: those that matter have to be read from the log. Quick, never raises."""
        ...


class Hub:
    """Fits ``jobs.events.Publisher``. Listeners come and go on one event loop; events come from any thread."""

    def __init__(self) -> None:
        """Nobody listens."""
        self._lock = threading.Lock()
        self._listeners: dict[Key, dict[Listener, None]] = {}
        self._eager: Counter[Key] = Counter()
        self._running: dict[str, tuple[Key, ...]] = {}
        self._pending: list[tuple[JobEvent | Passing | _Unheard, tuple[Listener, ...]]] = []
        self._waking = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, key: Key, listener: Listener, *, passing: bool) -> None:
        """Tell ``listener`` from now on, also of what passes if it wants that. On the event loop."""
        with self._lock:
            self._loop = asyncio.get_running_loop()
            self._listeners.setdefault(key, {})[listener] = None
            self._eager[key] += passing

    def remove(self, key: Key, listener: Listener, *, passing: bool) -> None:
        """Tell it no more; the same words as with ``add``."""
        with self._lock:
            listening = self._listeners.get(key, {})
            if listener not in listening:
                return
            del listening[listener]
            self._eager[key] -= passing
            if not listening:
                del self._listeners[key], self._eager[key]

    def publish(self, events: tuple[JobEvent, ...]) -> None:
        """See ``Publisher``."""
        for event in events:
            self._follow(event)
        if self._listeners:
            self._hand_over((event, _keys(event)) for event in events)

    def missed(self, after: int) -> None:
        """Events after this position were not heard, and what is published next comes after them: everybody is told. Any thread."""
        with self._lock:
            everybody = tuple({listener: None for heard in self._listeners.values() for listener in heard})
            if everybody:
                self._pending.append((_Unheard(after), everybody))
        self._hand_over(())

    def wants(self, job_id: str) -> bool:
        """Whether somebody wants to hear what passes of a job that runs now. Any thread."""
        keys = self._running.get(job_id)
        return keys is not None and any(self._eager.get(key) for key in keys)

    def pass_on(self, passing: Passing) -> None:
        """Tell those who listen to a job that runs now. Any thread."""
        keys = self._running.get(passing.job_id)
        if keys is not None:
            self._hand_over([(passing, keys)])

    def later(self, wait_s: float, then: Callable[[], None]) -> None:
        """Call ``then`` on the loop that listens, in ``wait_s``. Any thread; nothing happens where nobody has ever listened."""
        loop = self._loop
        if loop is not None:
            _call(loop, lambda: loop.call_later(wait_s, then))

    def _hand_over(self, happened: Iterable[tuple[JobEvent | Passing, tuple[Key, ...]]]) -> None:
        with self._lock:
            for told, keys in happened:
                heard = [listener for key in keys if key in self._listeners for listener in self._listeners[key]]
                if heard:
                    self._pending.append((told, tuple(heard)))
            wake = bool(self._pending) and not self._waking
            self._waking = self._waking or wake
            loop = self._loop
        if wake and loop is not None:
            _call(loop, self._drain)

    def _drain(self) -> None:
        with self._lock:
            pending, self._pending, self._waking = self._pending, [], False
        for told, heard in pending:
            if isinstance(told, _Unheard):
                for listener in heard:
                    listener.missed(told.after)
                continue
            said = told.logged() if isinstance(told, JobEvent) else told
            for listener in heard:
                listener.hear(said)

    def _follow(self, event: JobEvent) -> None:
        # Only the store's thread writes here; one item is set or taken at a time.
        if event.job.status in _ON_MACHINE:
            self._running[event.job.id] = _keys(event)
        else:
            self._running.pop(event.job.id, None)


def _call(loop: asyncio.AbstractEventLoop, function: Callable[[], object]) -> None:
    try:
        loop.call_soon_threadsafe(function)
    except RuntimeError:
        return  # the loop is closed: nobody listens any more


def _keys(event: JobEvent) -> tuple[Key, ...]:
    job = event.job
    own: tuple[Key, ...] = (("job", job.id), ("principal", job.principal.name), ALL)
    return own if job.slot is None else (*own, ("batch", job.slot.batch_id))
