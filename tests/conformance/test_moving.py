"""Jobs that change their store: nothing of them is lost on the way, and asking again changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from expeditor.jobs.errors import Conflict, InputInvalid
from expeditor.jobs.model import BatchSlot, Cause, Job, JobStatus, NewBatch, RequestKey, WebhookTarget
from expeditor.store.base import JobStore, Reprioritise
from expeditor.store.records import JobQuery
from tests.conformance.harness import MemoryStorage, SqliteStorage, Storage, claim, claim_all, done, ending, enqueue
from tests.conformance.harness import new_job as make_new

NOW_S = 1_700_000_000.0


@pytest.fixture
def new_job():
    return make_new


@pytest.fixture(params=["memory", "sqlite"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[JobStore]:
    """The store that jobs come from, or go back to."""
    (tmp_path / "source").mkdir()
    storage: Storage = MemoryStorage() if request.param == "memory" else SqliteStorage(tmp_path / "source")
    yield storage.start()
    storage.stop()


def ids_of(store: JobStore) -> list[str]:
    """The jobs that wait, in the order of arrival."""
    page = done(store.page(JobQuery(statuses=(JobStatus.QUEUED,), limit=1000)))
    return [job.id for job in reversed(page.jobs)]


def in_line(store: JobStore) -> list[str]:
    """The jobs that wait, in the order of claim."""
    found = [job for job_id in ids_of(store) if (job := done(store.get(job_id)))]
    return [job.id for job in sorted(found, key=lambda job: (job.score, job.number, job.seq))]


def moved(source: JobStore, target: JobStore, *job_ids: str) -> None:
    """Copy, take in, let go."""
    carried = done(source.carried(job_ids or ids_of(source)))
    adopted = done(target.adopt(carried)).job_ids
    assert done(source.let_go(adopted)) == adopted


def alike(one: Job, other: Job) -> bool:
    """Whether nothing differs but the place in each store's own numbers."""
    return replace(one, seq=0, start_tag=0, score=0) == replace(other, seq=0, start_tag=0, score=0)


def test_a_job_arrives_as_it_was(source: JobStore, store: JobStore) -> None:
    told = {"webhook": WebhookTarget("https://a.example/x", ("job.failed",)), "metadata": {"album": "summer"}}
    limits = {"not_before_s": NOW_S + 60, "expires_at_s": NOW_S + 600, "max_attempts": 5}
    enqueue(
        source, "full", 7, "ada", **told, **limits, models=("a.safetensors",), pool="big", client_id="c", signature="s"
    )
    before = done(source.hold("full", True))
    [carried] = done(source.carried(["full", "unknown"]))
    assert (carried.job, carried.payload) == (before, done(source.payload("full")))
    assert done(store.adopt([carried])).job_ids == ("full",)
    after = done(store.get("full"))
    assert after is not None
    assert alike(after, before)
    assert done(store.payload("full")) == carried.payload
    assert done(source.let_go(["full", "unknown"])) == ("full",)
    assert (done(source.get("full")), done(source.payload("full"))) == (None, None)


def test_attempts_and_deaths_come_along_and_a_suspect_stays_last(storage: Storage, source: JobStore) -> None:
    store = storage.start()
    enqueue(source, "tried")
    for _ in range(3):
        claimed = claim(source)
        failed = ending(JobStatus.FAILED, cause=Cause.PROCESS_DIED)
        tried = done(source.retry("tried", claimed.attempt, failed, None))
    assert tried.suspect
    enqueue(store, "after")
    moved(source, store)
    store = storage.start()
    found = done(store.get("tried"))
    assert found is not None
    assert (found.attempts, found.suspect) == (tried.attempts, True)
    assert claim_all(store) == ["after", "tried"]


def test_they_keep_their_order_behind_what_is_there(source: JobStore, store: JobStore) -> None:
    for number in range(4):
        enqueue(source, f"a{number}", 3 + number, "ada")
        enqueue(source, f"b{number}", 3, "bob")
    enqueue(source, "late", 10, "eve")
    done(source.reprioritise("b3", Reprioritise(front=True)))
    expected = in_line(source)
    enqueue(store, "here")
    moved(source, store)
    order = claim_all(store)
    order.remove("here")
    assert order == expected
    assert order[0] == "b3"


def test_a_move_in_parts_ends_in_the_same_order(source: JobStore, store: JobStore) -> None:
    for number in range(6):
        enqueue(source, f"j{number}", 3 + number % 3, "ab"[number % 2])
    expected = in_line(source)
    first = done(source.carried([f"j{number}" for number in range(3)]))
    shift_s = done(store.adopt(first)).shift_s
    enqueue(store, "between", 1)
    claim(store)
    rest = done(source.carried([f"j{number}" for number in range(3, 6)]))
    assert done(store.adopt(rest, shift_s)).shift_s == shift_s
    left = claim_all(store)
    left.remove("between")
    assert left == expected[1:]


def test_the_owner_of_moved_jobs_stands_behind_them(source: JobStore, store: JobStore) -> None:
    for number in range(3):
        enqueue(source, f"j{number}", 3, "ada")
    moved(source, store)
    enqueue(store, "later", 3, "ada")
    enqueue(store, "guest", 3, "bob")
    order = claim_all(store)
    assert order.index("later") == 4
    assert order.index("guest") <= 1


def test_asking_again_changes_nothing(storage: Storage, source: JobStore) -> None:
    store = storage.start()
    enqueue(source, "once")
    carried = done(source.carried(["once"]))
    done(store.adopt(carried))
    told = len(storage.ears.events)
    assert done(store.adopt(carried)).job_ids == ()
    assert len(storage.ears.events) == told
    claimed = claim(store)
    assert done(store.adopt(carried)).job_ids == ()
    done(store.finish("once", claimed.attempt, ending()))
    assert done(store.adopt(carried)).job_ids == ()
    assert claim_all(store) == []
    done(source.let_go(["once"]))
    assert done(source.let_go(["once"])) == ()


def test_only_what_waits_moves(storage: Storage, source: JobStore) -> None:
    store = storage.start()
    for job_id in ("runs", "ended", "waits"):
        enqueue(source, job_id)
    claim(source)
    done(source.cancel("ended"))
    assert [one.job.id for one in done(source.carried(["runs", "ended", "waits"]))] == ["waits"]
    running = done(source.get("runs"))
    assert running is not None
    [waits] = done(source.carried(["waits"]))
    with pytest.raises(InputInvalid):
        done(store.adopt([waits, replace(waits, job=running)]))
    assert ids_of(store) == []
    assert done(source.let_go(["runs", "ended", "waits"])) == ("waits",)
    assert done(source.get("ended")) is not None
    assert claim_all(source) == []


def test_its_going_is_not_told_and_its_coming_is(storage: Storage, source: JobStore, tmp_path: Path) -> None:
    store = storage.start()
    enqueue(store, "goes")
    enqueue(store, "stays")
    told = len(storage.ears.events)
    carried = done(store.carried(["goes"]))
    done(store.let_go(["goes"]))
    assert len(storage.ears.events) == told
    done(source.adopt(carried))
    moved(source, store)
    assert [event.type for event in storage.ears.events[told:]] == ["job.queued"]
    summary = done(store.summary())
    assert sum(row.jobs for row in summary.rows) == 2
    store = storage.start()
    assert sorted(ids_of(store)) == ["goes", "stays"]


def test_request_keys_go_along(source: JobStore, store: JobStore) -> None:
    enqueue(source, "keyed", request_key=RequestKey("k", "body"))
    enqueue(source, "taken", request_key=RequestKey("mine", "theirs"))
    enqueue(store, "own", request_key=RequestKey("mine", "ours"))
    moved(source, store)
    keyed = done(store.keyed("ada", "k"))
    assert keyed is not None
    assert (keyed.job_id, keyed.fingerprint) == ("keyed", "body")
    taken = done(store.keyed("ada", "mine"))
    assert taken is not None
    assert taken.job_id == "own"
    with pytest.raises(Conflict):
        enqueue(store, "again", request_key=RequestKey("k", "body"))


def test_a_batch_goes_along_in_parts(source: JobStore, store: JobStore, new_job) -> None:
    batch = NewBatch("batch", "ada", NOW_S, 3, {"name": "cats"})
    jobs = [new_job(f"j{n}", slot=BatchSlot("batch", n)) for n in range(3)]
    done(source.enqueue_all(batch, jobs))
    done(source.cancel("j0"))
    moved(source, store, "j1")
    moved(source, store, "j2")
    there = done(store.batch("batch"))
    assert there is not None
    assert (there.count, there.about, dict(there.statuses)) == (3, {"name": "cats"}, {JobStatus.QUEUED: 2})
    here = done(source.batch("batch"))
    assert here is not None
    assert dict(here.statuses) == {JobStatus.CANCELED: 1}


def test_there_and_back(source: JobStore, store: JobStore) -> None:
    enqueue(source, "j", request_key=RequestKey("k", "body"))
    for _ in range(2):
        moved(source, store)
        moved(store, source)
    assert done(store.get("j")) is None
    assert claim_all(source) == ["j"]
    moved(source, store)
    assert claim_all(store) == []
