"""Models in memory at the claim, in every store: what is resident goes first, and nobody is passed over by more than the slack."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from expeditor.jobs import ordering
from expeditor.jobs.affinity import AffinityPolicy
from expeditor.jobs.model import Job
from tests.conformance.harness import MemoryStorage, claim, done, ending, enqueue

A, B = frozenset({"a.safetensors"}), frozenset({"b.safetensors"})
ARRIVAL = st.tuples(st.sampled_from(["ada", "bob"]), st.integers(2, 4), st.sampled_from([A, B, frozenset[str]()]))
STEPS = st.lists(st.one_of(ARRIVAL, st.none()), max_size=60)  # None: a claim


def test_the_job_whose_models_are_in_memory_goes_first(storage):
    storage.affinity = AffinityPolicy()
    store = storage.start()
    enqueue(store, "cold", models=tuple(B))
    enqueue(store, "warm", models=tuple(A))
    assert [claim(store, A).job.id, claim(store, A).job.id] == ["warm", "cold"]


def test_what_a_warm_run_takes_is_learned_and_counts(storage):
    storage.affinity = AffinityPolicy(slack_s=30.0)
    store = storage.start()
    for name, resident, run_s in (("first", frozenset[str](), 40.0), ("second", A, 4.0)):
        enqueue(store, name, models=tuple(A), signature="s")
        claimed = claim(store, resident)
        done(store.finish(claimed.job.id, claimed.attempt, ending(run_s=run_s)))
    enqueue(store, "cold", models=tuple(B))
    assert enqueue(store, "warm", principal="bob", models=tuple(A), signature="s").estimated_s > 25.0
    enqueue(store, "also warm", principal="eve", models=tuple(A), signature="s")
    # Counted with the load that earlier runs had, only one would fit into the slack; a warm run is known to take 4 s.
    assert [claim(store, A).job.id for _ in range(3)] == ["warm", "also warm", "cold"]


@given(STEPS, st.sampled_from([0.0, 10.0, 30.0]))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_over_many_claims_nobody_is_passed_over_by_more_than_the_slack(steps, slack_s):
    storage = MemoryStorage()
    storage.affinity = AffinityPolicy(slack_s=slack_s)
    store = storage.start()
    waiting: dict[str, Job] = {}
    passed_s: dict[str, float] = {}
    resident: frozenset[str] = frozenset()
    for number, step in enumerate([*steps, *([None] * len(steps))]):
        if step is not None:
            principal, priority, models = step
            job = enqueue(store, f"j{number}", priority, principal, models=tuple(models), number=float(number))
            waiting[job.id] = job
        elif waiting:
            claimed = claim(store, resident).job
            del waiting[claimed.id]
            resident = frozenset(claimed.models) or resident
            for other in waiting.values():
                if _place(claimed) > _place(other):
                    passed_s[other.id] = passed_s.get(other.id, 0.0) + claimed.estimated_s
    storage.stop()
    assert not waiting
    assert all(work_s <= slack_s for work_s in passed_s.values())


def _place(job: Job) -> tuple[float, float, int]:
    return ordering.sort_key(job.score, job.number, job.seq)
