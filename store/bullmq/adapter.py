"""``JobStore`` on a Redis that several members share: threads that write, read, listen to the others and renew leases.

Owns opening, closing and who runs where. What a verb means stands in ``store.verbs``; ``transactions`` commits, ``finding`` reads.

Every member holds what is unfinished in memory and hears of each commit of the others; a commit made on anything else than
the latest is refused by the script, brought up to date and run again. So the verbs take effect one after the other, whoever asks.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TypeVar

import redis

from ...jobs.affinity import AffinityPolicy
from ...jobs.errors import StoreUnavailable
from ...jobs.events import Publisher
from ...jobs.instances import instance_of
from ...jobs.model import Job
from ...jobs.ordering import OrderPolicy
from ..base import Clock, KeyedJob, Room, StoreState
from ..done import Done
from ..listeners import Neighbours, StoreObserver
from ..reading import Reading
from ..threaded import ThreadedStore
from ..verbs import NO_AFFINITY, Verbs
from ..worker import AskedKey, BatchWorker, Call, Outcome, outcome_of
from .commits import EVENTS_KEPT
from .connections import Connections
from .finding import ReaderRows
from .hearing import Anew, Heard, Look
from .keys import Keys
from .leases import Leases
from .ledger import BullmqLedger
from .listening import LOOK_S, Listener, Word
from .news import News, Quiet
from .outage import sentence, unavailable
from .own import OwnRuns
from .scripts import Scripts
from .start import WriterRows
from .transactions import Transactions

T = TypeVar("T")

_ANEW_MAX = 3
_WORDS_MAX = 100  # more that wait to be taken in are made up for by one look

_log = logging.getLogger("expeditor.store")


@dataclass(frozen=True, slots=True)
class _Session:
    """What is there between ``open`` and ``close``."""

    ledger: BullmqLedger
    verbs: Verbs
    reading: Reading
    transactions: Transactions


class BullmqStore(ThreadedStore):
    """The queue that several members share.

    ``connections`` are opened with the store and closed by who made them. ``boot_id`` names this member's life. ``lease_s``: a job
    whose member was not heard of for so long goes to another. ``pools``: those whose jobs this member claims; None: all. ``room`` says
    whether more jobs may wait in the queue that all share; None: always. ``events_kept``: the most, or a little more, in the log.
    ``look_s``: for so long ``close`` may wait for the thread that listens.
    """

    def __init__(  # noqa: PLR0913 - all by name
        self,
        *,
        connections: Connections,
        namespace: str,
        policy: OrderPolicy,
        clock: Clock,
        boot_id: str,
        publisher: Publisher,
        observer: StoreObserver,
        neighbours: Neighbours | None = None,
        affinity: AffinityPolicy = NO_AFFINITY,
        lease_s: float = 30.0,
        pools: Collection[str] | None = None,
        room: Room | None = None,
        events_kept: int = EVENTS_KEPT,
        look_s: float = LOOK_S,
    ) -> None:
        """Closed at first; nothing is connected yet."""
        self._connections = connections
        self._keys = Keys(namespace)
        self._policy = policy
        self._clock = clock
        self._boot_id = boot_id
        self._publisher = publisher
        self._observer = observer
        self._news = News(neighbours or Quiet(), boot_id)
        self._own = OwnRuns(boot_id)
        self._affinity = affinity
        self._lease_s = lease_s
        self._pools = pools
        self._room = room
        self._events_kept = events_kept
        self._look_s = look_s
        self._notice: str | None = None
        self._name = secrets.token_hex(4)
        self._listener: Listener | None = None
        self._looks = False  # whether a look at the others' commits is asked for and has not begun
        self.leases: Leases | None = None
        self._session: _Session | None = None
        self._resources = ExitStack()
        self._writer = BatchWorker("expeditor-store-write", self._run_writes, self._answered)
        self._reader = BatchWorker("expeditor-store-read", self._run_reads)

    def open(self) -> None:
        """See ``JobStore.open``."""
        if self._session is not None:
            return
        with ExitStack() as undo:
            self._connections.open()
            try:
                self._connect(undo)
                self._session = self._begun()
                self._rescored()
            except (redis.RedisError, OSError) as fault:
                raise self._unavailable(fault) from fault
            self._writer.start()
            self._reader.start()
            self._attend(undo)
            self._resources = undo.pop_all()

    def close(self) -> None:
        """See ``JobStore.close``. Reads end first: they may wait for writes."""
        self._reader.stop()
        self._writer.stop()
        self._resources.close()
        self._session = None

    def state(self) -> StoreState:
        """See ``JobStore.state``."""
        fault = None if self._session is None else self._session.transactions.error
        return StoreState(
            kind="bullmq",
            open=self._writer.running,
            error=None if fault is None else sentence(fault),
            pending_writes=self._writer.pending,
            notice=self._notice or self._connections.notice,
        )

    def keyed(self, principal: str, key: str) -> Future[KeyedJob | None]:
        """See ``JobStore.keyed``. Waits only for what was asked with this key."""
        ticket = self._after(lambda: self._writer.ticket_with((principal, key)))
        return self._reader.submit(lambda: self._looked(ticket, lambda reading: reading.keyed(principal, key)))

    def _connect(self, undo: ExitStack) -> None:
        self._write_client = self._client(self._connections.prompt("write"), undo)
        self._read_client = self._client(self._connections.prompt("read"), undo)
        self._scripts = Scripts(self._write_client)

    def _client(self, client: redis.Redis, undo: ExitStack) -> redis.Redis:
        undo.callback(self._connections.drop, client)
        return client

    def _unavailable(self, fault: Exception) -> StoreUnavailable:
        return unavailable(fault, self._connections.address)

    def _begun(self) -> _Session:
        """All that is held, read anew."""
        self._rows = rows = WriterRows(self._write_client, self._keys)
        here = instance_of(self._boot_id)
        ledger = BullmqLedger(rows, self._clock(), self._pools, here, self._abandoned_among, self._room)
        return _Session(
            ledger=ledger,
            verbs=Verbs(ledger, self._policy, self._clock, self._boot_id, self._affinity),
            reading=Reading(ReaderRows(self._read_client, self._keys, ledger.line), self._clock),
            transactions=Transactions(
                self._scripts,
                self._keys,
                ledger,
                self._publisher,
                self._observer,
                self._news,
                self._clock,
                self._lease_s,
                self._connections,
                self._own,
                self._name,
                lambda: self._listener is not None and self._listener.there,
                self._events_kept,
            ),
        )

    def _attend(self, undo: ExitStack) -> None:
        """Listen to the others, and renew the leases of what runs here."""
        renewing = self._client(self._connections.prompt("leases"), undo)
        listening = self._client(self._connections.patient("listen"), undo)
        self.leases = leases = Leases(renewing, self._keys, self._lease_s, self._running, self._gone)
        self._listener = listener = Listener(listening, self._keys("word"), self._word, self._look_s)
        leases.start()
        undo.callback(leases.stop)
        listener.start()
        undo.callback(listener.stop)

    def _running(self) -> list[Job]:
        """The jobs whose attempts are this member's."""
        session = self._session
        jobs = () if session is None else session.ledger.line.on_machine()
        return [job for job in jobs if self._own.knows(job)]

    def _gone(self) -> None:
        """A lease is gone: the run has just ended here, or somebody took the job back, which is heard by looking."""
        self._word(None)

    def _word(self, word: Word | None) -> None:
        """Somebody committed: take it in, or look, unless it was this member."""
        session = self._session
        if session is None:
            return
        session.transactions.stirred.set()
        if word is not None and (word.author == self._name or word.version <= session.ledger.state.version):
            return
        if word is not None and word.told is not None and self._writer.pending < _WORDS_MAX:
            self._writer.submit(Heard(word.told))
        elif not self._looks:
            self._looks = True
            self._writer.submit(Look(self._looking)).add_done_callback(self._looked_or_not)

    def _looking(self) -> None:
        # From here on a word may be of a commit that this look does not see.
        self._looks = False

    def _looked_or_not(self, look: Future[None]) -> None:
        # One that was refused, as Redis did not answer, never began: the next word is looked for again.
        if look.exception() is not None:
            self._looks = False

    def _abandoned_among(self, jobs: Sequence[Job]) -> list[Job]:
        """Those of these jobs whose lease is gone for good."""
        begun = self._now_open().ledger.changes.jobs  # in this very batch: there is no lease yet
        others = [job for job in jobs if not self._own.knows(job) and job.id not in begun]
        if not others or self.leases is None or not self.leases.calm():
            return []
        lost = self._rows.unlocked(others)
        return lost if lost and self._rows.up_for_s() > self._lease_s else []

    def _rescored(self) -> None:
        """Score everything anew when the policy is not that of the last time."""
        meta, policy = self._keys("meta"), self._policy.signature
        before = self._write_client.hget(meta, "policy")
        if before == policy.encode("ascii"):
            return
        self._write_client.hset(meta, "policy", policy)
        if before is not None:
            session = self._now_open()
            self._run_writes([Call(lambda: _done(session.verbs.rescore), None)])

    def _anew(self) -> None:
        """What is held in memory is not what Redis has: read everything again."""
        before = self._now_open().ledger.state
        self._session = session = self._begun()
        state = session.ledger.state
        if state.birth == before.birth:
            self._news.missed(before.position, state.position)
            return
        self._notice = (
            "The shared queue in Redis is not the one that was there before: it was emptied or replaced. Jobs from before are "
            "not shown and do not run."
        )
        _log.error("%s", self._notice, extra={"event": "store.replaced"})
        self._news.replaced(state.position)

    def _write(
        self, verb: Callable[[Verbs], Done[T]], job_id: str | None = None, key: AskedKey | None = None
    ) -> Future[T]:
        return self._writer.submit(lambda: verb(self._now_open().verbs), job_id, key)

    def _read(self, verb: Callable[[Reading], Done[T]], job_id: str | None = None) -> Future[T]:
        ticket = self._after(lambda: self._writer.ticket(job_id))
        return self._reader.submit(lambda: self._looked(ticket, verb))

    def _after(self, ticket: Callable[[], int]) -> int:
        """What a read waits for: also a look, where it is not known whether something asked for here was stored."""
        if not self._unsure():
            return ticket()
        self._word(None)
        return self._writer.ticket()

    def _unsure(self) -> bool:
        session = self._session
        return session is not None and session.transactions.unsure

    def _looked(self, ticket: int, verb: Callable[[Reading], Done[T]]) -> Done[T]:
        self._writer.wait_for(ticket)
        if self._unsure():
            raise self._unavailable(redis.TimeoutError())
        try:
            return verb(self._now_open().reading)
        except (redis.RedisError, OSError) as fault:
            raise self._unavailable(fault) from fault

    def _run_writes(self, batch: Sequence[Call]) -> Sequence[Outcome]:
        try:
            for _ in range(_ANEW_MAX):
                try:
                    outcomes = self._now_open().transactions.run(batch)
                except Anew:
                    self._anew()
                else:
                    if self._now_open().transactions.error is not None:
                        self._disturbed()
                    return outcomes
        except (redis.RedisError, OSError) as fault:
            return [self._unavailable(fault) for _ in batch]
        return [StoreUnavailable("The shared queue changes too fast to be read.") for _ in batch]

    def _answered(self) -> None:
        self._now_open().transactions.finish()

    def _disturbed(self) -> None:
        if self.leases is not None:
            self.leases.disturbed()

    def _run_reads(self, batch: Sequence[Call]) -> Sequence[Outcome]:
        return [outcome_of(call.run) for call in batch]

    def _now_open(self) -> _Session:
        assert self._session is not None, "the threads run only while the store is open"
        return self._session


def _done(do: Callable[[], None]) -> Done[None]:
    do()
    return Done(None)
