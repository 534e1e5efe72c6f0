"""What keeps a waiting job back in every store: holds, times, the pause; what expires, and where all the others stand."""

from __future__ import annotations

import pytest

from expeditor.jobs.affinity import AffinityPolicy
from expeditor.jobs.errors import Conflict, NotFound
from expeditor.jobs.estimate import DEFAULT_ESTIMATE_S
from expeditor.jobs.model import Cause, JobStatus
from expeditor.store.base import Reprioritise
from expeditor.store.records import Ahead, JobQuery, Place
from tests.conformance.harness import claim, claim_all, done, ending, enqueue


def test_a_held_job_is_passed_over_until_it_is_released(storage):
    store = storage.start()
    for name in "ab":
        enqueue(store, name)
    job = done(store.hold("a", held=True))
    assert (job.held, job.status, job) == (True, JobStatus.QUEUED, done(store.get("a")))
    assert done(store.place("a")) is None
    assert done(store.place("b")) == Place(1, 0.0)
    store = storage.start()
    found = done(store.recover())
    assert [job.id for job, _ in found.waiting] == ["a", "b"]
    assert claim_all(store) == ["b"]
    assert done(store.hold("a", held=False)).score == job.score
    assert claim_all(store) == ["a"]
    assert storage.ears.told("a")[1:3] == ["job.held", "job.released"]


def test_holding_twice_is_told_once(store, storage):
    enqueue(store, "a")
    for held in (False, True, True, False, False):
        assert done(store.hold("a", held)).held is held
    assert storage.ears.told("a") == ["job.queued", "job.held", "job.released"]


def test_only_a_job_that_waits_is_held(store):
    with pytest.raises(NotFound):
        done(store.hold("x", held=True))
    enqueue(store, "a")
    claim(store)
    with pytest.raises(Conflict, match="running"):
        done(store.hold("a", held=True))


@pytest.mark.parametrize("end", ["cancel", "fail", "expire"])
def test_a_job_that_ends_while_it_is_held_is_held_no_more(store, storage, end):
    enqueue(store, "a", expires_at_s=storage.clock.now_s + 1)
    done(store.hold("a", held=True))
    if end == "cancel":
        done(store.cancel("a"))
    elif end == "fail":
        done(store.fail_queued("a", ending(JobStatus.FAILED, cause=Cause.SECRET_LOST)))
    else:
        storage.clock.now_s += 1
        done(store.tick())
    job = done(store.get("a"))
    assert (job.held, storage.ears.events[-1].job) == (False, job)
    assert done(store.page(JobQuery(held=True))).jobs == ()
    assert done(store.summary()).held == 0


def test_a_held_job_can_be_moved_and_moves_nobody_while_it_is_held(store):
    for name in "abc":
        enqueue(store, name)
    done(store.hold("a", held=True))
    done(store.reprioritise("a", Reprioritise(front=True)))
    done(store.reprioritise("c", Reprioritise(front=True)))
    assert claim_all(store) == ["c", "b"]
    done(store.hold("a", held=False))
    assert claim_all(store) == ["a"]


def test_a_delayed_job_stands_in_line_from_its_time_on(storage):
    store = storage.start()
    due_s = storage.clock.now_s + 10
    enqueue(store, "late", 10, not_before_s=due_s)
    enqueue(store, "due", 1, not_before_s=storage.clock.now_s)
    assert done(store.place("late")) is None
    assert claim_all(store) == ["due"]
    assert not done(store.tick()).became_due
    store = storage.start()
    enqueue(store, "other", 1)
    storage.clock.now_s = due_s
    assert done(store.tick()).became_due
    assert not done(store.tick()).became_due
    assert done(store.place("late")) == Place(1, 0.0)
    assert claim_all(store) == ["late", "other"]


def test_what_became_due_while_nobody_ticked_is_told_by_the_next_tick(store, storage):
    enqueue(store, "a", not_before_s=storage.clock.now_s + 10)
    storage.clock.now_s += 10
    assert claim(store).job.id == "a"
    assert done(store.tick()).became_due


def test_an_expired_job_is_never_given_out(store, storage):
    enqueue(store, "a", expires_at_s=storage.clock.now_s + 10)
    enqueue(store, "held", expires_at_s=storage.clock.now_s + 5)
    enqueue(store, "delayed", expires_at_s=storage.clock.now_s + 5, not_before_s=storage.clock.now_s + 60)
    done(store.hold("held", held=True))
    enqueue(store, "b")
    storage.clock.now_s += 10
    commits = len(storage.ears.commits)
    assert claim(store).job.id == "b"
    assert len(storage.ears.commits) == commits + 1
    for name in ("a", "held", "delayed"):
        job = done(store.get(name))
        assert (job.status, job.cause, job.finished_at_s) == (JobStatus.EXPIRED, Cause.EXPIRED, storage.clock.now_s)
        assert job.error is not None
    ended = [event.job.id for event in storage.ears.events if event.type == "job.expired"]
    assert ended == ["held", "delayed", "a"]


def test_a_tick_ends_what_waited_too_long_and_writes_only_then(store, storage):
    enqueue(store, "a", expires_at_s=storage.clock.now_s + 10)
    claimed = enqueue(store, "runs", 9, expires_at_s=storage.clock.now_s + 1)
    assert claim(store).job.id == claimed.id
    storage.clock.now_s += 9
    commits = len(storage.ears.commits)
    assert done(store.tick()).expired == ()
    assert len(storage.ears.commits) == commits
    storage.clock.now_s += 1
    (job,) = done(store.tick()).expired
    assert (job.id, job) == ("a", done(store.get("a")))
    assert done(store.finish("runs", 1, ending())).status is JobStatus.SUCCEEDED


def test_what_expired_is_not_held_against_anybody(store, storage):
    for n in range(10):
        enqueue(store, f"a{n}", expires_at_s=storage.clock.now_s + 1)
    for n in range(3):
        enqueue(store, f"b{n}", principal="bob")
    storage.clock.now_s += 1
    done(store.tick())
    for n in range(2):
        enqueue(store, f"again{n}")
    assert claim_all(store) == ["b0", "again0", "b1", "again1", "b2"]


def test_while_paused_nothing_is_given_out_and_all_else_goes_on(storage):
    store = storage.start()
    enqueue(store, "a", expires_at_s=storage.clock.now_s + 5)
    assert not done(store.summary()).paused
    done(store.pause(True))
    enqueue(store, "b")
    assert done(store.claim()) is None
    store = storage.start()
    assert (done(store.summary()).paused, done(store.claim())) == (True, None)
    storage.clock.now_s += 5
    done(store.claim())
    assert done(store.get("a")).status is JobStatus.EXPIRED
    done(store.pause(True))
    done(store.pause(False))
    assert claim(store).job.id == "b"
    assert not done(storage.start().summary()).paused


def test_the_summary_counts_what_is_kept_back(store, storage):
    for name in "abcd":
        enqueue(store, name)
    enqueue(store, "late", not_before_s=storage.clock.now_s + 5)
    enqueue(store, "both", not_before_s=storage.clock.now_s + 5)
    for name in ("a", "both"):
        done(store.hold(name, held=True))
    summary = done(store.summary())
    assert (summary.held, summary.delayed, summary.rows[0].jobs) == (2, 1, 6)
    storage.clock.now_s += 5
    done(store.tick())
    assert done(store.summary()).delayed == 0


def test_a_job_that_is_kept_back_is_not_the_oldest_that_waits(store, storage):
    enqueue(store, "late", not_before_s=storage.clock.now_s + 50)
    enqueue(store, "held")
    done(store.hold("held", held=True))
    assert done(store.summary()).oldest_queued_at_s is None
    storage.clock.now_s += 5
    assert enqueue(store, "a").queued_at_s == done(store.summary()).oldest_queued_at_s


def test_places_and_who_stands_ahead(store):
    enqueue(store, "run", 10)
    enqueue(store, "stop", 10, "bob")
    assert {claim(store).job.id for _ in range(2)} == {"run", "stop"}
    done(store.cancel("stop"))
    for name, priority, principal in (("a", 3, "ada"), ("b", 3, "bob"), ("c", 9, "ada"), ("h", 10, "ada")):
        enqueue(store, name, priority, principal)
    done(store.hold("h", held=True))
    each_s = DEFAULT_ESTIMATE_S
    assert done(store.ahead("b")) == Ahead({9: 1, 3: 1}, own=0, running=2, work_s=4 * each_s)
    assert done(store.ahead("a")) == Ahead({9: 1}, own=1, running=2, work_s=3 * each_s)
    assert done(store.ahead("c")) == Ahead({}, own=0, running=2, work_s=2 * each_s)
    for name in ("h", "run", "x"):
        assert done(store.ahead(name)) is None
    places = done(store.places(["b", "x", "h", "c", "run"]))
    assert places == {"b": Place(3, 4 * each_s), "c": Place(1, 2 * each_s)}
    assert places["b"] == done(store.place("b"))


def test_models_in_memory_go_first_within_the_slack(storage):
    storage.affinity = AffinityPolicy(slack_s=12.0)
    store = storage.start()
    for n, model in enumerate("abababab"):
        enqueue(store, f"{model}{n}", principal=f"p{n}", models=(model,))
    taken = [claim(store, resident=frozenset("b")).job.id for _ in range(6)]
    assert taken == ["b1", "b3", "a0", "b5", "a2", "b7"]


def test_no_models_in_memory_or_no_slack_keep_the_order(storage):
    store = storage.start()
    for n, model in enumerate("abab"):
        enqueue(store, f"{model}{n}", principal=f"p{n}", models=(model,))
    assert claim(store, resident=frozenset("b")).job.id == "a0"
    storage.affinity = AffinityPolicy()
    store = storage.start()
    assert [claim(store).job.id for _ in range(3)] == ["b1", "a2", "b3"]
