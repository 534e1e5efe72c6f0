"""What waits, counted in memory: exact over a job's whole life, and no number of submits passes a limit together."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expeditor.intake.admission import Limits, Pace
from expeditor.intake.depth import QueueDepth
from expeditor.intake.flow import Flow
from expeditor.jobs.errors import ExpeditorError, LimitExceeded, QueueFull
from expeditor.jobs.model import JobStatus, Payload, Principal
from expeditor.store.records import JobQuery
from tests.conformance.harness import MemoryStorage, claim, done, ending, enqueue, new_job
from tests.support.depth import depth, fill

ADA, GRACE = Principal("ada", trusted=True), Principal("grace", trusted=True)


def payload(size_bytes: int) -> Payload:
    return Payload("p" * (size_bytes - 2), "e", "o")


def refusal(queue: QueueDepth, job: Any) -> QueueFull:
    with pytest.raises(QueueFull) as caught:
        queue.enter(job, refusable=True)
    return caught.value


class Line:
    """A memory store with a depth in front of it, as `put` joins them."""

    def __init__(self, **limits: int) -> None:
        self.storage = MemoryStorage()
        self.depth = depth(**limits)
        self.storage.ears.on_publish = self.depth.publish
        self.store = self.storage.start()

    def put(self, job_id: str) -> bool:
        """Whether the job got in."""
        try:
            commit_done = self.depth.enter(new_job(job_id), refusable=True)
        except QueueFull:
            return False
        commit = self.store.enqueue(new_job(job_id))
        commit.add_done_callback(lambda _: commit_done())
        try:
            done(commit)
        except ExpeditorError:
            return False
        return True

    def room(self) -> int:
        """How many more jobs would get in now."""
        leave = []
        while True:
            try:
                leave.append(self.depth.enter(new_job(f"probe-{len(leave)}"), refusable=True))
            except QueueFull:
                break
        for each in leave:
            each()
        return len(leave)


def test_the_place_is_taken_before_the_commit_and_kept_by_it() -> None:
    line = Line(jobs=3)
    assert line.put("a")
    assert line.room() == 2


def test_a_job_leaves_the_line_when_it_starts_and_when_it_is_canceled() -> None:
    line = Line(jobs=3)
    for job_id in ("a", "b", "c"):
        assert line.put(job_id)
    claimed = claim(line.store)
    assert line.room() == 1
    done(line.store.finish(claimed.job.id, claimed.attempt, ending()))
    assert line.room() == 1
    done(line.store.cancel("b"))
    assert line.room() == 2


def test_a_commit_that_fails_gives_the_place_back() -> None:
    line = Line(jobs=2)
    assert line.put("a")
    assert not line.put("a")  # known: Conflict
    assert line.room() == 1
    line.storage.stop()
    assert not line.put("b")  # the store is closed
    assert line.room() == 1


def test_two_submits_of_one_id_hold_two_places_until_one_of_them_fails() -> None:
    queue = depth(jobs=2)
    first = queue.enter(new_job("a"), refusable=True)
    second = queue.enter(new_job("a"), refusable=True)
    refusal(queue, new_job("b"))
    second()
    first_in = queue.enter(new_job("b"), refusable=True)
    refusal(queue, new_job("c"))
    first()
    first_in()
    queue.enter(new_job("c"), refusable=True)
    queue.enter(new_job("d"), refusable=True)


def test_what_cannot_be_told_is_counted_and_not_refused() -> None:
    queue = depth(jobs=2, size_bytes=100)
    fill(queue, 5)
    assert refusal(queue, new_job("a")).details == {"limit": "max_waiting_jobs", "most": 2, "used": 5}


def test_a_full_line_takes_nothing_until_it_is_below_95_percent() -> None:
    queue = depth(jobs=100)
    leave = [queue.enter(new_job(str(number)), refusable=True) for number in range(100)]
    refused = refusal(queue, new_job("late"))
    assert (refused.code, refused.retry_after_s) == ("QUEUE_FULL", 6)  # six jobs at one a second: 94 is below 95
    for number in range(5):
        leave[number]()
    refusal(queue, new_job("late"))
    with pytest.raises(QueueFull):
        queue.check(ADA)
    leave[5]()
    queue.check(ADA)
    queue.enter(new_job("late"), refusable=True)


def test_a_line_that_emptied_since_it_was_full_takes_jobs_up_to_the_last_place_again() -> None:
    queue = depth(jobs=100)
    leave = [queue.enter(new_job(str(number)), refusable=True) for number in range(100)]
    refusal(queue, new_job("late"))
    for each in leave[:10]:
        each()
    for number in range(10):
        queue.enter(new_job(f"new-{number}"), refusable=True)
    refusal(queue, new_job("late"))


def test_a_line_that_was_never_full_takes_the_last_job() -> None:
    queue = depth(jobs=100)
    fill(queue, 99)
    queue.check(ADA)
    queue.enter(new_job("last"), refusable=True)


def test_bytes_are_those_of_the_whole_payload() -> None:
    queue = depth(size_bytes=100)
    queue.enter(new_job("a", payload=payload(60)), refusable=True)
    assert refusal(queue, new_job("b", payload=payload(41))).details["limit"] == "max_waiting_bytes"
    queue.enter(new_job("c", payload=payload(40)), refusable=True)


def test_one_large_job_does_not_close_the_line_to_small_ones() -> None:
    queue = depth(size_bytes=100)
    queue.enter(new_job("a", payload=payload(30)), refusable=True)
    assert refusal(queue, new_job("b", payload=payload(90))).retry_after_s == 1
    queue.check(ADA)
    queue.enter(new_job("c", payload=payload(30)), refusable=True)


def test_a_job_that_no_empty_line_would_take_is_no_matter_of_waiting() -> None:
    queue = depth(size_bytes=100)
    with pytest.raises(LimitExceeded) as caught:
        queue.enter(new_job("a", payload=payload(101)), refusable=True)
    assert caught.value.too_large


def test_each_trusted_principal_has_a_quota_of_its_own() -> None:
    queue = depth(jobs_per_principal=2)
    mine = [new_job(str(number)) for number in range(3)]
    for job in mine[:2]:
        queue.enter(_of(job, ADA), refusable=True)
    assert "of yours" in refusal(queue, _of(mine[2], ADA)).message
    with pytest.raises(QueueFull):
        queue.check(ADA)
    queue.check(GRACE)
    queue.enter(_of(mine[2], GRACE), refusable=True)


def test_all_untrusted_principals_share_one_quota() -> None:
    queue = depth(jobs_per_principal=2)
    for name in ("one", "two"):
        queue.enter(_of(new_job(name), Principal(name)), refusable=True)
    assert "without a login" in refusal(queue, _of(new_job("c"), Principal("three"))).message
    queue.enter(_of(new_job("d"), Principal("one", trusted=True)), refusable=True)


def test_what_waited_before_the_start_counts_with_its_exact_size() -> None:
    storage = MemoryStorage()
    store = storage.start()
    for job_id in ("a", "b", "c"):
        enqueue(store, job_id)
    assert claim(store).job.id == "a"
    queue = depth(jobs=3, size_bytes=1_000)
    storage.ears.on_publish = queue.publish
    store = storage.start()
    queue.restore(done(store.recover()).waiting)
    assert refusal(queue, new_job("d")).details["used"] == 3
    for _ in range(3):
        done(store.fail_queued(claim_next(store), ending(JobStatus.FAILED)))
    assert queue.too_full() is None
    queue.enter(new_job("e", payload=payload(1_000)), refusable=True)  # not a byte is left over


def claim_next(store: Any) -> str:
    """The id of a waiting job."""
    return done(store.page(JobQuery(statuses=(JobStatus.QUEUED,)))).jobs[0].id


def test_readiness_says_which_limit_is_near() -> None:
    queue = depth(jobs=10)
    fill(queue, 8)
    assert queue.too_full() is None
    fill(queue, 1)
    assert queue.too_full() == "queue: 9 of 10 jobs wait (max_waiting_jobs)"
    heavy = depth(size_bytes=100)
    heavy.enter(new_job("a", payload=payload(95)), refusable=True)
    assert heavy.too_full() == "queue: 95 of 100 bytes wait (max_waiting_bytes)"


def test_the_pace_is_asked_only_for_a_refusal() -> None:
    asked: list[Pace] = []

    def pace() -> Pace:
        asked.append(Pace(0.25, 1.0))
        return asked[-1]

    queue = QueueDepth(Limits(jobs=1), pace, Flow())
    queue.enter(new_job("a"), refusable=True)
    assert asked == []
    assert refusal(queue, new_job("b")).retry_after_s == 4


def test_many_threads_never_pass_the_limit_together() -> None:
    queue = depth(jobs=50)

    def submit(number: int) -> bool:
        try:
            queue.enter(new_job(f"job-{number}"), refusable=True)
        except QueueFull:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(submit, range(400))) == 50


STEPS = st.lists(st.sampled_from(["put", "put", "put", "again", "claim", "finish", "cancel"]), max_size=40)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, most=st.integers(min_value=1, max_value=8))
def test_whatever_happens_the_line_is_never_over_the_limit_and_no_place_is_lost(steps: list[str], most: int) -> None:
    line, running, ids = Line(jobs=most), [], []
    try:
        for number, step in enumerate(steps):
            if step == "put" and line.put(f"job-{number}"):
                ids.append(f"job-{number}")
            elif step == "again" and ids:
                assert not line.put(ids[-1])
            elif step == "claim" and (claimed := done(line.store.claim())) is not None:
                running.append(claimed)
            elif step == "finish" and running:
                claimed = running.pop()
                done(line.store.finish(claimed.job.id, claimed.attempt, ending()))
            elif step == "cancel" and ids:
                done(line.store.cancel(ids[number % len(ids)]))
            waiting = sum(row.jobs for row in done(line.store.summary()).rows if row.status is JobStatus.QUEUED)
            assert waiting <= most
        for job_id in ids:
            done(line.store.cancel(job_id))
        assert line.room() == most
    finally:
        line.storage.stop()


def _of(job: Any, principal: Principal) -> Any:
    return replace(job, principal=principal)


def test_many_jobs_get_their_places_together_or_none_does():
    queue = depth(jobs=5)
    leave = queue.enter_all([new_job(f"a{n}") for n in range(3)])
    with pytest.raises(QueueFull) as refused:
        queue.enter_all([new_job(f"b{n}") for n in range(3)])
    assert refused.value.details == {"limit": "max_waiting_jobs", "most": 5, "used": 3}
    assert refused.value.retry_after_s == 1
    queue.enter_all([new_job(f"c{n}") for n in range(2)])
    leave()
    queue.check(Principal("ada"), 3)
    with pytest.raises(QueueFull):
        queue.check(Principal("ada"), 4)


@pytest.mark.parametrize(
    ("limits", "principal", "name"),
    [
        ({"jobs": 2}, "anybody", "max_waiting_jobs"),
        ({"jobs_per_principal": 2}, "anybody", "max_waiting_jobs_per_principal"),
        ({"size_bytes": 100}, "anybody", "max_waiting_bytes"),
    ],
)
def test_more_jobs_than_an_empty_queue_takes_are_no_matter_of_waiting(limits, principal, name):
    queue = depth(**limits)
    with pytest.raises(LimitExceeded) as refused:
        queue.enter_all([new_job(f"a{n}", principal=principal, payload=payload(40)) for n in range(3)])
    assert (refused.value.details["limit"], refused.value.too_large) == (name, True)
    queue.enter_all([new_job(f"a{n}", principal=principal, payload=payload(40)) for n in range(2)])


def test_bytes_count_together():
    queue = depth(size_bytes=100)
    queue.enter(new_job("x", payload=payload(30)), refusable=True)
    with pytest.raises(QueueFull):
        queue.enter_all([new_job(f"a{n}", payload=payload(40)) for n in range(2)])
    queue.enter_all([new_job(f"a{n}", payload=payload(35)) for n in range(2)])
