"""Processes that share a queue on a real Redis (`cluster_child.py`), as the chaos tests start, hear and kill them; and what is left.

Owns no expectation. `Member.said` has what a process said so far, with the moments at which it was heard.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from expeditor.jobs.events import JobEvent, LoggedEvent
from expeditor.jobs.log import LogQuery
from expeditor.jobs.model import Job
from expeditor.jobs.ordering import OrderPolicy
from expeditor.jobs.transitions import is_terminal
from expeditor.store.bullmq.adapter import BullmqStore
from expeditor.store.bullmq.address import parse
from expeditor.store.bullmq.connections import Connections
from expeditor.store.records import PAGE_LIMIT_MAX, JobQuery
from tests.conformance.harness import done, new_job
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until

CHILD = Path(__file__).with_name("cluster_child.py")
CHECK_S = 0.5
"""How often a member looks for leases that were lost."""
Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Heard:
    """One line, and when it was heard (monotonic)."""

    at_s: float
    kind: str
    words: Words


@dataclass
class Member:
    """One process."""

    boot_id: str
    process: subprocess.Popen[str]
    said: list[Heard] = field(default_factory=list[Heard])
    dead: bool = False

    def __post_init__(self) -> None:
        self._ear = threading.Thread(target=self._listen, daemon=True)
        self._ear.start()

    def words(self, *kinds: str) -> list[Words]:
        """What it said of these kinds so far."""
        return [heard.words for heard in list(self.said) if heard.kind in kinds]

    def kill(self) -> None:
        """SIGKILL; all that it said is heard afterwards."""
        self.process.kill()
        self.ended()

    def ended(self) -> None:
        """Wait for its end, which must be SIGKILL, its own or ours."""
        code = self.process.wait(30)
        self.dead = True
        complaint = self.close()
        assert code == -signal.SIGKILL, complaint

    def close(self) -> str:
        """Hear the rest of a process that has ended: what it complained of."""
        self._ear.join(30)
        out, err = self.process.stdout, self.process.stderr
        if out is None or err is None or out.closed:
            return ""
        with out, err:
            return err.read()

    def stop_world(self) -> None:
        """SIGSTOP."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        os.kill(self.process.pid, signal.SIGCONT)

    def has(self) -> Words | None:
        """The job and the attempt that it has claimed and not settled."""
        claimed = self.words("claimed")
        return claimed[-1] if claimed and claimed[-1] not in {words[:2] for words in self.words("settled")} else None

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.endswith("\n"):
                kind, *words = line.split()
                self.said.append(Heard(time.monotonic(), kind, tuple(words)))


class Queue:
    """One shared queue: its members, and a store of the test's own on it that claims nothing."""

    def __init__(self, redis: RedisServer, lease_s: float) -> None:
        """On a namespace of its own."""
        self.redis = redis
        self.lease_s = lease_s
        self.namespace = f"chaos-{uuid.uuid4().hex[:12]}"
        self.members: list[Member] = []
        self.connections = Connections(parse(redis.url), "looker")
        ears = _Quiet()
        self.store = BullmqStore(
            connections=self.connections,
            namespace=self.namespace,
            policy=OrderPolicy(),
            clock=self.connections.clock,
            boot_id="looker/0",
            publisher=ears,
            observer=ears,
            lease_s=lease_s,
        )

    def start(
        self, boot_id: str, *, submits: int = 0, unanswered: Iterable[Words] = (), clock_off_s: float = 0.0
    ) -> Member:
        """A process with this boot id, which submits so many jobs and what others had no answer to."""
        fields = (
            self.redis.url,
            self.namespace,
            boot_id,
            str(self.lease_s),
            str(CHECK_S),
            str(submits),
            str(clock_off_s),
        )
        child = subprocess.Popen(
            [sys.executable, str(CHILD), *fields],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert child.stdin is not None
        child.stdin.write("".join(" ".join(words) + "\n" for words in unanswered))
        child.stdin.close()
        child.stdin = None
        member = Member(boot_id, child)
        self.members.append(member)
        return member

    def until_ready(self, *members: Member) -> None:
        """Until these have joined."""
        for member in members:
            wait_until(
                lambda member=member: _alive(member) and member.words("ready"), 60, what="a member that is ready"
            )

    def said(self, *kinds: str) -> list[Words]:
        """What all members said of these kinds."""
        return [words for member in self.members for words in member.words(*kinds)]

    def unanswered(self) -> list[Words]:
        """Requests of dead members whose client never heard anything."""
        answered = {words[0] for words in self.said("queued", "found")}
        dead = [member for member in self.members if member.dead]
        asked = [words for member in dead for words in member.words("asking")]
        return [words for words in dict.fromkeys(asked) if words[0] not in answered]

    def waits(self) -> int:
        """How many jobs are unfinished."""
        return sum(row.jobs for row in done(self.store.summary()).rows)

    def jobs(self) -> dict[str, Job]:
        """All jobs."""
        found: dict[str, Job] = {}
        cursor = None
        while not found or cursor is not None:
            page = done(self.store.page(JobQuery(cursor=cursor, limit=PAGE_LIMIT_MAX)))
            found.update({job.id: job for job in page.jobs})
            cursor = page.next_cursor
            if not page.jobs:
                break
        return found

    def submit(self, job_id: str, fate: str, priority: int = 3) -> None:
        """One job that is stored when this returns."""
        done(self.store.enqueue(new_job(job_id, priority, metadata={"fate": fate}, created_at_s=self.now_s())))

    def job(self, job_id: str) -> Job:
        """One job."""
        found = done(self.store.get(job_id))
        assert found is not None, job_id
        return found

    def ended(self, job_id: str) -> bool:
        """Whether it has."""
        return is_terminal(self.job(job_id).status)

    def now_s(self) -> float:
        """The queue's time."""
        return self.connections.clock()

    def log(self) -> list[LoggedEvent]:
        """All events, in their order."""
        found: list[LoggedEvent] = []
        after, more = 0, True
        while more:
            page = done(self.store.events(LogQuery(after=after)))
            found.extend(page.events)
            after, more = page.end, page.more
        return found


class _Quiet:
    """Hears nothing."""

    def publish(self, events: tuple[JobEvent, ...]) -> None:
        """Not needed."""

    def committed(self, duration_s: float, verbs: int) -> None:
        """Not needed."""


@contextmanager
def shared_queue(lease_s: float, *, redis_args: Sequence[str] = ()) -> Iterator[Queue]:
    """A queue on a Redis of its own (AOF everysec); all processes are gone afterwards."""
    with RedisServer(args=redis_args) as redis:
        queue = Queue(redis, lease_s)
        queue.store.open()
        try:
            yield queue
        finally:
            for member in queue.members:
                member.process.kill()
                member.process.wait(30)
                member.close()
            queue.store.close()
            queue.connections.close()


def _alive(member: Member) -> bool:
    if member.process.poll() is not None:
        assert member.process.stderr is not None
        raise AssertionError(f"{member.boot_id} ended:\n{member.process.stderr.read()}")
    return True
