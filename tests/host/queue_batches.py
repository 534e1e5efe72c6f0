"""Cases of the swapped queue with whole batches, on ComfyUI's real `PromptQueue`; run by `test_queue_inprocess.py`."""

from __future__ import annotations

import asyncio

from tests.host.queue_bench import Bench  # first: it makes ComfyUI importable

# isort: split
import pytest

from expeditor.host.door import Door
from expeditor.host.live import LiveQueue
from expeditor.jobs.awaiting import Awaiter
from expeditor.jobs.entry import Entry
from expeditor.jobs.errors import Conflict, LimitExceeded, QueueFull, StoreUnavailable
from expeditor.jobs.model import BatchSlot, JobStatus, NewBatch, Principal, Source
from tests.conformance.harness import MemoryStorage, done, new_job
from tests.support.waiting import wait_until

BATCH = NewBatch("b", "ada", 1.0, 3, {"about": "it"})


@pytest.fixture
def bench():
    storage = MemoryStorage()
    yield Bench(storage)
    storage.stop()


def entries(count=3, batch_id="b", **fields):
    """The jobs b-0, b-1 ... of a batch."""
    return [
        Entry(
            **{
                "prompt_id": f"{batch_id}-{n}",
                "prompt": {"1": {"class_type": "A", "inputs": {"n": n}}},
                "extra_data": {"client_id": "tab", "api_key_comfy_org": "s3cret"} if n == 1 else {"client_id": "tab"},
                "outputs_to_execute": ("1",),
                "priority": 3,
                "principal": Principal("ada"),
                "source": Source.BATCH,
                "front": False,
                "number": None,
                "metadata": {"n": str(n)},
                "slot": BatchSlot(batch_id, n),
                **fields,
            }
        )
        for n in range(count)
    ]


def enter(bench, batch=BATCH, jobs=None):
    bench.server.number = getattr(bench.server, "number", 7)
    door = Door(bench.server, LiveQueue(bench.server), Awaiter(10.0))
    return asyncio.run(door.enter_all(batch, jobs if jobs is not None else entries()))


def test_a_batch_is_listed_whole_and_runs_in_its_order(bench):
    bench.put("before")
    jobs = enter(bench)
    wait_until(lambda: not bench.wiring.uncommitted)
    assert [job.id for job in jobs] == ["b-0", "b-1", "b-2"]
    assert bench.listed() == ["before", "b-0", "b-1", "b-2"]
    assert [item[0] for item in bench.queue.queue] == [0, 7, 8, 9], "numbers grow as on stock"
    assert "api_key_comfy_org" not in bench.queue.queue[2][3]
    assert bench.queue.queue[2][5] == {"api_key_comfy_org": "s3cret"}
    stored = [done(bench.store.get(f"b-{n}")) for n in range(3)]
    assert [(job.slot, job.source, job.metadata, job.number) for job in stored] == [
        (BatchSlot("b", n), Source.BATCH, {"n": str(n)}, 7.0 + n) for n in range(3)
    ]
    assert [job.needs_secret for job in stored] == [False, True, False]
    assert "s3cret" not in done(bench.store.payload("b-1")).extra_json
    assert done(bench.store.batch("b")).count == 3
    assert [bench.run_next() for _ in range(5)] == ["before", "b-0", "b-1", "b-2", None]
    assert done(bench.store.batch("b")).statuses == {JobStatus.SUCCEEDED: 3}


def test_a_batch_runs_only_once_committed(bench):
    bench.line.held = []
    bench.queue.put_all(BATCH, [(0, "b-0", {}, {}, [], {})], [new_job("b-0", slot=BatchSlot("b", 0))])
    assert (bench.listed(), bench.run_next()) == (["b-0"], None)


@pytest.mark.parametrize("failure", [StoreUnavailable("The disk is full."), Conflict("known")])
def test_a_batch_that_cannot_be_stored_is_taken_off_the_list_whole(bench, failure):
    bench.put("before")
    bench.line.failure = failure
    with pytest.raises(type(failure)):
        enter(bench)
    wait_until(lambda: not bench.wiring.uncommitted)
    assert (bench.listed(), bench.wiring.arriving) == (["before"], set())
    bench.line.failure = None
    enter(bench)
    assert [bench.run_next() for _ in range(4)] == ["before", "b-0", "b-1", "b-2"]


def test_one_id_that_is_known_keeps_the_whole_batch_out(bench):
    bench.put("b-1")
    with pytest.raises(Conflict):
        enter(bench)
    wait_until(lambda: not bench.wiring.uncommitted)
    assert bench.listed() == ["b-1"]
    assert [bench.run_next(), bench.run_next()] == ["b-1", None]


def test_a_batch_gets_room_for_all_or_for_none():
    bench = Bench(MemoryStorage(), most=4)
    bench.put("x")
    bench.put("y")
    told = bench.server.told
    with pytest.raises(QueueFull):
        enter(bench)
    with pytest.raises(LimitExceeded):
        enter(bench, jobs=entries(5))
    assert (bench.listed(), bench.server.told) == (["x", "y"], told)
    enter(bench, jobs=entries(2))
    assert len(bench.listed()) == 4
    with pytest.raises(QueueFull):
        bench.put("z")


def test_a_batch_that_was_not_stored_takes_no_room():
    bench = Bench(MemoryStorage(), most=3)
    bench.line.failure = StoreUnavailable("away")
    with pytest.raises(StoreUnavailable):
        enter(bench)
    bench.line.failure = None
    enter(bench)
    with pytest.raises(QueueFull):
        bench.put("z")


def test_a_queue_that_is_cores_takes_no_batch(bench):
    bench.queue.stand_down()
    with pytest.raises(StoreUnavailable):
        enter(bench)
    assert (bench.listed(), done(bench.store.batch("b"))) == ([], None)
