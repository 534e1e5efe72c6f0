"""The simulator: the same by the same seed, the real order, a witness that does raise, and sums that can be done by hand."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from expeditor.jobs.model import Ending, Job, JobStatus, NewJob, Payload, Principal, Source
from expeditor.jobs.ordering import OrderPolicy
from expeditor.store.memory import MemoryStore
from tests.conformance.harness import Ears
from tests.unit.jobs.simulation import Simulation

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks/schedule_sim.py"
_spec = importlib.util.spec_from_file_location("schedule_sim", SCRIPT)
assert _spec is not None
assert _spec.loader is not None
schedule_sim = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(schedule_sim)
schedule_sim.make_importable()

from benchmarks.sim import figures, scenarios, workload
from benchmarks.sim.bound import BoundBroken, BoundWitness
from benchmarks.sim.lines import FifoLine, OurLine
from benchmarks.sim.machine import Run, fair_share_s, play
from benchmarks.sim.workload import Arrival

pytestmark = pytest.mark.long

MADE = {
    "one by one": lambda seed: workload.poisson(seed, 250, 0.95),
    "bursts": lambda seed: workload.bursts(seed, 250, 0.9),
    "greedy": lambda seed: workload.greedy(seed, 80, 0.3, priority=10),
    "two models": lambda seed: workload.two_models_by_chance(seed, 200, 0.6),
}


@pytest.mark.parametrize("slack_s", [0.0, 30.0])
@pytest.mark.parametrize("made", MADE.values(), ids=MADE)
def test_the_bound_holds_and_every_job_runs_once(made, slack_s):
    for seed in range(3):
        trace, line = made(seed), OurLine(OrderPolicy(), slack_s)
        run = play(trace, line, load_s=8.0)  # the witness in the line raises when the bound is broken
        assert sorted(run.ended_s) == list(range(len(trace)))
        assert set(line.overtaken) == set(run.ended_s)
    assert max(each.by_s for each in line.overtaken.values()) > 0


def witness_of_two(priorities: tuple[int, int], estimated_s: float) -> tuple[BoundWitness, list[Job]]:
    """A witness that saw two principals' jobs arrive at an empty queue."""
    policy, queue = OrderPolicy(), Simulation()
    witness = BoundWitness(policy, slack_s=30.0)
    jobs = [queue.arrive(f"user {n}", priority, estimated_s) for n, priority in enumerate(priorities)]
    for job in jobs:
        witness.arrived(job, queue.virtual_time)
    return witness, jobs


def test_the_witness_raises_when_a_later_arrival_overtakes_a_job_that_is_safe():
    witness, [first, later] = witness_of_two((10, 10), estimated_s=1.0)
    sooner = replace(later, id="third", seq=3, score=first.score - 1.0)
    witness.arrived(sooner, 0.0)
    with pytest.raises(BoundBroken, match="whose bound"):
        witness.claimed(sooner, 0.0)


def test_the_witness_lets_affinity_have_its_slack_and_no_more():
    witness, [_, later] = witness_of_two((10, 10), estimated_s=29.0)
    witness.claimed(later, 0.0)
    third = replace(later, id="third", seq=3)
    witness.arrived(third, 0.0)
    with pytest.raises(BoundBroken, match="passed over enough"):
        witness.claimed(third, 0.0)


def test_the_witness_counts_what_is_expected_of_a_run_when_it_passes():
    witness, [_, later] = witness_of_two((10, 10), estimated_s=1.0)
    with pytest.raises(BoundBroken, match="passed over enough"):
        witness.claimed(later, 0.0, work_s=31.0)


def test_the_witness_raises_when_more_overtakes_than_may():
    witness, [first, later] = witness_of_two((1, 2), estimated_s=1.0)
    for seq in range(3, 7):
        witness.arrived(replace(later, id=f"j{seq}", seq=seq), 0.0, charged_s=100.0)
    for seq in range(3, 7):
        witness.claimed(replace(later, id=f"j{seq}", seq=seq), 0.0)
    # One point is worth 100 s, and one job more of 100 s may have begun before: 200 s at most.
    with pytest.raises(BoundBroken, match=r"400\.0 s, allowed are 200\.0 s"):
        witness.claimed(first, 0.0)


@pytest.mark.parametrize("made", MADE.values(), ids=MADE)
def test_the_seed_decides_everything(made):
    assert made(1) == made(1)
    assert made(1) != made(2)
    once, again = (play(made(1), OurLine(OrderPolicy()), load_s=8.0) for _ in range(2))
    assert once == again


def test_the_same_report_each_time():
    texts = [scenarios.priorities("t", [workload.poisson(5, 150, 0.8)], judged=True) for _ in range(2)]
    assert texts[0] == texts[1]


def played_on_a_store(trace: tuple[Arrival, ...]) -> list[int]:
    """The order in which a store's public verbs hand out a trace that is queued at once."""
    ears = Ears()
    store = MemoryStore(policy=OrderPolicy(), clock=lambda: 0.0, boot_id="boot", publisher=ears, observer=ears)
    store.open()
    order: list[int] = []
    try:
        for number, arrival in enumerate(trace):
            new = NewJob(
                id=str(number),
                principal=Principal(arrival.principal),
                priority=arrival.priority,
                source=Source.SUBMIT,
                created_at_s=0.0,
                number=number,
                payload=Payload("{}", "{}", "[]"),
                signature=arrival.kind,
            )
            store.enqueue(new).result(10)
        while (claim := store.claim().result(10)) is not None:
            order.append(int(claim.job.id))
            ending = Ending(JobStatus.SUCCEEDED, 0.0, trace[int(claim.job.id)].run_s)
            store.finish(claim.job.id, claim.attempt, ending).result(10)
    finally:
        store.close()
    return order


@pytest.mark.parametrize("made", MADE.values(), ids=MADE)
def test_without_affinity_the_order_is_the_stores(made):
    trace = tuple(replace(arrival, at_s=0.0) for arrival in made(3))
    run = play(trace, OurLine(OrderPolicy(), slack_s=0.0))
    assert list(run.ended_s) == played_on_a_store(trace)


def hand_made(*arrivals: tuple[float, str, float, str]) -> tuple[Arrival, ...]:
    return tuple(Arrival(at_s, who, 3, "kind", run_s, model) for at_s, who, run_s, model in arrivals)


def test_the_machine_is_never_idle_while_a_job_waits_and_loads_what_it_lacks():
    trace = hand_made((1.0, "ada", 10.0, "A"), (2.0, "bob", 5.0, "A"), (3.0, "ada", 1.0, "B"), (100.0, "bob", 1.0, "B"))
    run = play(trace, FifoLine(), load_s=4.0)
    assert run.started_s == {0: 1.0, 1: 15.0, 2: 20.0, 3: 100.0}
    assert run.ended_s == {0: 15.0, 1: 20.0, 2: 25.0, 3: 101.0}
    assert (run.loads, run.busy_s) == (2, 25.0)


def test_equal_shares_are_those_of_a_machine_that_all_share():
    trace = hand_made((0.0, "ada", 6.0, "A"), (0.0, "ada", 6.0, "A"), (2.0, "bob", 4.0, "A"))
    # ada alone until 2 (4 s left), both at half speed until 10, then ada's second alone.
    assert fair_share_s(trace) == pytest.approx({0: 10.0, 1: 16.0, 2: 8.0})


def test_jains_index():
    assert figures.jain([2.0, 2.0, 2.0]) == pytest.approx(1.0)
    assert figures.jain([1.0, 0.0, 0.0, 0.0]) == pytest.approx(0.25)


def test_completion_counts_from_arrival():
    trace = hand_made(*[(float(n), "ada", 1.0, "A") for n in range(40)])
    run = Run(trace, ended_s={n: n + 1.0 + n for n in range(40)})
    assert figures.completion([run], lambda arrival: arrival.at_s >= 20) == figures.Completion(20, 30.5, 39.95)


def test_how_much_sooner_is_told_with_the_margin_that_the_traces_give():
    trace = hand_made((0.0, "ada", 1.0, "A"))
    slow = [Run(trace, ended_s={0: took}) for took in (10.0, 20.0, 30.0)]
    halved = [Run(trace, ended_s={0: took / 2}) for took in (10.0, 20.0, 30.0)]
    assert figures.sooner(halved, slow, lambda _: True) == figures.Measured(0.5, 0.0)
    uneven = [Run(trace, ended_s={0: took}) for took in (5.0, 15.0, 10.0)]
    measured = figures.sooner(uneven, slow, lambda _: True)
    # 30 of 60 s; off by 0, 5 and -5 s: sqrt(50 * 3 / 2) / 60 is the error of the sum's ratio.
    assert (measured.value, measured.margin) == (0.5, pytest.approx(1.96 * 75**0.5 / 60))


def test_what_priority_can_gain_at_most_is_near_what_strict_order_gains():
    traces = [workload.poisson(seed, 1_000, 0.8) for seed in range(6)]
    runs = [[play(trace, line()) for trace in traces] for line in (FifoLine, lambda: OurLine(OrderPolicy(strict=True)))]
    measured = figures.sooner(runs[1], runs[0], lambda arrival: arrival.priority >= figures.HIGH)
    assert abs(measured.value - figures.sooner_at_most(0.8)) < measured.margin


def test_affinity_needs_fewer_loads_and_no_fewer_jobs_per_hour():
    trace = workload.two_models(120, run_s=9.0)
    runs = [
        play(trace, line, load_s=8.0)
        for line in (FifoLine(), OurLine(OrderPolicy(), known_run_s={"same": 9.0}), OurLine(OrderPolicy(), 0.0))
    ]
    fifo, ours, off = runs
    assert fifo.loads == off.loads == 120
    assert ours.loads < 120 / 3
    assert ours.jobs_per_hour > fifo.jobs_per_hour


def test_the_page_holds_what_the_simulator_writes_between_its_marks():
    page = "above\n" + schedule_sim.BEGIN + "\nold\n" + schedule_sim.END + "\nbelow\n"
    written = schedule_sim.with_tables(page, "## New\n")
    assert written == "above\n" + schedule_sim.BEGIN + "\n\n### New\n\n" + schedule_sim.END + "\nbelow\n"
    assert schedule_sim.BEGIN in schedule_sim.PAGE.read_text(encoding="utf-8")
