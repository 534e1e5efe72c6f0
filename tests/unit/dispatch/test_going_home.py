"""A run's end waits for its results to come home, and the machine does not stand still for it."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace

import pytest

from expeditor.dispatch import dispatcher as module
from expeditor.jobs.errors import StoreUnavailable
from expeditor.jobs.model import Cause, Ending, Job, JobError, JobStatus
from expeditor.jobs.settled import Settled
from tests.conformance.harness import MemoryStorage, done, enqueue
from tests.unit.dispatch.made import Bench

SUCCESS = [("execution_start", {}), ("execution_success", {})]
IMAGES = {"9": {"images": [{"filename": "a.png"}]}}


class FakeHomeward:
    """Fits `dispatch.ports.Homeward`: results of the jobs in `slow` come home when the test says so, those in `quick` at once."""

    def __init__(self, *, slow: tuple[str, ...] = (), quick: tuple[str, ...] = ()) -> None:
        self.slow, self.quick = slow, quick
        self.on_the_way: dict[str, tuple[Future[Ending], Ending]] = {}
        self.begun: list[str] = []
        self.forgotten: list[str] = []
        self.came = 0

    def began(self, job: Job) -> None:
        self.begun.append(job.id)

    def forget(self, job_id: str) -> None:
        self.forgotten.append(job_id)

    def bring_home(self, job: Job, ending: Ending) -> Future[Ending] | None:
        if job.id not in (*self.slow, *self.quick):
            return None
        self.on_the_way[job.id] = (Future(), ending)
        if job.id in self.quick:
            self.come(job.id)
        return self.on_the_way[job.id][0]

    def come(self, job_id: str) -> None:
        future, ending = self.on_the_way[job_id]
        future.set_result(replace(ending, outputs=tuple(replace(one, subfolder="home") for one in ending.outputs)))

    def arrived(self) -> None:
        self.came += 1


@pytest.fixture
def bench():
    storage = MemoryStorage()
    yield Bench(storage.start(), storage.clock)
    storage.stop()


def test_what_is_quick_is_the_end_at_once(bench):
    homeward = FakeHomeward(quick=("a",))
    bench.dispatcher.join(homeward)
    enqueue(bench.real, "a")
    bench.dispatcher.claim()
    assert homeward.begun == ["a"]
    assert bench.dispatcher.finish("a", True, SUCCESS, IMAGES) is Settled.ENDED
    assert [output.subfolder for output in bench.job("a").outputs] == ["home"]
    assert homeward.came == 0


def test_while_results_are_on_their_way_the_next_job_runs(bench):
    homeward = FakeHomeward(slow=("a",))
    bench.dispatcher.join(homeward)
    for job_id in "abc":
        enqueue(bench.real, job_id)
    bench.dispatcher.claim()
    assert bench.dispatcher.finish("a", True, SUCCESS, IMAGES) is Settled.OWED
    assert bench.job("a").status is JobStatus.RUNNING
    assert bench.dispatcher.owes()
    assert bench.dispatcher.claim().job.id == "b"
    assert bench.dispatcher.finish("b", True, SUCCESS, {}) is Settled.ENDED
    homeward.come("a")
    assert homeward.came == 1
    bench.dispatcher.settle_arrived()
    assert bench.dispatcher.settled() == ["a"]
    assert bench.dispatcher.settled() == []
    job = bench.job("a")
    assert (job.status, [output.subfolder for output in job.outputs]) == (JobStatus.SUCCEEDED, ["home"])
    assert not bench.dispatcher.owes()


def test_an_end_that_came_home_while_the_store_is_away_is_settled_before_the_next_claim(bench):
    homeward = FakeHomeward(slow=("a",))
    bench.dispatcher.join(homeward)
    enqueue(bench.real, "a")
    enqueue(bench.real, "b")
    bench.dispatcher.claim()
    bench.dispatcher.finish("a", True, SUCCESS, IMAGES)
    bench.front.away = StoreUnavailable("gone")
    homeward.come("a")
    bench.dispatcher.settle_arrived()
    assert bench.dispatcher.settled() == []
    with pytest.raises(StoreUnavailable):
        bench.dispatcher.claim()
    bench.front.away = None
    assert bench.dispatcher.claim().job.id == "b"
    assert bench.dispatcher.settled() == ["a"]
    assert [output.subfolder for output in bench.job("a").outputs] == ["home"]


def test_only_so_many_are_on_their_way(bench):
    homeward = FakeHomeward(slow=tuple("abcdefgh"))
    bench.dispatcher.join(homeward)
    for job_id in "abcdefgh":
        enqueue(bench.real, job_id)
    claimed = []
    while (claim := bench.dispatcher.claim()) is not None:
        claimed.append(claim.job.id)
        bench.dispatcher.finish(claim.job.id, True, SUCCESS, IMAGES)
    assert len(claimed) == module.ON_THE_WAY_MAX
    homeward.come("a")
    assert bench.dispatcher.claim() is not None


def test_a_run_that_is_put_back_sends_nothing(bench):
    homeward = FakeHomeward(slow=("a",))
    bench.dispatcher.join(homeward)
    enqueue(bench.real, "a")
    bench.dispatcher.claim()
    failed = [("execution_error", {"exception_type": "ConnectionError", "exception_message": "away"})]
    assert bench.dispatcher.finish("a", False, failed, IMAGES) is Settled.AGAIN
    assert homeward.on_the_way == {}
    assert homeward.forgotten == ["a"]


def test_a_job_that_is_cancelled_while_its_results_travel_ends_canceled(bench):
    homeward = FakeHomeward(slow=("a",))
    bench.dispatcher.join(homeward)
    enqueue(bench.real, "a")
    bench.dispatcher.claim()
    bench.dispatcher.finish("a", True, SUCCESS, IMAGES)
    assert done(bench.real.cancel("a")).status is JobStatus.CANCELING
    bench.runs.interrupt("a", 1)
    assert bench.interrupter.asked == [], "another job may be on the machine by now"
    homeward.come("a")
    bench.dispatcher.settle_arrived()
    assert bench.job("a").status is JobStatus.CANCELED


def test_a_job_whose_input_files_cannot_be_had_is_put_off_and_fails_in_the_end(bench):
    enqueue(bench.real, "a")
    away = JobError(Cause.UPSTREAM_UNAVAILABLE.value, "the other is away")
    waits = []
    for _ in range(3):
        bench.dispatcher.claim()
        settled = bench.dispatcher.put_off("a", away)
        job = bench.job("a")
        if job.not_before_s is not None and settled is Settled.AGAIN:
            waits.append(job.not_before_s - bench.clock.now_s)
            bench.pass_s(waits[-1])
            done(bench.real.tick())
    assert waits == [module.PUT_OFF_S, 2 * module.PUT_OFF_S]
    assert (job.status, job.cause, job.error.message) == (
        JobStatus.FAILED,
        Cause.UPSTREAM_UNAVAILABLE,
        "the other is away",
    )
