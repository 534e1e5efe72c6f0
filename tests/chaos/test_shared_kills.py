"""SIGKILL of members of a shared queue and of its Redis (AOF everysec), while they submit, claim, run and settle: nothing that was
accepted is lost, nothing ends twice, all is accounted for, and the order is that of the scores.

The members are `cluster_child.py`: the real store and dispatcher with a fake executor. CI runs the story small, `--full` at length.
"""

from __future__ import annotations

import bisect
import random
import statistics
from collections import Counter
from dataclasses import dataclass, field

import pytest

from expeditor.jobs.events import LoggedEvent
from expeditor.jobs.model import Cause, Job, JobStatus
from expeditor.jobs.transitions import TERMINAL
from expeditor.store.base import MAX_DEATHS
from tests.chaos.members import CHECK_S, Member, Queue, shared_queue
from tests.support.waiting import wait_until

WORKERS = 3
DIED = frozenset({Cause.PROCESS_DIED, Cause.LEASE_LOST})
"""Found by who comes back under the same name, or by the others."""
ENDS = frozenset(f"job.{status.value}" for status in TERMINAL)
ONE_TICK_S = 1.0
"""BullMQ's own structures keep the order to one tick of their integer priority; so may we."""


@dataclass(frozen=True)
class Plan:
    """How much of it."""

    jobs: int
    kills: int
    redis_kills: int
    lease_s: float
    drain_s: float

    @property
    def jobs_each(self) -> int:
        """How many one process submits at most: twice what it comes to on average before it dies."""
        return 2 * self.jobs // self.kills


CI = Plan(jobs=240, kills=8, redis_kills=1, lease_s=3.0, drain_s=120.0)
FULL = Plan(jobs=9_000, kills=42, redis_kills=3, lease_s=6.0, drain_s=1200.0)


@dataclass
class Story:
    """All that happened."""

    plan: Plan
    said_queued: dict[str, float] = field(default_factory=dict[str, float])  # accepted jobs and their scores
    claimed: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    killed_at_s: dict[str, float] = field(default_factory=dict[str, float])  # by boot id, in the queue's time
    outages: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    jobs: dict[str, Job] = field(default_factory=dict[str, Job])
    log: list[LoggedEvent] = field(default_factory=list[LoggedEvent])
    unanswered: int = 0


@pytest.fixture(scope="module")
def story(request: pytest.FixtureRequest) -> Story:
    """Workers on one queue, killed again and again, and their Redis too; then all is worked off."""
    plan = FULL if request.config.getoption("--full") else CI
    told, rng = Story(plan), random.Random(40)
    with shared_queue(plan.lease_s) as queue:
        _kill_on(queue, plan, told, rng)
        _drain(queue, plan)
        for member in queue.members:
            if not member.dead:
                member.kill()
        _look(queue, told)
    return told


def _kill_on(queue: Queue, plan: Plan, told: Story, rng: random.Random) -> None:
    living = [queue.start(f"w{n}/0", submits=plan.jobs_each) for n in range(WORKERS)]
    queue.until_ready(*living)
    redis_dies_at = {(n + 1) * plan.kills // (plan.redis_kills + 1) for n in range(plan.redis_kills)}
    for kill in range(plan.kills):
        share = (kill + rng.random()) * plan.jobs / plan.kills
        wait_until(lambda share=share: len(queue.said("queued")) >= share or _idle(living), plan.drain_s, 0.01)
        place = rng.randrange(WORKERS)
        victim = living[place]
        if kill % 4:
            # In the middle of a run, most of the time.
            wait_until(lambda victim=victim: victim.has() or _idle(living), 30, 0.001, "a job in hand")
        victim.kill()
        told.killed_at_s[victim.boot_id] = queue.now_s()
        # Every other one comes back under its name, and finds its own jobs again; the others leave theirs to the leases.
        name = f"w{place}/{kill + 1}" if kill % 2 else f"n{kill}/0"
        living[place] = queue.start(name, submits=plan.jobs_each, unanswered=_left_to(queue, told))
        if kill in redis_dies_at:
            told.outages.append(_redis_dies(queue))
    queue.until_ready(*living)


def _idle(living: list[Member]) -> bool:
    return all(member.words("submitted") for member in living)


def _left_to(queue: Queue, told: Story) -> list[tuple[str, ...]]:
    left = queue.unanswered()
    told.unanswered += len(left)
    return left


def _redis_dies(queue: Queue) -> tuple[float, float]:
    began_s = queue.now_s()
    queue.redis.kill()
    queue.redis.start()
    return began_s, queue.now_s()


def _drain(queue: Queue, plan: Plan) -> None:
    living = [member for member in queue.members if not member.dead]
    wanting = max(0, plan.jobs - len(queue.said("queued")))
    last = queue.start("last/0", submits=wanting, unanswered=queue.unanswered())
    for member in (*living, last):
        wait_until(lambda member=member: _submitted(member), plan.drain_s, 0.1, "all requests answered")
    wait_until(lambda: queue.waits() == 0, plan.drain_s, 0.1, "an empty queue")


def _submitted(member: Member) -> bool:
    assert member.process.poll() is None, f"{member.boot_id} ended by itself"
    return bool(member.words("submitted"))


def _look(queue: Queue, told: Story) -> None:
    told.said_queued = {words[0]: float(words[2]) for words in queue.said("queued")}
    told.said_queued |= {words[0]: told.said_queued.get(words[0], 0.0) for words in queue.said("found")}
    told.claimed = [(words[0], words[1]) for words in queue.said("claimed")]
    told.jobs, told.log = queue.jobs(), queue.log()


def test_it_was_as_busy_as_planned(story):
    assert len(story.said_queued) >= story.plan.jobs
    assert len(story.outages) == story.plan.redis_kills
    causes = Counter(attempt.cause for job in story.jobs.values() for attempt in job.attempts)
    assert causes[Cause.PROCESS_DIED] + causes[Cause.LEASE_LOST] > story.plan.kills / 4
    assert causes[Cause.UPSTREAM_UNAVAILABLE] > 0
    assert len({attempt.boot_id for job in story.jobs.values() for attempt in job.attempts}) > story.plan.kills / 2


def test_no_accepted_job_is_lost_and_every_job_ends(story):
    assert not [job_id for job_id in story.said_queued if job_id not in story.jobs]
    assert {job.status for job in story.jobs.values()} == {JobStatus.SUCCEEDED}


def test_none_has_two_finishing_attempts_or_two_ends(story):
    for job in story.jobs.values():
        assert [attempt.number for attempt in job.attempts if attempt.outcome is JobStatus.SUCCEEDED] == [job.attempt]
    ends = Counter(event.job_id for event in story.log if event.type in ENDS)
    assert set(ends.values()) == {1}
    assert ends.keys() == story.jobs.keys()


def test_every_attempt_is_closed_and_accounted_for(story):
    said = Counter(story.claimed)
    assert set(said.values()) == {1}, "an attempt was handed out twice"
    for job_id, attempt in said:
        assert len(story.jobs[job_id].attempts) >= int(attempt)
    for job in story.jobs.values():
        assert [attempt.number for attempt in job.attempts] == list(range(1, len(job.attempts) + 1))
        assert all(attempt.outcome is not None and attempt.finished_at_s is not None for attempt in job.attempts)
        # Claimed and not said: its worker was killed between the commit and the word.
        unsaid = [attempt for attempt in job.attempts if (job.id, str(attempt.number)) not in said]
        assert all(attempt.cause in DIED for attempt in unsaid)
        assert job.deaths < MAX_DEATHS
    starts = Counter(event.job_id for event in story.log if event.type == "job.started")
    assert starts == {job.id: len(job.attempts) for job in story.jobs.values()}


def test_what_a_dead_worker_had_is_redelivered_within_the_lease_and_one_check(story):
    # Who comes back under its own name takes its jobs back at once; what others left is found by the lease.
    died = [attempt for job in story.jobs.values() for attempt in job.attempts if attempt.cause is Cause.LEASE_LOST]
    waits: list[float] = []
    for attempt in died:
        killed_at_s, found_at_s = story.killed_at_s.get(attempt.boot_id), attempt.finished_at_s
        away = any(begun_s - story.plan.lease_s < (killed_at_s or 0.0) < ended_s for begun_s, ended_s in story.outages)
        if killed_at_s is not None and found_at_s is not None and not away:
            waits.append(found_at_s - killed_at_s)  # from then on it waits for the next worker
    assert waits
    # The story of a handful of kills has too few of them for one moment of a busy machine not to show.
    checks = 1 if story.plan is FULL else 2
    assert statistics.median(waits) <= story.plan.lease_s + checks * CHECK_S, waits


def test_no_job_is_claimed_before_one_that_stands_before_it(story):
    errors = out_of_order(story.log, story.jobs)
    assert not errors, errors[:10]


def out_of_order(log: list[LoggedEvent], jobs: dict[str, Job]) -> list[tuple[str, str]]:
    """Claimed job and one that waited with a score lower by more than a tick; redelivered, delayed and retried ones apart."""
    plain = {job.id: job.score for job in jobs.values() if len(job.attempts) == 1 and job.metadata["fate"] == "ok"}
    waiting: list[tuple[float, str]] = []
    errors: list[tuple[str, str]] = []
    for event in log:
        score = plain.get(event.job_id)
        if score is None:
            continue
        if event.type == "job.queued":
            bisect.insort(waiting, (score, event.job_id))
        elif event.type == "job.started":
            waiting.remove((score, event.job_id))
            if waiting and waiting[0][0] < score - ONE_TICK_S:
                errors.append((event.job_id, waiting[0][1]))
    return errors
