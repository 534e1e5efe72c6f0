"""The order of claim in every store: score, number, arrival; front, re-prioritising, estimates and places."""

from __future__ import annotations

import pytest

from expeditor.jobs.errors import Conflict, NotFound
from expeditor.jobs.estimate import DEFAULT_ESTIMATE_S
from expeditor.jobs.model import JobStatus
from expeditor.jobs.ordering import OrderPolicy
from expeditor.store.base import Reprioritise
from expeditor.store.records import Place
from tests.conformance.harness import claim, claim_all, done, ending, enqueue


def test_one_principal_is_served_first_come_first_served(store):
    for name in "abcde":
        enqueue(store, name)
    assert claim_all(store) == list("abcde")


def test_the_more_urgent_runs_first_whatever_was_queued_before(store):
    for name, priority in (("low", 1), ("mid", 5), ("high", 10), ("mid2", 5)):
        enqueue(store, name, priority)
    assert claim_all(store) == ["high", "mid", "mid2", "low"]


def test_a_newcomer_shares_with_a_long_backlog(store):
    for n in range(6):
        enqueue(store, f"a{n}", principal="ada")
    claim(store)
    enqueue(store, "b0", principal="bob")
    enqueue(store, "b1", principal="bob")
    assert claim_all(store) == ["b0", "a1", "b1", "a2", "a3", "a4", "a5"]


def test_what_was_cancelled_is_not_held_against_anybody(store):
    """Queue thirty, clear them, queue again: the second batch does not stand behind the thirty."""
    for n in range(30):
        enqueue(store, f"a{n}", principal="ada")
    for n in range(4):
        enqueue(store, f"b{n}", principal="bob")
    for n in range(30):
        done(store.cancel(f"a{n}"))
    for n in range(3):
        enqueue(store, f"again{n}", principal="ada")
    assert claim_all(store) == ["b0", "again0", "b1", "again1", "b2", "again2", "b3"]


def test_a_refund_keeps_the_order_of_what_remains(store):
    for n in range(6):
        enqueue(store, f"a{n}", principal="ada")
    enqueue(store, "low", 1, principal="ada")
    for n in (0, 2, 5):
        done(store.cancel(f"a{n}"))
    enqueue(store, "new", principal="ada")
    assert claim_all(store) == ["a1", "a3", "a4", "new", "low"]


def test_number_breaks_ties_then_arrival(store):
    for name, number in (("a", 5.0), ("b", -2.5), ("c", 5.0)):
        enqueue(store, name, principal=name, number=number)
    assert claim_all(store) == ["b", "a", "c"]


def test_front_goes_before_the_head_and_the_last_front_first(store):
    enqueue(store, "a", 10)
    enqueue(store, "f1", 1, front=True)
    enqueue(store, "f2", 1, principal="bob", front=True)
    assert claim_all(store) == ["f2", "f1", "a"]


@pytest.mark.parametrize("moved_later", [False, True])
def test_a_front_job_does_not_set_newcomers_behind_its_owners_backlog(store, moved_later):
    for n in range(5):
        enqueue(store, f"a{n}")
    enqueue(store, "f", front=not moved_later)
    if moved_later:
        done(store.reprioritise("f", Reprioritise(front=True)))
    assert claim(store).job.id == "f"
    enqueue(store, "b", principal="bob")
    assert claim_all(store)[:2] == ["a0", "b"]


def test_strict_sorts_by_priority_alone(storage):
    storage.policy = OrderPolicy(strict=True)
    store = storage.start()
    for n in range(4):
        enqueue(store, f"a{n}", 3)
    enqueue(store, "b", 3, principal="bob")
    enqueue(store, "top", 4)
    assert claim_all(store) == ["top", "a0", "a1", "a2", "a3", "b"]


def test_reprioritise_moves_a_waiting_job_and_tells_it(store, storage):
    enqueue(store, "a")
    enqueue(store, "b")
    job = done(store.reprioritise("b", Reprioritise(priority=8)))
    assert (job.priority, job) == (8, done(store.get("b")))
    assert storage.ears.told("b") == ["job.queued", "job.reprioritised"]
    done(store.reprioritise("a", Reprioritise(front=True)))
    assert claim_all(store) == ["a", "b"]


def test_reprioritising_a_whole_backlog_keeps_the_others_share(store):
    for n in range(4):
        enqueue(store, f"a{n}")
    enqueue(store, "b0", 5, principal="bob")
    enqueue(store, "b1", 5, principal="bob")
    for n in range(4):
        done(store.reprioritise(f"a{n}", Reprioritise(priority=5)))
    assert claim_all(store) == ["a0", "b0", "a1", "b1", "a2", "a3"]


def test_only_a_queued_job_gets_another_place(store):
    enqueue(store, "a")
    claim(store)
    with pytest.raises(Conflict, match="running"):
        done(store.reprioritise("a", Reprioritise(priority=8)))
    with pytest.raises(NotFound):
        done(store.reprioritise("x", Reprioritise(priority=8)))


def test_estimates_are_learned_from_real_successes_only(store):
    assert done(store.estimate("s")) == DEFAULT_ESTIMATE_S
    for n, (kind, run_s) in enumerate([({}, 10.0), ({"cached": True}, 0.01), ({"status": JobStatus.FAILED}, 99.0)]):
        enqueue(store, f"j{n}", signature="s")
        done(store.finish(f"j{n}", claim(store).attempt, ending(run_s=run_s, **kind)))
    assert done(store.estimate("s")) == 10.0
    assert done(store.estimate("other")) == 10.0
    enqueue(store, "k", signature="t")
    done(store.finish("k", claim(store).attempt, ending(run_s=20.0)))
    assert done(store.estimate("s")) == 10.0
    assert done(store.estimate("t")) == 20.0
    assert done(store.estimate("other")) == pytest.approx(13.0)
    assert enqueue(store, "l", signature="t").estimated_s == 20.0


def test_a_place_counts_what_is_before_it(store):
    for name, priority in (("run", 5), ("a", 3), ("b", 3), ("c", 9)):
        enqueue(store, name, priority)
    assert claim(store).job.id == "c"
    assert done(store.place("run")) == Place(1, DEFAULT_ESTIMATE_S)
    assert done(store.place("b")) == Place(3, 3 * DEFAULT_ESTIMATE_S)
    assert done(store.place("c")) is None
    done(store.cancel("c"))  # it occupies the machine until its run settles
    assert done(store.place("run")) == Place(1, DEFAULT_ESTIMATE_S)


def test_when_all_is_idle_nobody_keeps_debt(store):
    for n in range(3):
        enqueue(store, f"a{n}")
    claim_all(store)
    enqueue(store, "a9")
    enqueue(store, "b9", principal="bob")
    assert done(store.get("a9")).score == done(store.get("b9")).score
