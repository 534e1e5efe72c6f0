"""A process that puts batches into a SQLite queue until it is killed: `python batch_child.py <folder of the queue> <boot id>`.

Says on standard output, each line in one write: `asking <batch id> <count>` before a batch, `in <batch id>` once its commit is told,
`told <batch id>` when its events are told. Batches are larger and smaller than what one statement writes.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from dataclasses import replace

import child_imports  # noqa: F401 - makes `expeditor` and `tests` importable

from expeditor.jobs.events import JobEvent
from expeditor.jobs.model import BatchSlot, NewBatch, Payload, RequestKey
from expeditor.jobs.ordering import OrderPolicy
from expeditor.store.sqlite import SqliteStore
from tests.chaos.hosting import say
from tests.conformance.harness import done, new_job

PAYLOAD = Payload('{"1": {"class_type": "Fake", "inputs": {"text": "' + "x" * 2000 + '"}}}', "{}", '["1"]')


class Teller:
    """Says of which batches it hears."""

    def publish(self, events: tuple[JobEvent, ...]) -> None:
        for batch_id in dict.fromkeys(event.job.slot.batch_id for event in events if event.job.slot is not None):
            say("told", batch_id)

    def committed(self, duration_s: float, verbs: int) -> None:
        """Not told."""


def main() -> None:
    """Recover, then one batch after the other."""
    folder, boot_id = sys.argv[1:]
    rng, teller = random.Random(boot_id), Teller()
    path = Path(folder) / "queue.db"
    store = SqliteStore(
        path=path, policy=OrderPolicy(), clock=time.time, boot_id=boot_id, publisher=teller, observer=teller
    )
    store.open()
    done(store.recover())
    say("ready")
    for n in range(10**9):
        batch_id, count = f"{boot_id}-{n}", rng.choice([1, 12, 64, 65, 200, 400])
        slots = [BatchSlot(batch_id, index) for index in range(count)]
        jobs = [
            new_job(f"{batch_id}.{slot.index}", payload=PAYLOAD, slot=slot, metadata={"b": batch_id}) for slot in slots
        ]
        jobs[0] = replace(jobs[0], request_key=RequestKey(batch_id, "digest"))
        say("asking", batch_id, count)
        done(store.enqueue_all(NewBatch(batch_id, "ada", time.time(), count, {"n": n}), jobs))
        say("in", batch_id)


if __name__ == "__main__":
    main()
