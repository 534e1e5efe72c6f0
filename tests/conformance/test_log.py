"""The event log: what was told is kept, numbered, and read again from any position, also after a restart."""

from __future__ import annotations

import json

import pytest

from expeditor.jobs.errors import Conflict, InputInvalid
from expeditor.jobs.events import LoggedEvent
from expeditor.jobs.log import EVENTS_PER_JOB, LOG_LIMIT_MAX, LogQuery
from expeditor.jobs.model import BatchSlot, Cause, JobError, JobStatus
from expeditor.store.base import Reprioritise
from expeditor.store.records import JobQuery
from tests.conformance.harness import IMAGE, claim, done, ending, enqueue, new_job

FAILED = ending(
    JobStatus.FAILED, cause=Cause.NODE_ERROR, error=JobError("NODE_ERROR", "it broke", "9", "Raises", "E", "secret")
)


def read(store, **query) -> list[LoggedEvent]:
    """All events that a query finds, page after page, two at a time."""
    found: list[LoggedEvent] = []
    after, more = query.pop("after", 0), True
    while more:
        page = done(store.events(LogQuery(after=after, limit=2, **query)))
        found += page.events
        after, more = page.end, page.more
    return found


def numbered(events) -> list[tuple[str, int, str]]:
    return [(event.job_id, event.number, event.type) for event in events]


def a_few_lives(store) -> None:
    """`a` of ada runs and makes a file; `b` of bob, in a batch, fails; `c` of ada waits, is held and cancelled."""
    enqueue(store, "a", 9)
    enqueue(store, "b", 8, "bob", slot=BatchSlot("batch-1", 0))
    enqueue(store, "c", 1, slot=BatchSlot("batch-1", 1))
    done(store.finish("a", claim(store).attempt, ending(outputs=(IMAGE,))))
    done(store.hold("c", held=True))
    done(store.finish("b", claim(store).attempt, FAILED))
    done(store.cancel("c"))


def test_what_was_told_is_what_is_kept(storage, store):
    a_few_lives(store)
    kept = read(store)
    assert kept == [event.logged() for event in storage.ears.events]
    assert [event.position for event in kept] == sorted({event.position for event in kept})
    assert done(store.last_position()) == kept[-1].position > 0
    assert numbered(kept)[:4] == [
        ("a", 1, "job.queued"),
        ("b", 1, "job.queued"),
        ("c", 1, "job.queued"),
        ("a", 2, "job.started"),
    ]
    assert json.loads(json.dumps(kept[0].facts)) == kept[0].facts


def test_outputs_come_before_the_end(store):
    a_few_lives(store)
    own = read(store, job_id="a")
    assert [event.type for event in own] == ["job.queued", "job.started", "job.output", "job.succeeded"]
    assert [event.number for event in own] == [1, 2, 3, 4]
    assert own[2].facts["output"] == {
        "node_id": "9",
        "name": "a_00001_.png",
        "subfolder": "sub",
        "folder": "output",
        "type": "image",
        "content_type": "image/png",
        "size_bytes": 123,
        "cached": False,
    }


def test_an_error_is_told_without_its_traceback(store):
    a_few_lives(store)
    error = read(store, job_id="b")[-1].facts["error"]
    assert error == {"code": "NODE_ERROR", "message": "it broke", "node_id": "9", "class_type": "Raises"}


def test_events_of_a_job_a_principal_and_a_batch(store):
    a_few_lives(store)
    every = read(store)
    assert read(store, job_id="c") == [event for event in every if event.job_id == "c"]
    assert read(store, principal="ada") == [event for event in every if event.job_id in "ac"]
    assert read(store, principal="bob") == read(store, job_id="b")
    assert read(store, batch_id="batch-1") == [event for event in every if event.job_id in "bc"]
    assert read(store, job_id="none") == read(store, batch_id="none") == read(store, principal="none") == []
    assert {event.batch_id for event in every if event.job_id == "a"} == {None}


def test_whoever_comes_back_at_any_position_goes_on_there(store):
    a_few_lives(store)
    every = read(store)
    for at, event in enumerate(every):
        assert read(store, after=event.position) == every[at + 1 :]


def test_a_page_says_how_far_it_looked(store):
    a_few_lives(store)
    last = done(store.last_position())
    full = done(store.events(LogQuery(job_id="a", limit=4)))
    assert (len(full.events), full.more, full.end) == (4, False, last)
    part = done(store.events(LogQuery(job_id="a", limit=3)))
    assert (len(part.events), part.more, part.end) == (3, True, part.events[-1].position)
    assert done(store.events(LogQuery(after=last + 5))).end == last + 5


@pytest.mark.parametrize("limit", [0, -1, LOG_LIMIT_MAX + 1])
def test_a_limit_out_of_range_is_refused(store, limit):
    with pytest.raises(InputInvalid, match=str(limit)):
        done(store.events(LogQuery(limit=limit)))


def test_numbers_and_positions_go_on_after_a_restart(storage, store):
    a_few_lives(store)
    enqueue(store, "d")
    claim(store)
    before = read(store)
    store = storage.start()
    assert read(store) == before
    done(store.recover())
    done(store.redrive("b"))
    after = read(store)
    assert after[: len(before)] == before
    assert numbered(after[len(before) :]) == [("d", 3, "job.retrying"), ("d", 4, "job.queued"), ("b", 4, "job.queued")]
    assert after == [event.logged() for event in storage.ears.events]


def test_numbers_go_on_when_a_job_is_redriven(store):
    a_few_lives(store)
    done(store.redrive("c"))
    done(store.finish("c", claim(store).attempt, ending()))
    assert [event.number for event in read(store, job_id="c")] == list(range(1, 8))


def test_a_verb_that_is_refused_leaves_no_gap(storage, store):
    enqueue(store, "a")
    for refused in (store.finish("a", 1, ending()), store.enqueue(new_job("a"))):
        assert isinstance(refused.exception(30), Conflict)
    done(store.hold("a", held=True))
    assert [event.number for event in storage.ears.events] == [1, 2]
    assert read(store) == [event.logged() for event in storage.ears.events]


def test_pruning_forgets_events_and_says_up_to_where(store):
    a_few_lives(store)
    every = read(store)
    assert done(store.events(LogQuery())).forgotten == 0
    assert done(store.prune(["a"])) == 1
    last_of_a = max(event.position for event in every if event.job_id == "a")
    page = done(store.events(LogQuery()))
    assert page.events == tuple(event for event in every if event.job_id != "a")
    assert page.forgotten == last_of_a
    assert read(store, job_id="a") == []


def test_no_position_is_given_twice_after_the_newest_was_forgotten(storage, store):
    a_few_lives(store)
    last = done(store.last_position())
    done(store.prune(["a", "b", "c"]))
    assert read(store) == []
    store = storage.start()
    assert done(store.last_position()) == last
    enqueue(store, "d")
    assert [event.position > last for event in read(store)] == [True]
    assert done(store.events(LogQuery())).forgotten == last


def test_a_job_keeps_its_newest_events_only(store):
    enqueue(store, "other")
    enqueue(store, "busy")
    changes = [store.reprioritise("busy", Reprioritise(1 + n % 10)) for n in range(EVENTS_PER_JOB + 4)]
    for change in changes:
        done(change)
    page = done(store.events(LogQuery(job_id="busy", limit=LOG_LIMIT_MAX)))
    assert [event.number for event in page.events] == list(range(6, EVENTS_PER_JOB + 6))
    assert page.forgotten == page.events[0].position - 1
    assert numbered(read(store, job_id="other")) == [("other", 1, "job.queued")]


def test_what_is_asked_in_one_batch_is_read_in_order(store):
    verbs = [store.enqueue(new_job(f"j{n}")) for n in range(200)] + [store.cancel(f"j{n}") for n in range(200)]
    kept = done(store.events(LogQuery(limit=LOG_LIMIT_MAX)))
    assert all(verb.done() for verb in verbs)
    assert len(kept.events) == 600
    assert [event.number for event in kept.events] == [1] * 200 + [2, 3] * 200
    assert len(done(store.page(JobQuery(limit=1000))).jobs) == 200
