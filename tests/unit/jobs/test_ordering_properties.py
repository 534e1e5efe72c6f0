"""What the order promises (DESIGN 5), for any arrivals: the bound, first come first served, shares, strict mode, front."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expeditor.jobs import ordering
from expeditor.jobs.model import Job
from expeditor.jobs.ordering import OrderPolicy
from tests.unit.jobs.simulation import Simulation

pytestmark = pytest.mark.long

PRIORITIES = st.integers(1, 10)
ESTIMATES = st.sampled_from([0.0, 0.5, 3.0, 5.0, 47.0, 900.0])
ARRIVAL = st.tuples(st.sampled_from(["ada", "bob", "eve"]), PRIORITIES, ESTIMATES)
STEPS = st.lists(st.one_of(ARRIVAL, st.none()), max_size=120)  # None: a claim
POLICIES = st.builds(OrderPolicy, ageing_s=st.sampled_from([0.0, 1.0, 30.0, 120.0]))


@given(STEPS, POLICIES)
def test_from_its_bound_on_no_later_arrival_overtakes(steps, policy):
    queue = Simulation(policy)
    waiting: dict[str, Job] = {}
    safe_from: dict[str, int] = {}  # how many had arrived when the virtual time reached the job's bound
    drained = [None] * sum(step is not None for step in steps)
    for step in [*steps, *drained]:
        if step is not None:
            job = queue.arrive(*step)
            waiting[job.id] = job
        elif (claimed := queue.claim()) is not None:
            del waiting[claimed.id]
            overtaken = [job for job in waiting.values() if claimed.seq > safe_from.get(job.id, claimed.seq)]
            assert not overtaken
        for job in waiting.values():
            if queue.virtual_time >= ordering.overtake_bound(policy, job.start_tag, job.priority):
                safe_from.setdefault(job.id, len(queue.arrived))
    assert not waiting


@given(STEPS, POLICIES)
def test_one_principal_is_served_first_come_first_served_within_a_level(steps, policy):
    queue = Simulation(policy)
    claims = [queue.claim() if step is None else queue.arrive(*step) and None for step in steps]
    order = [job for job in [*claims, *queue.drain()] if job is not None]
    assert len(order) == len(queue.arrived)
    levels = {(job.principal.name, job.priority) for job in order}
    for level in levels:
        seqs = [job.seq for job in order if (job.principal.name, job.priority) == level]
        assert seqs == sorted(seqs)


@given(
    backlogs=st.lists(st.integers(10, 60), min_size=1, max_size=4),
    claimed_before=st.integers(0, 9),
    own=st.integers(1, 12),
    priority=PRIORITIES,
)
def test_a_newcomer_gets_its_share_at_once(backlogs, claimed_before, own, priority):
    queue = Simulation()
    for n, length in enumerate(backlogs):
        for _ in range(length):
            queue.arrive(f"user{n}", priority)
    for _ in range(claimed_before):
        queue.claim()
    for _ in range(own):
        queue.arrive("newcomer", priority)
    rivals = len(backlogs)
    mine = [place for place, job in enumerate(queue.drain()) if job.principal.name == "newcomer"]
    # The n-th of its jobs waits for at most n jobs of each rival, and one more round that was tagged already.
    assert all(place <= (n + 1) * (rivals + 1) for n, place in enumerate(mine))


@given(st.lists(ESTIMATES, min_size=1, max_size=40), st.integers(1, 9), st.data())
def test_a_higher_priority_does_not_wait_for_its_owners_lower_backlog(backlog, lower, data):
    higher = data.draw(st.integers(lower + 1, 10))
    queue = Simulation()
    for estimated_s in backlog:
        queue.arrive("ada", lower, estimated_s)
    assert queue.arrive("ada", higher).start_tag == queue.virtual_time
    claimed = queue.claim()
    assert claimed is not None
    assert claimed.priority == higher


@given(STEPS)
def test_strict_mode_always_takes_the_highest_level_and_there_the_first(steps):
    queue = Simulation(OrderPolicy(strict=True))
    waiting: list[tuple[int, int]] = []
    for step in steps:
        if step is not None:
            job = queue.arrive(*step)
            waiting.append((-job.priority, job.seq))
        elif (claimed := queue.claim()) is not None:
            assert (-claimed.priority, claimed.seq) == min(waiting)
            waiting.remove(min(waiting))


@given(STEPS, ARRIVAL, st.booleans())
def test_front_is_next_and_the_latest_front_first(steps, arrival, strict):
    queue = Simulation(OrderPolicy(strict=strict))
    for step in steps:
        if step is None:
            queue.claim()
        else:
            queue.arrive(*step)
    first = queue.arrive(*arrival, front=True)
    second = queue.arrive(*arrival, front=True)
    order = [job.id for job in queue.drain()]
    assert order[:2] == [second.id, first.id]


@given(STEPS, st.data())
def test_a_waiting_job_can_be_moved_to_the_front(steps, data):
    queue = Simulation()
    waiting = [queue.arrive(*step) for step in steps if step is not None] or [queue.arrive()]
    chosen = data.draw(st.sampled_from(waiting))
    queue.reprioritise(chosen, front=True)
    assert queue.drain()[0].id == chosen.id


@given(STEPS, st.data())
def test_a_higher_priority_never_sets_a_waiting_job_back(steps, data):
    queue = Simulation()
    waiting = [queue.arrive(*step) for step in steps if step is not None] or [queue.arrive()]
    chosen = data.draw(st.sampled_from(waiting))
    priority = data.draw(st.integers(chosen.priority, 10))
    moved = queue.reprioritise(chosen, priority)
    assert moved.score <= chosen.score
    assert moved.start_tag <= chosen.start_tag


@given(STEPS, POLICIES)
def test_the_virtual_time_never_goes_back(steps, policy):
    queue = Simulation(policy)
    seen = [0.0]
    for step in steps:
        if step is None:
            queue.claim()
        else:
            queue.arrive(*step)
        seen.append(queue.virtual_time)
    assert all(before <= after for before, after in pairwise(seen))
