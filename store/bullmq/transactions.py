"""A batch of verbs in one commit on Redis: run in memory, then written by one script, or run again on what others committed meanwhile.

Owns the tries, what a refusal means, and in which order events are told: what others committed before what this batch did, all by
position. A verb that refuses has changed nothing. While Redis is away every verb fails with ``StoreUnavailable``.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import redis

from ...jobs.errors import ExpeditorError, StoreUnavailable
from ...jobs.events import Publisher
from ...jobs.model import Job
from ...jobs.transitions import is_terminal
from ..base import Clock
from ..done import Done
from ..listeners import StoreObserver
from ..worker import Call, Outcome, tell, unexpected
from .commits import EVENTS_KEPT, Command, Commands, request_field
from .connections import Connections
from .hearing import Anew, Heard, Hearing, Look
from .keys import Keys, mark_of
from .ledger import BullmqLedger, View
from .moves import Move, Mover, lease_of
from .news import News
from .outage import is_full, reason, unavailable
from .own import OwnRuns
from .packing import packer, text_packer
from .scripts import AnswerLate, AnswerLost, Scripts
from .ticks import epoch_for, fits

RESENT_FOR_S = 0.4
"""How long a commit is asked for again that could not be sent: verbs fail soon when Redis is away."""

FIND_OUT_FOR_S = 1.5
"""How long it is tried to find out what became of a commit whose answer was lost."""

HUNG_FOR_S = 0.3
"""So long after Redis did not answer everything is refused at once: who asked while one waited need not wait as long again."""

TRY_FOR_S = 8.0
"""How long a batch is run again and again on what others left before it gives up; turns see to it that it need not."""

POLITE_AFTER = 0
"""After so many lost races a batch asks for a turn of its own."""

_WORDS = (Look, Heard)

_log = logging.getLogger("expeditor.store")


class Transactions:
    """Runs batches on the writing connection; ``error`` is the last write's fault, None when it worked. ``unsure``: something may have
    been stored that this member does not know of, until it has looked."""

    def __init__(  # noqa: PLR0913, PLR0917 - one for each part
        self,
        scripts: Scripts,
        keys: Keys,
        ledger: BullmqLedger,
        publisher: Publisher,
        observer: StoreObserver,
        news: News,
        clock: Clock,
        lease_s: float,
        connections: Connections,
        own: OwnRuns,
        name: str,
        listens: Callable[[], bool],
        events_kept: int = EVENTS_KEPT,
    ) -> None:
        """``name`` tells this life's commits from others'. ``listens``: whether this member hears of commits itself."""
        self._scripts = scripts
        self._keys = keys
        self._names = [
            keys(name) for name in ("meta", "changes", "events", "live", "ended", "pruned", "request", "turn")
        ]
        self._channel = keys("word")
        self._pack, self._pack_text = packer(), text_packer()
        self._ledger = ledger
        self._hearing = Hearing(ledger, news, own)
        self._publisher = publisher
        self._observer = observer
        self._clock = clock
        self._lease_s = lease_s
        self._connections = connections
        self._address = connections.address
        self._hung_until_s = self._until_s = 0.0
        self.stirred = threading.Event()
        self._full = False
        self._own = own
        self._name = name
        self._listens = listens
        self._events_kept = events_kept
        self._number = 0
        self._verbs = 0
        self.error: str | None = None
        self.unsure = False
        self._rest: Callable[[], None] | None = None
        self._astray = False

    def run(self, batch: Sequence[Call]) -> Sequence[Outcome]:
        """Run and commit a batch, publish its events, and say what became of each verb. What nobody waits for is left to ``finish``."""
        self.finish()
        if self._astray:
            raise Anew
        if time.monotonic() < self._hung_until_s:
            return [unavailable(redis.TimeoutError(), self._address) for _ in batch]
        try:
            return self._run(batch)
        except (redis.RedisError, OSError) as fault:
            return self._without_room(batch, fault) if is_full(fault) else self._failed(batch, fault)
        except Anew:
            self._ledger.roll_back()
            raise
        except Exception:  # noqa: BLE001 - a fault of ours in one verb is no fault of the others in its batch
            self._ledger.roll_back()
            if len(batch) == 1:
                return [unexpected()]
            _log.warning("a batch of %d verbs is run again, each on its own", len(batch))
            return [self.run([call])[0] for call in batch]

    def finish(self) -> None:
        """Do what is left to do of the latest batch: before another is run at the latest. Where that fails everything is read anew then."""
        rest, self._rest = self._rest, None
        if rest is not None:
            self._astray = True
            rest()
            self._astray = False

    def _run(self, batch: Sequence[Call]) -> Sequence[Outcome]:
        words = [call.run for call in batch if isinstance(call.run, _WORDS)]
        verbs = len(batch) - len(words)
        if words and self._hearing.suffices(words) and not verbs:
            return [Done(None) for _ in batch]
        look = late = False
        self._verbs, tried, self._until_s = verbs, 0, time.monotonic() + TRY_FOR_S
        while time.monotonic() < self._until_s:
            outcomes = self._in_memory(batch, look=look)
            answer = self._commit(polite=tried >= POLITE_AFTER)
            if answer == "done" or (answer == "behind" and not verbs):
                tell(self._publisher, outcomes)
                return outcomes
            self._ledger.roll_back()
            if answer == "late":
                self._was_late(late)
                late = True
            look = look or answer == "known"
            tried += answer == "behind"
            if answer in {"wait", "locked"}:
                time.sleep(random.uniform(0.0, 0.003))  # noqa: S311 - no secret, only to go out of each other's way
        return [StoreUnavailable("The shared queue is too busy: nothing was stored; try again.") for _ in batch]

    def _in_memory(self, batch: Sequence[Call], *, look: bool) -> list[Outcome]:
        """Run the verbs on the ledger. ``look``: what is not held is looked up, else it is taken for unknown."""
        ledger = self._ledger
        ledger.begin()
        ids = [call.job_id for call in batch if call.job_id is not None]
        keys = [call.key for call in batch if call.key is not None]
        if look:
            ledger.expect(ids, keys)
        else:
            ledger.assume(ids, keys)
        return [_refusable(call) for call in batch]

    def _commit(self, *, polite: bool) -> str:
        began_s = time.perf_counter()
        ledger, changes = self._ledger, self._ledger.changes
        commands = Commands(
            self._keys, changes, ledger.before, ledger.virtual_time(), self._pack_text, self._events_kept
        )
        listed, head = commands.all(), commands.head()
        epoch, moves = self._moves()
        wrote, full_too = bool(listed or moves or head), self._goes_on_when_full()
        if wrote:
            head += ("version", ledger.state.version + 1, "position", ledger.position, "seq", ledger.seq)
            if epoch is not None:
                head += ("epoch", repr(epoch))
            listed.append(["HSET", self._names[0], *head])
        self._number += 1
        token = f"{self._name}:{self._number}"
        asked = self._asked(commands, listed, moves)
        asked |= {"token": token, "polite": int(polite), "full_too": int(full_too)}
        answer = self._sent(asked, token)
        while answer == "wait" and time.monotonic() < self._until_s:
            # Its end is heard as the word of a commit. Nothing is run again meanwhile, so that many who wait cost little.
            self.stirred.wait(random.uniform(0.01, 0.03))  # noqa: S311 - no secret, only to go out of each other's way
            self.stirred.clear()
            answer = self._sent(asked, token)
        if answer != "done":
            if answer == "behind":
                self.unsure = False
                self._recovered(proven=False)
            return answer
        self.unsure = False
        self._recovered(proven=wrote and not full_too)
        self._rest = partial(self._take_over, commands, epoch) if wrote else ledger.commit
        if wrote:
            self._observer.committed(time.perf_counter() - began_s, self._verbs)
        return "done"

    def _take_over(self, commands: Commands, epoch: float | None) -> None:
        """What was committed is so here too."""
        ledger, jobs = self._ledger, self._ledger.changes.jobs.values()
        kept = [commands.kept(job) for job in jobs]
        ledger.pools.update(job.pool for job in jobs)
        self._own.committed(ledger.before, jobs)
        ledger.committed(kept, ledger.changes, epoch)

    def _asked(self, commands: Commands, listed: list[Command], moves: list[Move]) -> dict[str, Any]:
        """What ``commit.lua`` is told."""
        ledger, changes = self._ledger, self._ledger.changes
        absent, unkeyed = ledger.assumed
        changed = dict.fromkeys([*changes.jobs, *changes.pruned])
        return {
            "birth": ledger.state.birth,
            "version": ledger.state.version,
            "told": ledger.state.position,
            "turn": self._name,
            "absent": [commands.key(job_id) for job_id in absent],
            "unpruned": [mark_of(job_id) for job_id in absent],
            "unkeyed": [request_field(*key) for key in unkeyed],
            "locks": self._locks(),
            "commands": listed,
            "moves": moves,
            "changed": self._pack([commands.key(job_id) for job_id in changed]),
            "also": self._also(),
            "listens": int(self._listens()),
            "channel": self._channel,
        }

    def _sent(self, asked: dict[str, Any], token: str) -> str:
        """Ask for the commit. Asked again when the answer was lost: the token tells whether the first one came through."""
        answer, resent = self._answered(asked)
        word = answer[0].decode("ascii")
        if word == "done":
            for text in answer[1]:
                _log.warning("BullMQ's own record of a job was not in step: %s", text.decode("utf-8", "replace"))
        if word == "behind":
            view = View.of(answer[1])
            if resent and token in view.tokens:
                return "done"  # what others did after it comes with the next look
            self._hearing.take_in(view)
        if word == "other":
            raise Anew
        return word

    def _answered(self, asked: dict[str, Any]) -> tuple[Any, bool]:
        """The answer, and whether one was lost before it."""
        began_s, lost = time.monotonic(), None
        while True:
            asked["until"] = repr(self._connections.deadline_s())
            try:
                answer = self._scripts.commit(self._names, self._pack(asked))
            except redis.ConnectionError as fault:
                lost = lost or (fault if isinstance(fault, AnswerLost) else None)
                if time.monotonic() - began_s > (RESENT_FOR_S if lost is None else FIND_OUT_FOR_S):
                    raise lost or fault from fault
            except redis.TimeoutError as fault:
                raise lost or fault from fault
            else:
                # These two say nothing of the one before.
                if lost is None or answer[0] not in {b"wait", b"late"}:
                    return answer, lost is not None
                if time.monotonic() - began_s > FIND_OUT_FOR_S:
                    raise lost
            time.sleep(0.05)

    def _moves(self) -> tuple[float | None, list[Move]]:
        """The steps for BullMQ, and the epoch of its ranks if it is another one now."""
        ledger, changes = self._ledger, self._ledger.changes
        jobs, moved = list(changes.jobs.values()), None
        waiting = [job.score for job in jobs if job.in_line and not job.suspect]
        epoch = ledger.state.epoch
        if waiting and (epoch is None or not all(fits(score, epoch) for score in waiting)):
            head = ledger.head_score("")
            epoch = moved = epoch_for(min([*waiting, *([] if head is None else [head])]))
        mover = Mover(self._keys, self._lease_s, epoch or 0.0, self._clock(), self._pack)
        moves: list[Move] = []
        for pool in {job.pool for job in jobs} - ledger.pools:
            moves += mover.open(pool, ledger.paused())
        if changes.paused is not None:
            moves += [mover.pause(pool, changes.paused) for pool in sorted(ledger.pools)]
        for job in jobs:
            before = ledger.before.get(job.id)
            after = None if job.id in changes.pruned else job
            moves += mover.steps(None if before is None else before.job, after)
        for job_id in changes.pruned:
            if job_id not in changes.jobs:
                moves += mover.steps(ledger.before[job_id].job, None)
        if moved is not None:
            moves += [mover.rank_again(job) for job in ledger.line.queued() if job.id not in changes.jobs]
        return moved, moves

    def _locks(self) -> list[list[str]]:
        """The leases that must be the expected ones, or gone."""
        ledger = self._ledger
        found: list[list[str]] = []
        for job_id, kept in ledger.before.items():
            job = kept.job
            if job.in_line or is_terminal(job.status):
                continue
            after = ledger.changes.jobs.get(job_id)
            if after is not None and _left(job, after):
                found.append([self._keys.lock(job), "" if job_id in ledger.lost else lease_of(job)])
        return found

    def _also(self) -> bytes:
        changes, also = self._ledger.changes, dict[str, Any]()
        if changes.tags:
            also["t"] = [[*level, finish] for level, finish in changes.tags.items()]
        if changes.means:
            also["m"] = [[signature, mean_s] for signature, (mean_s, _) in changes.means.items()]
        if changes.forgetting is not None:
            also["f"] = 1
        pools = {job.pool for job in changes.jobs.values()} - self._ledger.pools
        if pools:
            also["p"] = sorted(pools)
        return self._pack_text(also)

    def _failed(self, batch: Sequence[Call], fault: Exception) -> Sequence[Outcome]:
        self._ledger.roll_back()
        if isinstance(fault, redis.TimeoutError):
            self._hung_until_s = time.monotonic() + HUNG_FOR_S
        self._away(fault)
        refusal = unavailable(fault, self._address)
        if isinstance(fault, AnswerLost | AnswerLate):
            self.unsure = True
            message = f"{refusal.message} It is not known whether this was stored: look before you ask again."
            refusal = StoreUnavailable(message, retry_after_s=2)
        return [refusal for _ in batch]

    def _away(self, fault: Exception) -> None:
        why = reason(fault, self._address)
        if self.error is None:
            _log.error("the shared queue cannot be used: %s", why)
        self.error = why

    def _goes_on_when_full(self) -> bool:
        """Whether this is done also by a Redis that takes nothing more: what is there runs, ends and goes, and nothing new comes."""
        changes = self._ledger.changes
        known = changes.jobs or changes.pruned or changes.unwanted or changes.forgetting is not None
        return bool(known) and not changes.payloads

    def _without_room(self, batch: Sequence[Call], fault: Exception) -> Sequence[Outcome]:
        """What brings something new is refused, and what else is in the batch is not for that."""
        self._full = True
        if len(batch) == 1:
            return self._failed(batch, fault)
        self._ledger.roll_back()
        return [self.run([call])[0] for call in batch]

    def _was_late(self, again: bool) -> None:
        """Redis came to it too late, or its clock was set: look, and try once more."""
        if again:
            raise redis.TimeoutError
        self._connections.measure(self._scripts.client)

    def _recovered(self, *, proven: bool) -> None:
        """It worked. ``proven``: by a write that a full Redis would have refused."""
        if self._full and not proven:
            return
        self._full = False
        if self.error is not None:
            _log.warning("the shared queue can be used again")
        self.error = None


def _left(before: Job, after: Job) -> bool:
    """Whether the attempt that ran is over."""
    return is_terminal(after.status) or after.in_line or after.attempt != before.attempt


def _refusable(call: Call) -> Outcome:
    try:
        return call.run()
    except ExpeditorError as refusal:
        return refusal
