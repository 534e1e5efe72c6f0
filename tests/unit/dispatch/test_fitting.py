"""Claims that this machine cannot run, over the real memory store: given back, passed over, found again when it can."""

from __future__ import annotations

import pytest

from expeditor.dispatch.fitting import IN_A_ROW
from expeditor.jobs.errors import StoreUnavailable
from expeditor.jobs.model import JobStatus
from tests.conformance.harness import MemoryStorage, done, enqueue
from tests.unit.dispatch.made import Bench, FakeAbilities


@pytest.fixture
def bench():
    """A machine that has the node classes ``b`` and ``c``; a job's only class is called as the job."""
    storage = MemoryStorage()
    made = Bench(storage.start(), storage.clock)
    made.abilities = FakeAbilities("b", "c")
    made.dispatcher = made.make(deadline_s=10.0)
    yield made
    storage.stop()


def test_a_misfit_goes_back_and_the_next_runs(bench):
    before = enqueue(bench.real, "a")
    enqueue(bench.real, "b")
    assert bench.dispatcher.claim().job.id == "b"
    assert bench.job("a") == before
    assert bench.runs.progress("a") is None
    assert not bench.dispatcher.owes()


def test_it_is_not_claimed_again_until_something_else_can_be_run(bench):
    enqueue(bench.real, "a")
    for _ in range(3):
        assert bench.dispatcher.claim() is None
    assert bench.front.asked.count("give_back") == 1
    bench.abilities.classes.add("a")
    assert bench.dispatcher.claim() is None
    bench.abilities.mark = "2"
    assert bench.dispatcher.claim().job.id == "a"


def test_a_model_that_another_instance_has_makes_a_misfit(bench):
    bench.abilities.elsewhere.add("x.safetensors")
    enqueue(bench.real, "b", models=("x.safetensors",))
    enqueue(bench.real, "c", models=("nobody's.safetensors",))
    assert bench.dispatcher.claim().job.id == "c"


def test_where_nothing_is_known_everything_fits(bench):
    bench.abilities = None
    bench.dispatcher = bench.make(deadline_s=10.0)
    enqueue(bench.real, "a")
    assert bench.dispatcher.claim().job.id == "a"


def test_a_row_of_misfits_is_left_for_the_next_look(bench):
    for n in range(IN_A_ROW + 1):
        enqueue(bench.real, f"x{n:02d}")
    enqueue(bench.real, "b")
    assert bench.dispatcher.claim() is None
    assert not bench.dispatcher.owes()
    assert bench.dispatcher.claim().job.id == "b"


class FakeStoreThatTakesNothingBack:
    """The bench's store, away for `give_back` so many times."""

    def __init__(self, front, times):
        self.front, self.times = front, times

    def __getattr__(self, verb):
        return getattr(self.front, verb)

    def give_back(self, *args):
        self.times -= 1
        self.front.away = StoreUnavailable("away") if self.times >= 0 else None
        answer = self.front.give_back(*args)
        self.front.away = None
        return answer


def test_what_could_not_be_given_back_is_given_back_before_the_next_claim(bench):
    enqueue(bench.real, "a")
    enqueue(bench.real, "b")
    bench.front = FakeStoreThatTakesNothingBack(bench.front, times=2)
    bench.dispatcher = bench.make(deadline_s=10.0)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            bench.dispatcher.claim()
        assert bench.dispatcher.owes()
        assert bench.job("a").status is JobStatus.RUNNING
    assert bench.dispatcher.claim(fresh=False) is None
    assert not bench.dispatcher.owes()
    assert bench.job("a").status is JobStatus.QUEUED
    assert bench.dispatcher.claim().job.id == "b"


def test_one_that_was_canceled_meanwhile_ends(bench):
    enqueue(bench.real, "a")
    bench.front = FakeStoreThatTakesNothingBack(bench.front, times=1)
    bench.dispatcher = bench.make(deadline_s=10.0)
    with pytest.raises(StoreUnavailable):
        bench.dispatcher.claim()
    done(bench.real.cancel("a"))
    assert bench.dispatcher.claim() is None
    assert bench.job("a").status is JobStatus.CANCELED
    assert not bench.dispatcher.owes()
