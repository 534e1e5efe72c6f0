"""A process that hosts the shared store and the real dispatcher, with a fake executor in ComfyUI's place, until it is killed.

`python cluster_child.py <redis address> <namespace> <boot id> <lease in s> <seconds between two looks> <jobs to submit>
<seconds that its own clock is off>`, and on standard input one line per request that an earlier process left unanswered:
`<job id> <fate> <principal> <priority>`. It is repeated with its key before anything else. One line per promise on standard output,
each in one write:

`ready`, `asking <id> <fate> <principal> <priority>` before a submit, `queued <id> <seq> <score>` once it is committed, `found <id>` when a
repeated request's job was there already, `submitted` when all are in, `claimed <id> <attempt>`, `ran <id> <attempt>` (the run's side
effect), `settled <id> <attempt> <what>`, `lost <id> <attempt>` when its lease is another's.

Fates: `ok`, `flaky` (fails at first), `late` (not before a moment), `slow` (runs for `SLOW_S`), `kills` (ends the process as it runs).
While Redis is away it waits, as a worker does, and asks again, as a client does.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
import child_imports  # noqa: F401 - makes `expeditor` and `tests` importable

from expeditor.dispatch.dispatcher import Dispatcher
from expeditor.jobs.errors import Conflict, StoreUnavailable
from expeditor.jobs.events import JobEvent
from expeditor.jobs.instances import instance_of
from expeditor.jobs.model import Claim, Payload, RequestKey
from expeditor.jobs.ordering import OrderPolicy
from expeditor.store.bullmq.adapter import BullmqStore
from expeditor.store.bullmq.address import parse
from expeditor.store.bullmq.clock import RedisClock
from expeditor.store.bullmq.connections import Connections
from tests.chaos.hosting import DeafEars, Request, dispatcher_of, say
from tests.conformance.harness import done, new_job

T = TypeVar("T")
PAYLOAD = Payload('{"1": {"class_type": "Fake", "inputs": {"text": "' + "x" * 500 + '"}}}', "{}", '["1"]')
FATES = ("ok",) * 8 + ("flaky", "late")
RUN_S = 0.003
SLOW_S = 1.0
LATE_S = 0.2
AGAIN_S = 0.05
LOOK_S = 0.1  # how long the worker sleeps at most: nobody tells it that a moment has come


class Ears(DeafEars):
    """Says what lease was lost, and wakes the worker when there may be work; hears nothing of the rest."""

    def __init__(self) -> None:
        self.work = threading.Event()

    def publish(self, events: tuple[JobEvent, ...]) -> None:
        self.work.set()

    def heard(self, events: tuple[JobEvent, ...]) -> None:
        """Not told."""

    def missed(self, after: int, until: int) -> None:
        """Not told."""

    def waiting(self) -> None:
        self.work.set()

    def lease_lost(self, job_id: str, attempt: int) -> None:
        say("lost", job_id, attempt)


class FakeExecutor:
    """Runs nothing: says after a moment that it ran, and reports what ComfyUI would report of the job's fate. Stands in for a GPU."""

    def __init__(self) -> None:
        self._pause = threading.Event()

    def report(self, claim: Claim) -> tuple[bool, list[tuple[str, Mapping[str, Any]]]]:
        job_id, fate = claim.job.id, claim.job.metadata["fate"]
        if fate == "kills":
            os.kill(os.getpid(), signal.SIGKILL)
        self._pause.wait(SLOW_S if fate == "slow" else RUN_S)
        say("ran", job_id, claim.attempt)
        if fate != "flaky" or claim.job.tries > 1:
            return True, [("execution_success", {"prompt_id": job_id})]
        fields = {"prompt_id": job_id, "exception_type": "ConnectionError", "exception_message": fate, "node_id": "1"}
        return False, [("execution_error", fields)]


class Member:
    """What one instance does: claim, execute, settle; submit; look after leases."""

    def __init__(self, store: BullmqStore, dispatcher: Dispatcher, clock: RedisClock, work: threading.Event) -> None:
        self._work = work
        self._store = store
        self._dispatcher = dispatcher
        self._clock = clock
        self._executor = FakeExecutor()
        self._pause = threading.Event()

    def work(self) -> None:
        """For ever, what ComfyUI's worker thread does."""
        while True:
            try:
                claim = self._dispatcher.claim()
            except StoreUnavailable:
                claim = None
                self._pause.wait(AGAIN_S)
            if claim is None:
                self._work.wait(LOOK_S)
                self._work.clear()
            else:
                self._run(claim)

    def submit(self, name: str, count: int, earlier: list[Request]) -> None:
        """Repeat what was left unanswered, then make new jobs, each request with its key."""
        rng = random.Random(name)
        new = [(f"{name}-{n}", rng.choice(FATES), f"user-{n % 3}", str(rng.randint(1, 10))) for n in range(count)]
        for request in (*earlier, *new):
            self.persist(lambda request=request: self._asked(request))
            self._pause.wait(rng.uniform(0.0, 0.01))
        say("submitted")

    def keep(self, check_s: float) -> None:
        """For ever, what the background does: it looks for leases that were lost."""
        while True:
            self.persist(lambda: done(self._store.tick()))
            self._pause.wait(check_s)

    def persist(self, call: Callable[[], T]) -> T:
        """As a patient client: again until there is an answer."""
        while True:
            try:
                return call()
            except StoreUnavailable:
                self._pause.wait(AGAIN_S)

    def _run(self, claim: Claim) -> None:
        job_id = claim.job.id
        say("claimed", job_id, claim.attempt)
        succeeded, messages = self._executor.report(claim)
        settled = self._dispatcher.finish(job_id, succeeded, messages, {}, '{"outputs": {}}')
        say("settled", job_id, claim.attempt, settled.value)

    def _asked(self, request: Request) -> None:
        job_id, fate, principal, priority = request
        keyed = done(self._store.keyed(principal, f"key-{job_id}"))
        if keyed is not None:
            say("found", keyed.job_id)
            return
        say("asking", *request)
        job = new_job(
            job_id,
            priority=int(priority),
            principal=principal,
            payload=PAYLOAD,
            metadata={"fate": fate},
            request_key=RequestKey(f"key-{job_id}", "the same"),
            not_before_s=self._clock() + LATE_S if fate == "late" else None,
            created_at_s=self._clock(),
        )
        try:
            stored = done(self._store.enqueue(job))
        except Conflict:
            say("found", job_id)  # the first try came through, and its answer did not
        else:
            say("queued", job_id, stored.seq, stored.score)


def main() -> None:
    """Join, recover, repeat what was left unanswered, then work until killed."""
    url, namespace, boot_id, lease_s, check_s, count, off_s = sys.argv[1:]
    ears = Ears()
    clock = RedisClock(wall=lambda: time.time() + float(off_s))
    store = BullmqStore(
        connections=Connections(parse(url), instance_of(boot_id) or boot_id, clock),
        namespace=namespace,
        policy=OrderPolicy(),
        clock=clock,
        boot_id=boot_id,
        publisher=ears,
        observer=ears,
        neighbours=ears,
        lease_s=float(lease_s),
    )
    dispatcher = dispatcher_of(store, boot_id, ears, clock, deadline_s=10.0)
    member = Member(store, dispatcher, clock, ears.work)
    member.persist(store.open)
    member.persist(dispatcher.recover)
    say("ready")
    earlier = [(words[0], words[1], words[2], words[3]) for words in map(str.split, sys.stdin.read().splitlines())]
    threading.Thread(target=member.keep, args=(float(check_s),), daemon=True).start()
    name = boot_id.replace("/", "-")
    threading.Thread(target=member.submit, args=(name, int(count), earlier), daemon=True).start()
    member.work()


if __name__ == "__main__":
    main()
