"""The way from a client to a node that waits: open waits, their one answer, and the memory of those that are over.

Owns which waits are open, who answers first and what a late or ambiguous answer is told. Does not own how long a node
looks (``nodes.waiting``), what an answer may say (``jobs.waits``), nor what a wait is (``open_wait``).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

from ..jobs.errors import Conflict, Gone, LimitExceeded, NotFound
from ..jobs.waits import Ask, JobWait, Picture, read_answer
from .open_wait import BeingParked, Delivered, PendingWait, Wait
from .run_waits import RunWaits
from .wait_pictures import WaitPictures

MAX_MESSAGE_BYTES = 64 * 1024
REMEMBERED_WAITS = 1024
"""How many waits that are over are told apart from those that never were."""


class Mailbox:
    """All open waits of this process. Safe from any thread; what touches the disk for pictures says that it blocks."""

    def __init__(
        self, clock: Callable[[], float], new_id: Callable[[], str], pictures: WaitPictures | None = None
    ) -> None:
        """``clock`` gives seconds since the epoch, ``new_id`` a token that nobody can guess; ``pictures``: None where none are shown."""
        self._clock = clock
        self._new_id = new_id
        self._pictures = pictures
        self._lock = threading.Lock()
        self._open: dict[str, Wait] = {}
        self._over: OrderedDict[str, PendingWait] = OrderedDict()
        self._runs = RunWaits()
        self._moved: dict[str, tuple[Wait, ...]] = {}
        self._changed: Callable[[], None] = lambda: None

    def on_change(self, changed: Callable[[], None]) -> None:
        """Have it called when a wait was opened or is over: quick, never raises."""
        self._changed = changed

    def open(  # noqa: PLR0913 - one for each fact
        self,
        prompt_id: str,
        node_id: str,
        *,
        ask: Ask,
        deadline_s: float,
        max_bytes: int = MAX_MESSAGE_BYTES,
        pictures: Iterable[Picture] = (),
        index: int = 0,
    ) -> Wait:
        """Begin a wait that ends ``deadline_s`` seconds from now at the latest; ``close`` it when done. A node of a job that was parked
        gets the wait that it began before, with these pictures where the old ones are on another instance; ``index``: which of its calls
        it is.

        ``pictures``: as many as ``ask`` tells of; they are stored first, which blocks, and time counts from then on. ``NotStored``: the
        disk does not take them, and nothing was begun.
        """
        with self._lock:
            before = self._runs.take(prompt_id, node_id, index)
        if isinstance(before, Wait):
            self._keep_pictures(before.token, 0 if before.answered else ask.pictures, pictures)
            return before
        token = self._new_id()
        self._keep_pictures(token, ask.pictures, pictures)
        now_s = self._clock()
        pending = PendingWait(
            token=token,
            prompt_id=prompt_id,
            node_id=node_id,
            ask=ask,
            opened_at_s=now_s,
            deadline_at_s=now_s + deadline_s,
            max_bytes=max_bytes,
        )
        return self.reopen(pending, index)

    def _keep_pictures(self, token: str, count: int, pictures: Iterable[Picture]) -> None:
        if self._pictures is not None and count and self._pictures.find(token, 0) is None:
            self._pictures.keep(token, pictures)

    def reopen(self, pending: PendingWait, index: int = 0) -> Wait:
        """Go on with a wait that was begun before, in an earlier process for example, under its token and until its deadline."""
        wait = Wait(pending, self._clock, index)
        with self._lock:
            self._open[wait.token] = wait
            self._runs.add(pending.prompt_id, wait)
        self._changed()
        return wait

    def close(self, token: str) -> bool:
        """End a wait, unless its job was parked; says whether it did. Later answers to it get ``Gone``."""
        with self._lock:
            wait = self._open.get(token)
            if wait is None or wait.parked:
                return False
            self._drop(wait)
        self._over_for_good((wait,))
        return True

    def begin(self, prompt_id: str, waits: Sequence[JobWait]) -> None:
        """A run that can be parked begins, or goes on with these waits of it: ``open`` gives them to their nodes again."""
        with self._lock:
            self._take_up(prompt_id, waits, parked=False)
        self._forget_pictures(record for record in waits if record.answer is not None)
        self._changed()

    def keep(self, prompt_id: str, waits: Sequence[JobWait], *, away: bool = False) -> tuple[PendingWait, ...]:
        """A job was parked in an earlier life of this server, or by another instance (``away``): these, and no others of it, can be
        answered. Those that were not known to be open."""
        tokens = {record.token for record in waits}
        with self._lock:
            before = [wait for wait in self._runs.of(prompt_id) if isinstance(wait, Wait) and wait.token in self._open]
            left = tuple(wait for wait in before if wait.token not in tokens)
            for wait in left:
                self._drop(wait)
            new = self._take_up(prompt_id, waits, parked=True, away=away)
        self._over_for_good(left)
        self._changed()
        return tuple(wait.pending for wait in new)

    def move_on(self, prompt_id: str) -> tuple[PendingWait, ...]:
        """A job that was parked is another instance's now, with its questions: those that were open. Their pictures stay until it has
        ended."""
        with self._lock:
            waits = [wait for wait in self._runs.of(prompt_id) if isinstance(wait, Wait)]
            if not any(wait.stored for wait in waits):
                return ()
            self._runs.end(prompt_id)
            moved = tuple(wait for wait in waits if self._open.pop(wait.token, None) is not None)
            self._moved[prompt_id] = moved
        self._changed()
        return tuple(wait.pending for wait in moved)

    def park(self, prompt_id: str) -> tuple[JobWait, ...]:
        """A run is to be parked: all that it has asked. From now on its answers go into the store (``parked_waits``).

        Nothing, and nothing happens, when one of its waits is just being answered or over, or it was not begun.
        """
        with self._lock:
            waits = [wait for wait in self._runs.of(prompt_id) if isinstance(wait, Wait)]
            still = [wait for wait in waits if wait.token in self._open]
            if not still or not all(_is_live(wait) for wait in still):
                return ()
            for wait in still:
                wait.parked = True
            return tuple(wait.record() for wait in waits)

    def parked_for_good(self, prompt_id: str) -> bool:
        """That the job is parked is committed: its waits can be answered now. False for one that was not parked here."""
        with self._lock:
            waits = [wait for wait in self._runs.of(prompt_id) if isinstance(wait, Wait) and not wait.away]
            for wait in waits:
                wait.stored = wait.parked
            return any(wait.stored for wait in waits)

    def end(self, prompt_id: str, *, parked: bool = True) -> tuple[PendingWait, ...]:
        """A run, or a parked job, is over: so are all of its waits. Those that were open still. Unless ``parked`` the run alone is over:
        nothing happens if its job is parked, which another instance may have done meanwhile."""
        with self._lock:
            waits = [wait for wait in self._runs.of(prompt_id) if isinstance(wait, Wait)]
            if not parked and any(wait.stored for wait in waits):
                return ()
            self._runs.end(prompt_id)
            moved = self._moved.pop(prompt_id, ())
            over = tuple(wait for wait in waits if wait.token in self._open)
            for wait in over:
                self._drop(wait)
        self._over_for_good((*over, *moved))
        return tuple(wait.pending for wait in over)

    def parked_jobs(self) -> frozenset[str]:
        """The parked jobs whose questions are open here."""
        with self._lock:
            return frozenset(wait.pending.prompt_id for wait in self._open.values() if wait.stored)

    def is_parked(self, token: str) -> bool | None:
        """Whether a wait's job is parked for good; False while it is about to be, None for a wait that cannot be answered so."""
        with self._lock:
            wait = self._open.get(token)
            return wait.stored if wait is not None and wait.parked and _is_live(wait) else None

    def is_open(self, token: str) -> bool:
        """Whether a wait can be answered, one way or the other."""
        with self._lock:
            wait = self._open.get(token)
            return wait is not None and _is_live(wait)

    def answered(self, token: str, message: str = "") -> PendingWait | None:
        """The answer to a parked job's wait is stored; the wait, None when it was over. ``message``: empty where it is not known."""
        with self._lock:
            wait = self._open.get(token)
            if wait is None or not wait.stored:
                return None
            wait.answer(message)
            self._drop(wait)
        self._over_for_good((wait,))
        return wait.pending

    def parked(
        self, message: str, node_id: str, token: str | None = None, prompt_id: str | None = None
    ) -> PendingWait | None:
        """The parked wait that a message is for, which it would answer; None when that wait is not parked. Errors as ``deliver``."""
        with self._lock:
            wait = self._one_live(node_id, token, prompt_id)
            if not wait.parked:
                return None
            _refuse_excess(wait.pending, len(message.encode("utf-8", "surrogatepass")))
            read_answer(wait.pending.ask, message)
            return wait.pending

    def picture(self, token: str, number: int) -> Picture:
        """One of an open wait's pictures. Blocks. ``Gone``: the wait is over; ``NotFound``: there is no such wait or picture."""
        with self._lock:
            moved = (wait for waits in self._moved.values() for wait in waits if wait.token == token)
            wait, over = self._open.get(token) or next(moved, None), token in self._over
        if over:
            raise Gone("That wait is over; its pictures are gone.")
        found = None
        if wait is not None and self._pictures is not None and number < wait.pending.ask.pictures:
            found = self._pictures.find(token, number)
        if found is None:
            raise NotFound(f"There is no picture {number} of a wait with this token.")
        return found

    def sweep_pictures(self) -> None:
        """Remove pictures that an earlier process left of waits that are not open here. Blocks; to be called once what was stored of such
        waits has been reopened."""
        with self._lock:
            tokens = frozenset(self._open)
        if self._pictures is not None:
            self._pictures.sweep(tokens)

    def is_over(self, token: str) -> bool:
        """Whether a wait is known to be over."""
        with self._lock:
            return token in self._over

    def remember_over(self, wait: PendingWait) -> None:
        """A wait of another instance is over: later answers to it get ``Gone`` here too."""
        with self._lock:
            self._keep_over(wait)

    def asked_again(self, wait: PendingWait) -> None:
        """Another instance says that a wait is open."""
        with self._lock:
            self._over.pop(wait.token, None)

    def deliver(self, message: str, node_id: str, token: str | None = None, prompt_id: str | None = None) -> Delivered:
        """Answer the one wait that fits everything given; the first answer wins.

        ``NotFound``: no such wait. ``Gone``: it is over (answered, timed out or cancelled). ``Conflict`` with
        ``details["tokens"]``: several fit. ``LimitExceeded``: more than that wait takes. ``InputInvalid``: no answer to what is asked
        (``jobs.waits.read_answer``). A refused message changes nothing.
        """
        size_bytes = len(message.encode("utf-8", "surrogatepass"))
        with self._lock:
            wait = self._one_live(node_id, token, prompt_id)
            _refuse_excess(wait.pending, size_bytes)
            read_answer(wait.pending.ask, message)
            if wait.parked:
                raise BeingParked("The job is just being parked; send the answer again.", retry_after_s=1)
            wait.answer(message)
        self._changed()
        return Delivered(token=wait.token, node_id=wait.pending.node_id, prompt_id=wait.pending.prompt_id)

    def own(self) -> tuple[PendingWait, ...]:
        """As ``pending``, without those of jobs that other instances parked."""
        with self._lock:
            return tuple(wait.pending for wait in self._open.values() if _is_live(wait) and not wait.away)

    def pending(self) -> tuple[PendingWait, ...]:
        """The waits that can still be answered, oldest first."""
        with self._lock:
            return tuple(wait.pending for wait in self._open.values() if _is_live(wait))

    def _take_up(
        self, prompt_id: str, records: Sequence[JobWait], *, parked: bool, away: bool = False
    ) -> tuple[Wait, ...]:
        """Those of them that were not open."""
        waits = [self._again(prompt_id, record) for record in records]
        self._runs.begin(prompt_id, waits)
        self._moved.pop(prompt_id, None)
        new: list[Wait] = []
        for wait in waits:
            wait.parked = wait.stored = parked
            wait.away = away
            if wait.answered:
                continue
            if wait.token not in self._open:
                new.append(wait)
            self._open[wait.token] = wait
            self._over.pop(wait.token, None)
        return tuple(new)

    def _again(self, prompt_id: str, record: JobWait) -> Wait:
        """The wait of a record: the one that is open still, or made anew."""
        wait = self._open.get(record.token)
        if wait is None:
            wait = Wait(PendingWait.of(prompt_id, record), self._clock, record.index)
        if record.answer is not None and not wait.answered:
            wait.answer(record.answer)
            self._drop(wait)
        return wait

    def _over_for_good(self, waits: Sequence[Wait]) -> None:
        """What follows once the lock is free again; blocks."""
        self._forget_pictures(wait.record() for wait in waits)
        if waits:
            self._changed()

    def _forget_pictures(self, over: Iterable[JobWait]) -> None:
        for wait in over:
            if self._pictures is not None and wait.ask.pictures:
                self._pictures.drop(wait.token)

    def _drop(self, wait: Wait) -> None:
        self._open.pop(wait.token, None)
        self._keep_over(wait.pending)

    def _keep_over(self, wait: PendingWait) -> None:
        self._over[wait.token] = wait
        while len(self._over) > REMEMBERED_WAITS:
            self._over.popitem(last=False)

    def _one_live(self, node_id: str, token: str | None, prompt_id: str | None) -> Wait:
        fitting = [wait for wait in self._open.values() if fits(wait.pending, node_id, token, prompt_id)]
        live = [wait for wait in fitting if _is_live(wait)]
        if len(live) == 1:
            return live[0]
        if live:
            raise Conflict(
                f"{len(live)} waits fit node {node_id}; send the token of one of them.",
                details={"tokens": [wait.token for wait in live]},
            )
        if fitting or any(fits(past, node_id, token, prompt_id) for past in self._over.values()):
            raise Gone(f"Node {node_id} no longer waits: it was answered, timed out or was cancelled.")
        raise NotFound(f"Nothing waits for a message to node {node_id} with the token and prompt_id given.")


def _is_live(wait: Wait) -> bool:
    return not wait.answered and not wait.expired


def fits(pending: PendingWait, node_id: str, token: str | None, prompt_id: str | None) -> bool:
    """Whether a message so addressed may be for this wait."""
    if pending.node_id != node_id:
        return False
    return token in (None, pending.token) and prompt_id in (None, pending.prompt_id)


def _refuse_excess(pending: PendingWait, size_bytes: int) -> None:
    if size_bytes > pending.max_bytes:
        raise LimitExceeded(
            f"The message has {size_bytes} bytes of UTF-8; this wait takes at most {pending.max_bytes}.",
            details={"bytes": size_bytes, "max_bytes": pending.max_bytes},
            too_large=True,
        )
