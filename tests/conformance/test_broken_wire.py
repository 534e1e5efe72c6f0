"""What a verb says whose answer was lost on the way: whether it was done, or that nobody knows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest

from expeditor.jobs.errors import StoreUnavailable
from expeditor.jobs.model import JobStatus
from expeditor.store.bullmq.adapter import BullmqStore
from tests.conformance.harness import claim, done, ending, enqueue, new_job
from tests.conformance.members import Members
from tests.support.lost_answers import LosingWire
from tests.support.waiting import wait_until


@pytest.fixture
def wire(redis_url: str) -> Iterator[LosingWire]:
    with LosingWire(int(redis_url.rpartition(":")[2].partition("/")[0])) as wire:
        yield wire


def through(wire: LosingWire) -> str:
    return f"redis://127.0.0.1:{wire.port}/0"


def test_a_commit_whose_answer_was_lost_is_found_out_and_done_once(member: Members, wire: LosingWire) -> None:
    a, b = member("a", url=through(wire)), member("b")
    wire.cut_answer_of(b"the one")
    assert enqueue(a.store, "the one").status is JobStatus.QUEUED
    assert wire.cuts == 1
    enqueue(a.store, "the next")
    for one in (a, b):
        wait_until(lambda one=one: len(one.ears.events) == 2, what="both events, once")  # type: ignore[misc]
    assert [event.job.id for event in a.ears.events] == ["the one", "the next"]


def test_the_same_when_others_committed_meanwhile(member: Members, wire: LosingWire) -> None:
    a, b = member("a", url=through(wire)), member("b")
    wire.cut_answer_of(b"the one", stay_down=True)
    asked = a.store.enqueue(new_job("the one"))
    wait_until(lambda: wire.cuts == 1, what="the cut")
    enqueue(b.store, "another")
    wire.mend()
    assert done(asked).status is JobStatus.QUEUED
    wait_until(lambda: len(a.ears.events) == 2, what="all events")
    assert {event.job.id: event.position for event in a.ears.events} == {"the one": 1, "another": 2}
    assert claim(a.store).job.id == "the one"


def test_who_cannot_find_out_says_that_nobody_knows(member: Members, wire: LosingWire) -> None:
    a, b = member("a", url=through(wire)), member("b")
    enqueue(b.store, "runs")
    claimed = claim(a.store)
    wire.cut_answer_of(b"the one", stay_down=True)
    with pytest.raises(StoreUnavailable, match="not known whether"):
        enqueue(a.store, "the one")
    assert done(b.store.get("the one")) is not None
    wire.mend()
    done(a.store.finish("runs", claimed.attempt, ending()))
    assert done(a.store.get("the one")) is not None
    wait_until(lambda: [event.position for event in a.ears.events] == [event.position for event in b.ears.events])


def test_who_looks_after_an_unknown_end_sees_what_is_so(member: Members, wire: LosingWire) -> None:
    a, b = member("a", url=through(wire)), member("b")
    enqueue(b.store, "first")
    enqueue(b.store, "second")
    wait_until(lambda: len(a.ears.events) == 2, what="both jobs")
    wire.hold_answer_of(b"canceled")
    with pytest.raises(StoreUnavailable, match="not known whether"):
        done(a.store.cancel("first"))
    assert done(b.store.get("first")).status is JobStatus.CANCELED
    with pytest.raises(StoreUnavailable):
        done(a.store.place("second"))
    wire.mend()
    assert position_once_known(a.store, "second") == 1
    assert done(a.store.get("first")).status is JobStatus.CANCELED


def position_once_known(store: BullmqStore, job_id: str) -> int:
    """The first answer there is."""
    found: list[int] = []

    def known() -> bool:
        with suppress(StoreUnavailable):
            found.append(done(store.place(job_id)).position)
        return bool(found)

    wait_until(known, what="an answer")
    return found[0]
