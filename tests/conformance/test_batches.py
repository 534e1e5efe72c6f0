"""Many jobs in one commit, the batch that they make up, and finding jobs by batch and by label."""

from __future__ import annotations

from dataclasses import replace

import pytest

from expeditor.jobs.errors import Conflict, InputInvalid
from expeditor.jobs.model import BatchSlot, JobStatus, NewJob, Output, RequestKey, WebhookTarget
from expeditor.store.base import JobStore, KeyedJob
from expeditor.store.batches import Batch, NewBatch
from expeditor.store.records import JobQuery
from tests.conformance.harness import IMAGE, claim, claim_all, done, ending, enqueue, new_job

BATCH = NewBatch("b1", "ada", 1_700_000_000.0, 3, {"inputs": ["3.seed"], "values": [[1], [2], [3]]})


def slotted(count: int = 3, batch_id: str = "b1", **fields) -> list[NewJob]:
    """The jobs ``b1-0``, ``b1-1`` ... of a batch."""
    return [new_job(f"{batch_id}-{n}", slot=BatchSlot(batch_id, n), **fields) for n in range(count)]


def ids(store: JobStore, **query) -> list[str]:
    return [job.id for job in done(store.page(JobQuery(**query))).jobs]


def test_all_jobs_enter_as_if_they_came_one_after_the_other(storage, tmp_path):
    store = storage.start()
    one_by_one = storage.another(tmp_path / "other")
    other = one_by_one.start()
    jobs = [replace(job, priority=2 + n % 3) for n, job in enumerate(slotted(7))]
    together = done(store.enqueue_all(replace(BATCH, count=7), jobs))
    apart = tuple(done(other.enqueue(job)) for job in jobs)
    assert together == apart
    assert [event.type for event in storage.ears.events] == ["job.queued"] * 7
    assert [event.job for event in storage.ears.events] == list(together)
    assert claim_all(store) == claim_all(other)
    one_by_one.stop()


def test_all_jobs_enter_in_one_commit(store, storage):
    done(store.enqueue_all(BATCH, slotted()))
    assert len(storage.ears.commits) == 1


def test_a_batch_is_found_with_its_jobs_by_status_after_a_restart_too(store, storage):
    done(store.enqueue_all(BATCH, slotted()))
    claimed = claim(store)
    done(store.cancel("b1-2"))
    counts = {JobStatus.RUNNING: 1, JobStatus.QUEUED: 1, JobStatus.CANCELED: 1}
    told = Batch("b1", "ada", BATCH.created_at_s, 3, BATCH.about, counts)
    assert done(store.batch("b1")) == told
    store = storage.start()
    assert done(store.batch("b1")) == told
    done(store.recover())
    assert done(store.batch("b1")).statuses == {JobStatus.QUEUED: 2, JobStatus.CANCELED: 1}
    assert done(store.get(claimed.job.id)).slot == BatchSlot("b1", 0)
    assert done(store.batch("nobody")) is None


def test_jobs_of_one_call_need_no_batch(store):
    jobs = done(store.enqueue_all(None, [new_job("a"), new_job("b")]))
    assert [job.seq for job in jobs] == [1, 2]
    assert done(store.batch("a")) is None


@pytest.mark.parametrize("clash", ["known", "ended", "pruned", "twice"])
def test_one_id_that_is_known_leaves_none(store, storage, clash):
    enqueue(store, "b1-1" if clash in ("known", "ended", "pruned") else "x")
    if clash in ("ended", "pruned"):
        done(store.cancel("b1-1"))
    if clash == "pruned":
        done(store.prune(["b1-1"]))
    before, told = ids(store), len(storage.ears.events)
    jobs = slotted()
    if clash == "twice":
        jobs[2] = replace(jobs[2], id="b1-1")
    with pytest.raises(Conflict, match="b1-1"):
        done(store.enqueue_all(BATCH, jobs))
    assert (ids(store), len(storage.ears.events)) == (before, told)
    assert done(store.batch("b1")) is None
    assert done(store.summary()).rows == done(storage.start().summary()).rows
    assert enqueue(storage.store, "next").seq == 2


def test_a_call_is_refused_as_a_whole(store):
    done(store.enqueue_all(BATCH, slotted()))
    with pytest.raises(Conflict, match="b1"):
        done(store.enqueue_all(BATCH, [replace(job, id=f"again-{job.id}") for job in slotted()]))
    with pytest.raises(InputInvalid):
        done(store.enqueue_all(replace(BATCH, id="b2"), slotted(batch_id="b3")))
    with pytest.raises(InputInvalid):
        done(store.enqueue_all(replace(BATCH, id="b2"), [new_job("no-slot")]))
    with pytest.raises(InputInvalid):
        done(store.enqueue_all(replace(BATCH, id="b2"), []))
    broken = [*slotted(2, "b2"), new_job("b2-\ud800", slot=BatchSlot("b2", 2))]
    with pytest.raises(InputInvalid):
        done(store.enqueue_all(replace(BATCH, id="b2"), broken))
    assert ids(store) == ["b1-2", "b1-1", "b1-0"]
    assert done(store.batch("b2")) is None


def test_the_key_of_the_first_job_is_the_batchs(store):
    key = RequestKey("k", "digest")
    first, *others = slotted()
    done(store.enqueue_all(BATCH, [replace(first, request_key=key), *others]))
    assert done(store.keyed("ada", "k")) == KeyedJob("b1-0", "digest")
    again = slotted(batch_id="b2")
    with pytest.raises(Conflict) as refused:
        done(store.enqueue_all(replace(BATCH, id="b2"), [replace(again[0], request_key=key), *again[1:]]))
    assert refused.value.details["job_id"] == "b1-0"
    assert done(store.batch("b2")) is None
    twice = [replace(job, request_key=RequestKey("new", "x")) for job in again]
    with pytest.raises(Conflict):
        done(store.enqueue_all(replace(BATCH, id="b2"), twice))
    assert ids(store, batch_id="b2") == []


def test_a_batch_is_pruned_with_its_last_job(store, storage):
    done(store.enqueue_all(BATCH, slotted()))
    claim_all(store)
    done(store.prune(["b1-0", "b1-2"]))
    left = done(store.batch("b1"))
    assert (left.count, left.statuses) == (3, {JobStatus.SUCCEEDED: 1})
    assert not done(store.was_pruned("b1"))
    done(store.prune(["b1-1"]))
    for restarted in (False, True):
        each = storage.start() if restarted else store
        assert done(each.batch("b1")) is None
        assert done(each.was_pruned("b1"))
    with pytest.raises(Conflict):
        done(storage.store.enqueue_all(BATCH, [replace(job, id=f"new-{job.id}") for job in slotted()]))


def test_all_jobs_of_a_batch_pruned_at_once_take_it_along(store):
    done(store.enqueue_all(BATCH, slotted()))
    claim_all(store)
    assert done(store.prune(["b1-0", "b1-1", "b1-2"])) == 3
    assert (done(store.batch("b1")), done(store.was_pruned("b1"))) == (None, True)


def test_a_large_batch_enters_as_one(store):
    jobs = slotted(500, metadata={"set": "large"})
    assert len(done(store.enqueue_all(replace(BATCH, count=500), jobs))) == 500
    assert done(store.batch("b1")).statuses == {JobStatus.QUEUED: 500}
    assert ids(store, labels=(("set", "large"),), limit=3) == ["b1-499", "b1-498", "b1-497"]


# --- finding --------------------------------------------------------------------------------------------------------


@pytest.fixture
def filled(store):
    """Jobs with and without batch and labels: b1-1 is canceled, b1-2 held, m-0 has ended."""
    enqueue(store, "m-0", metadata={"set": "x", "kind": "a"})
    done(store.finish(claim(store).job.id, 1, ending()))
    done(store.enqueue_all(BATCH, slotted(metadata={"set": "x", "kind": "b"})))
    enqueue(store, "m-1", principal="bob", metadata={"set": "x", "kind": "a", "n": 1})
    enqueue(store, "m-2", metadata={"set": "y"})
    done(store.cancel("b1-1"))
    done(store.hold("b1-2", True))
    return store


FOUND = [
    ({"batch_id": "b1"}, ["b1-2", "b1-1", "b1-0"]),
    ({"batch_id": "b1", "statuses": (JobStatus.CANCELED, JobStatus.FAILED)}, ["b1-1"]),
    ({"batch_id": "b1", "held": True}, ["b1-2"]),
    ({"batch_id": "b1", "held": False}, ["b1-1", "b1-0"]),
    ({"batch_id": "b1", "principal": "bob"}, []),
    ({"batch_id": "b1", "labels": (("kind", "b"),)}, ["b1-2", "b1-1", "b1-0"]),
    ({"batch_id": "b1", "labels": (("kind", "a"),)}, []),
    ({"batch_id": "nobody"}, []),
    ({"labels": (("set", "x"),)}, ["m-1", "b1-2", "b1-1", "b1-0", "m-0"]),
    ({"labels": (("set", "x"), ("kind", "a"))}, ["m-1", "m-0"]),
    ({"labels": (("kind", "a"), ("set", "x"))}, ["m-1", "m-0"]),
    ({"labels": (("set", "x"),), "statuses": (JobStatus.SUCCEEDED,)}, ["m-0"]),
    ({"labels": (("set", "x"),), "principal": "bob"}, ["m-1"]),
    ({"labels": (("set", "x"), ("kind", "c"))}, []),
    ({"labels": (("n", "1"),)}, []),  # not a text
    ({"labels": (("set", "X"),)}, []),
]


@pytest.mark.parametrize(("query", "found"), FOUND)
def test_jobs_are_found_by_batch_and_label(filled, storage, query, found):
    assert ids(filled, **query) == found
    assert ids(storage.start(), **query) == found


@pytest.mark.parametrize("query", [{"batch_id": "b1"}, {"labels": (("set", "x"),)}])
def test_pages_by_batch_and_label_walk_all(filled, query):
    whole, walked, cursor = ids(filled, **query), [], None
    while cursor is not None or not walked:
        page = done(filled.page(JobQuery(limit=2, cursor=cursor, **query)))
        walked += [job.id for job in page.jobs]
        cursor = page.next_cursor
    assert walked == whole


def test_a_pruned_job_is_found_by_no_label(filled, storage):
    done(filled.prune(["m-0", "b1-1"]))
    for restarted in (False, True):
        store = storage.start() if restarted else filled
        assert ids(store, labels=(("set", "x"),)) == ["m-1", "b1-2", "b1-0"]
        assert ids(store, batch_id="b1") == ["b1-2", "b1-0"]


@pytest.mark.parametrize("text", ["", 'it\'s "so"', "päivää", "a\x00b", "\ud800", "$[0]", "x" * 256])
def test_any_text_can_be_a_label(store, text):
    enqueue(store, "a", metadata={text: text, "other\x00one": "1", "other\x00two": "1"})
    done(store.cancel("a"))
    if not any(ord(each) == 0 or 0xD800 <= ord(each) < 0xE000 for each in text):
        assert ids(store, labels=((text, text),)) == ["a"]
    assert done(store.prune(["a"])) == 1


# --- round trips ----------------------------------------------------------------------------------------------------


def test_slot_webhook_and_the_cached_flag_of_an_output_come_back(store, storage):
    target = WebhookTarget("https://example.org/hook?a=1", ("job.failed", "job.succeeded"))
    job = enqueue(store, "a", slot=BatchSlot("b9", 7), webhook=target)
    enqueue(store, "b", webhook=WebhookTarget("https://example.org"))
    made: tuple[Output, ...] = (IMAGE, replace(IMAGE, name="b.png", cached=True))
    done(store.finish(claim(store).job.id, 1, ending(outputs=made)))
    for restarted in (False, True):
        each = storage.start() if restarted else store
        again = done(each.get("a"))
        assert (again.slot, again.webhook, again.outputs) == (BatchSlot("b9", 7), target, made)
        assert done(each.get("b")).webhook == WebhookTarget("https://example.org")
    assert (job.slot, job.webhook) == (BatchSlot("b9", 7), target)
