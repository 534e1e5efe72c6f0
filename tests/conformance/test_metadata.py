"""Metadata that a job is given while it runs, in every store: kept, found by, fenced, bounded."""

from __future__ import annotations

import pytest

from expeditor.jobs.errors import Conflict, InputInvalid, NotFound
from expeditor.jobs.metadata import MAX_METADATA_LENGTH, MAX_METADATA_PAIRS
from expeditor.jobs.model import Cause, JobStatus
from expeditor.store.records import JobQuery
from tests.conformance.harness import claim, done, ending, enqueue


def found(store, *labels):
    return {job.id for job in done(store.page(JobQuery(labels=labels))).jobs}


def test_pairs_are_added_and_replaced_while_the_job_runs_and_stay_when_it_has_ended(store, storage):
    enqueue(store, "a", metadata={"user": "ann", "stage": "none"})
    enqueue(store, "b", metadata={"stage": "none"})
    attempt = claim(store).attempt
    job = done(store.set_metadata("a", attempt, {"stage": "upscaled", "note": "é 雪 \U0001f3a8"}))

    expected = {"user": "ann", "stage": "upscaled", "note": "é 雪 \U0001f3a8"}
    assert job.metadata == done(store.get("a")).metadata == expected
    assert storage.ears.told("a") == ["job.queued", "job.started"], "no move, so no event"
    assert found(store, ("stage", "upscaled")) == {"a"}
    assert found(store, ("stage", "none")) == {"b"}
    assert done(store.finish("a", attempt, ending())).metadata == expected
    assert found(store, ("stage", "upscaled"), ("user", "ann")) == {"a"}
    assert found(store, ("stage", "none")) == {"b"}


def test_it_is_there_after_a_restart_and_in_the_next_attempt(store, storage):
    enqueue(store, "a")
    attempt = claim(store).attempt
    done(store.set_metadata("a", attempt, {"stage": "first"}))

    store = storage.start()
    done(store.recover())
    assert done(store.get("a")).metadata == {"stage": "first"}
    assert found(store, ("stage", "first")) == {"a"}
    attempt = claim(store).attempt
    done(store.set_metadata("a", attempt, {"stage": "second"}))
    done(store.finish("a", attempt, ending(JobStatus.FAILED, cause=Cause.NODE_ERROR)))
    assert found(store, ("stage", "second")) == {"a"}
    assert found(store, ("stage", "first")) == set()
    assert done(store.redrive("a")).metadata == {"stage": "second"}
    assert found(store, ("stage", "second")) == {"a"}


def test_a_pruned_job_is_found_no_more_by_what_it_set(store):
    enqueue(store, "a", metadata={"old": "1"})
    attempt = claim(store).attempt
    done(store.set_metadata("a", attempt, {"stage": "x", "old": "2"}))
    done(store.finish("a", attempt, ending()))
    done(store.prune(["a"]))
    assert found(store, ("stage", "x")) == found(store, ("old", "2")) == found(store, ("old", "1")) == set()


def test_only_the_attempt_that_runs_may_set_it(store):
    enqueue(store, "a")
    with pytest.raises(Conflict):
        done(store.set_metadata("a", 1, {"k": "v"}))
    first = claim(store).attempt
    done(store.retry("a", first, ending(JobStatus.FAILED, cause=Cause.UPSTREAM_UNAVAILABLE), None))
    second = claim(store).attempt
    for attempt in (first, second + 1):
        with pytest.raises(Conflict):
            done(store.set_metadata("a", attempt, {"k": "v"}))
    done(store.finish("a", second, ending()))
    with pytest.raises(Conflict):
        done(store.set_metadata("a", second, {"k": "v"}))
    with pytest.raises(NotFound):
        done(store.set_metadata("nobody", 1, {"k": "v"}))
    assert done(store.get("a")).metadata == {}


def test_a_job_that_is_being_cancelled_may_still_say_what_it_did(store):
    enqueue(store, "a")
    attempt = claim(store).attempt
    done(store.cancel("a"))
    done(store.set_metadata("a", attempt, {"k": "v"}))
    assert done(store.finish("a", attempt, ending(JobStatus.CANCELED))).metadata == {"k": "v"}


def test_bounds_are_kept_and_a_refusal_changes_nothing(store):
    full = {f"k{i}": "v" for i in range(MAX_METADATA_PAIRS)}
    enqueue(store, "a", metadata=full)
    attempt = claim(store).attempt
    long = "x" * (MAX_METADATA_LENGTH + 1)
    for pairs in ({"one more": "v"}, {"k0": "new", "one more": "v"}, {"k0": long}, {long: "v"}, {"": "v"}):
        with pytest.raises(InputInvalid):
            done(store.set_metadata("a", attempt, pairs))
    assert done(store.get("a")).metadata == full
    edge = {"k0": "x" * MAX_METADATA_LENGTH}
    assert done(store.set_metadata("a", attempt, edge)).metadata == {**full, **edge}
