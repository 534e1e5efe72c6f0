"""The limits of a shared queue hold for all members together, however many submit at once."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from expeditor.intake.admission import Limits, Pace
from expeditor.intake.depth import QueueDepth
from expeditor.intake.flow import Flow
from expeditor.jobs.errors import QueueFull
from expeditor.jobs.model import NewJob, Principal
from tests.conformance.harness import claim, done, enqueue, new_job
from tests.conformance.members import Member, Members

DEADLINE_S = 60.0


def roomy(**limits: Any) -> Any:
    """As `runtime` gives it to the store: the rule of one member, which has counted nothing itself."""
    return QueueDepth(Limits(**limits), lambda: Pace(0.0, 0.0), Flow()).require_room


def refused(one: Member, job: NewJob) -> dict[str, Any]:
    with pytest.raises(QueueFull) as refusal:
        done(one.store.enqueue(job))
    assert refusal.value.retry_after_s
    return dict(refusal.value.details)


def test_exactly_as_many_as_there_is_room_for_get_in(member: Members) -> None:
    members = [member(name, room=roomy(jobs=40)) for name in ("a", "b")]
    entered: list[str] = []
    refusals: list[QueueFull] = []

    def submit(one: Member, names: list[str]) -> None:
        for commit in [(name, one.store.enqueue(new_job(name))) for name in names]:
            try:
                done(commit[1])
            except QueueFull as refusal:
                refusals.append(refusal)
            else:
                entered.append(commit[0])

    threads = [
        threading.Thread(target=submit, args=(members[at % 2], [f"{at}-{number}" for number in range(20)]))
        for at in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert (len(entered), len(refusals)) == (40, 80)
    for one in members:
        assert sum(row.jobs for row in done(one.store.summary()).rows) == 40
    claim(members[0].store)
    enqueue(members[1].store, "one more")
    assert refused(members[0], new_job("too many")) == {"limit": "max_waiting_jobs", "most": 40, "used": 40}


def test_bytes_are_counted_over_all_members_and_lives(member: Members) -> None:
    weighs = new_job("j0").payload.size_bytes
    a, b = member("a"), member("b", room=roomy(size_bytes=2 * weighs))
    enqueue(a.store, "j0")
    enqueue(b.store, "j1")
    assert refused(b, new_job("j2"))["used"] == 2 * weighs
    again = member("b", "2", room=roomy(size_bytes=2 * weighs))
    assert refused(again, new_job("j2"))["used"] == 2 * weighs
    done(a.store.cancel("j0"))
    enqueue(again.store, "j2")
    done(a.store.cancel("j2"))
    done(a.store.redrive("j0"))  # as heavy as before
    assert refused(again, new_job("j3")) == {"limit": "max_waiting_bytes", "most": 2 * weighs, "used": 2 * weighs}


def test_each_trusted_principal_has_its_share_and_all_others_have_one(member: Members) -> None:
    a, b = member("a", room=roomy(jobs_per_principal=1)), member("b", room=roomy(jobs_per_principal=1))
    for one, other, name in ((a, b, "ada"), (b, a, "bob")):
        enqueue_as(one, Principal(name, trusted=True), name)
        mine = refused(other, replace(new_job(f"{name}2"), principal=Principal(name, trusted=True)))
        assert mine == {"limit": "max_waiting_jobs_per_principal", "most": 1, "used": 1}
    enqueue_as(a, Principal("eve"), "eve")
    refused(b, replace(new_job("mallory"), principal=Principal("mallory")))


def test_what_nobody_can_be_told_of_gets_in_and_a_batch_gets_in_whole_or_not(member: Members) -> None:
    a, b = member("a", room=roomy(jobs=2)), member("b", room=roomy(jobs=2))
    enqueue(a.store, "one")
    with pytest.raises(QueueFull):
        done(b.store.enqueue_all(None, [new_job("two"), new_job("three")]))
    assert done(b.store.get("two")) is None
    enqueue(b.store, "two")
    enqueue(b.store, "of the page", must_enter=True)
    assert refused(a, new_job("four"))["used"] == 3


def enqueue_as(one: Member, principal: Principal, job_id: str) -> None:
    done(one.store.enqueue(replace(new_job(job_id), principal=principal)))
