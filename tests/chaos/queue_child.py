"""A process that works on a SQLite queue until it is killed, and says on standard output what it was promised.

`python queue_child.py <folder of the queue> <boot id>`. One line per promise, each in one write: `queued <id>`,
`claimed <id> <attempt>`, `finished <id> <attempt>`, `canceled <id>` once the verb's future is done, and
`told <event type> <id>` for each event.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
import child_imports  # noqa: F401 - makes `expeditor` and `tests` importable

from expeditor.jobs.events import JobEvent
from expeditor.jobs.model import Payload
from expeditor.jobs.ordering import OrderPolicy
from expeditor.store.sqlite import SqliteStore
from tests.chaos.hosting import say
from tests.conformance.harness import IMAGE, done, ending, new_job

_PAYLOAD = Payload("x" * 3000, "{}", "[]")


class Teller:
    """Says every event."""

    def publish(self, events: tuple[JobEvent, ...]) -> None:
        for event in events:
            say("told", event.type, event.job.id)

    def committed(self, duration_s: float, verbs: int) -> None:
        """Not told."""


def submit(store: SqliteStore, name: str) -> None:
    """Enqueue without end; every fifth job is canceled again."""
    for n in range(10**9):
        job_id = f"{name}-{n}"
        done(store.enqueue(new_job(job_id, priority=1 + n % 10, principal=name, payload=_PAYLOAD)))
        say("queued", job_id)
        if n % 5 == 0:
            done(store.cancel(job_id))
            say("canceled", job_id)


def work(store: SqliteStore) -> None:
    """Claim and finish without end."""
    while True:
        claimed = done(store.claim())
        if claimed is not None:
            say("claimed", claimed.job.id, claimed.attempt)
            job = done(store.finish(claimed.job.id, claimed.attempt, ending(outputs=(IMAGE,))))
            say(job.status.value, claimed.job.id, claimed.attempt)


def main() -> None:
    """Recover, then four that submit and two that work, until killed."""
    folder, boot_id = sys.argv[1:]
    teller = Teller()
    store = SqliteStore(
        path=Path(folder) / "queue.db",
        policy=OrderPolicy(),
        clock=time.time,
        boot_id=boot_id,
        publisher=teller,
        observer=teller,
    )
    store.open()
    done(store.recover())
    say("ready")
    threads = [threading.Thread(target=submit, args=(store, f"{boot_id}-{n}")) for n in range(4)]
    threads += [threading.Thread(target=work, args=(store,)) for _ in range(2)]
    for thread in threads:
        thread.start()


if __name__ == "__main__":
    main()
