"""A process that hosts the SQLite store and the real dispatcher, with a fake executor in ComfyUI's place, until it is killed.

`python scheduler_child.py <folder> <boot id> work|drain`, and on standard input one line per request that an earlier process
left unanswered: `<job id> <fate> <principal> <priority>`. It is repeated with its key before anything else. One line per
promise on standard output, each in one write:

`asking <id> <fate> <principal> <priority>` before a submit, `queued <id> <seq> <score>` once it is committed, `found <id>` when a repeated
request's job was there already, `claimed <id> <attempt>`, `ran <id> <attempt>` (the run's side effect), `settled <id> <attempt> <what>`,
`canceled <id>`, `pruning <id> ...` before and `pruned <id> ...` after, `told <event type> <id>` for each event.

`drain` submits nothing, runs until nothing waits and ends by itself.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
import child_imports  # noqa: F401 - makes `expeditor` and `tests` importable

from expeditor.dispatch.dispatcher import Dispatcher
from expeditor.jobs.errors import Conflict
from expeditor.jobs.events import JobEvent
from expeditor.jobs.model import Claim, JobStatus, Payload, RequestKey
from expeditor.jobs.ordering import OrderPolicy
from expeditor.store.base import KeptFor
from expeditor.store.records import PAGE_LIMIT_MAX, JobQuery
from expeditor.store.sqlite import SqliteStore
from tests.chaos.hosting import DeafEars, Request, dispatcher_of, say
from tests.conformance.harness import done, new_job

PAYLOAD = Payload('{"1": {"class_type": "Fake", "inputs": {"text": "' + "x" * 2000 + '"}}}', "{}", '["1"]')
FATES = ("ok", "ok", "ok", "flaky", "oom", "bad", "late", "brief", "dropped")
ERRORS = {"flaky": "ConnectionError", "oom": "torch.OutOfMemoryError", "bad": "ValueError"}
HELD_BACK_S = 0.05
BRIEF_S = 0.02
RUN_S = 0.003
KEPT = {JobStatus.CANCELED: KeptFor(count=50), JobStatus.FAILED: KeptFor(count=50)}


class Ears(DeafEars):
    """Says every event; hears nothing of commits and runs."""

    def publish(self, events: tuple[JobEvent, ...]) -> None:
        for event in events:
            say("told", event.type, event.job.id)


class FakeExecutor:
    """Runs nothing: says after a moment that it ran, and reports what ComfyUI would report of the job's fate. Stands in for a GPU."""

    def __init__(self) -> None:
        self._pause = threading.Event()

    def report(self, claim: Claim, tries: int) -> tuple[bool, list[tuple[str, Mapping[str, Any]]]]:
        job_id, fate = claim.job.id, claim.job.metadata["fate"]
        self._pause.wait(RUN_S)
        say("ran", job_id, claim.attempt)
        fails = fate == "bad" or (fate in {"flaky", "oom"} and tries == 1)
        if not fails:
            return True, [("execution_success", {"prompt_id": job_id})]
        fields = {"prompt_id": job_id, "exception_type": ERRORS[fate], "exception_message": fate, "node_id": "1"}
        return False, [("execution_error", fields)]


class Host:
    """What ComfyUI's worker thread does, over and over: claim, execute, settle."""

    def __init__(self, store: SqliteStore, dispatcher: Dispatcher) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._executor = FakeExecutor()

    def work(self, over: Callable[[], bool]) -> None:
        pause = threading.Event()
        while True:
            claim = self._dispatcher.claim()
            if claim is not None:
                self._run(claim)
            elif over():
                return
            else:
                pause.wait(0.002)

    def _run(self, claim: Claim) -> None:
        job_id = claim.job.id
        say("claimed", job_id, claim.attempt)
        tries = claim.job.tries
        succeeded, messages = self._executor.report(claim, tries)
        while not succeeded and self._dispatcher.again_now(job_id, succeeded, messages, {}):
            tries += 1
            succeeded, messages = self._executor.report(claim, tries)
        settled = self._dispatcher.finish(job_id, succeeded, messages, {}, '{"outputs": {}}')
        say("settled", job_id, claim.attempt, settled.value)


def submit(store: SqliteStore, name: str, salt: int) -> None:
    """Enqueue without end, each request with its key; some jobs are cancelled, held for a moment, delayed or expire."""
    rng = random.Random(salt)
    for n in range(10**9):
        ask(store, (f"{name}-{n}", rng.choice(FATES), f"user-{salt % 3}", str(rng.randint(1, 10))))


def ask(store: SqliteStore, request: Request) -> None:
    job_id, fate, principal, priority = request
    say("asking", *request)
    now_s = time.time()
    job = new_job(
        job_id,
        priority=int(priority),
        principal=principal,
        payload=PAYLOAD,
        metadata={"fate": fate},
        request_key=RequestKey(f"key-{job_id}", "the same"),
        not_before_s=now_s + HELD_BACK_S if fate == "late" else None,
        expires_at_s=now_s + BRIEF_S if fate == "brief" else None,
    )
    stored = done(store.enqueue(job))
    say("queued", job_id, stored.seq, stored.score)
    if fate == "dropped":
        done(store.cancel(job_id))
        say("canceled", job_id)
    elif fate == "late":
        meddle(store, job_id)


def meddle(store: SqliteStore, job_id: str) -> None:
    """Hold and release; a job that has just expired or started refuses, as it should."""
    try:
        done(store.hold(job_id, True))
        done(store.hold(job_id, False))
    except Conflict:
        return


def repeat(store: SqliteStore, request: Request) -> None:
    """What a client does whose answer was lost: the same request with the same key."""
    job_id, _, principal, _ = request
    keyed = done(store.keyed(principal, f"key-{job_id}"))
    if keyed is None:
        ask(store, request)
    else:
        say("found", keyed.job_id)


def let_go(store: SqliteStore) -> None:
    """Release what a killed process had held for a moment only."""
    for job in done(store.page(JobQuery(held=True, limit=PAGE_LIMIT_MAX))).jobs:
        done(store.hold(job.id, False))


def keep(store: SqliteStore) -> None:
    """What the background does each second, without the second."""
    pause = threading.Event()
    while True:
        done(store.tick())
        beyond = [job.id for job in done(store.prunable(KEPT, 20))]
        if beyond:
            say("pruning", *beyond)
            done(store.prune(beyond))
            say("pruned", *beyond)
        pause.wait(0.01)


def main() -> None:
    """Recover, repeat what was left unanswered, then work until killed (or until nothing waits)."""
    folder, boot_id, what = sys.argv[1:]
    ears = Ears()
    store = SqliteStore(
        path=Path(folder) / "queue.db",
        policy=OrderPolicy(),
        clock=time.time,
        boot_id=boot_id,
        publisher=ears,
        observer=ears,
    )
    dispatcher = dispatcher_of(store, boot_id, ears, time.time, deadline_s=60.0)
    store.open()
    dispatcher.recover()
    say("ready")
    for line in sys.stdin.read().splitlines():
        job_id, fate, principal, priority = line.split()
        repeat(store, (job_id, fate, principal, priority))
    threads = [threading.Thread(target=keep, args=(store,), daemon=True)]
    if what == "work":
        salts = [int(boot_id.strip("b")) * 4 + n for n in range(4)]
        threads += [threading.Thread(target=submit, args=(store, f"{boot_id}-{n}", n), daemon=True) for n in salts]
    for thread in threads:
        thread.start()
    let_go(store)
    drained = (lambda: not done(store.summary()).rows) if what == "drain" else lambda: False
    Host(store, dispatcher).work(drained)


if __name__ == "__main__":
    main()
