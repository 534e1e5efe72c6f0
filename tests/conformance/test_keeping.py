"""What every store keeps of jobs that ended, and for how long: histories, request keys, pruned ids, learned run times."""

from __future__ import annotations

import pytest

from expeditor.jobs.errors import Conflict, InputInvalid
from expeditor.jobs.model import Cause, JobStatus, RequestKey
from expeditor.store.base import KEY_LIFE_S, KeptFor, KeyedJob
from expeditor.store.records import EstimateBasis, JobQuery
from tests.conformance.harness import claim, done, ending, enqueue, new_job

KEY = RequestKey("k", "digest")


def run(
    store, job_id: str, status: JobStatus = JobStatus.SUCCEEDED, at_s: float = 0.0, origin: str | None = None, **fields
):
    """A job that came, ran and ended at `at_s`."""
    enqueue(store, job_id, origin=origin)
    return done(store.finish(job_id, claim(store).attempt, ending(status, finished_at_s=at_s, **fields)))


def ids(jobs) -> list[str]:
    return [job.id for job in jobs]


def test_a_request_key_stands_for_its_job(storage):
    store = storage.start()
    enqueue(store, "a", request_key=KEY)
    storage.start()
    store = storage.store
    assert done(store.keyed("ada", "k")) == KeyedJob("a", "digest")
    assert done(store.keyed("bob", "k")) is None
    assert done(store.keyed("ada", "K")) is None
    assert enqueue(store, "b", principal="bob", request_key=KEY).id == "b"


def test_a_key_that_is_taken_is_a_conflict_and_names_the_job(store, storage):
    enqueue(store, "a", request_key=KEY)
    with pytest.raises(Conflict) as refusal:
        enqueue(store, "b", request_key=RequestKey("k", "other"))
    assert refusal.value.details["job_id"] == "a"
    assert done(store.get("b")) is None
    assert done(store.keyed("ada", "k")) == KeyedJob("a", "digest")
    assert storage.ears.told("b") == []


def test_equal_requests_at_once_make_one_job(store):
    futures = [store.enqueue(new_job(f"j{n}", request_key=KEY)) for n in range(50)]
    refused = [future.exception(30) for future in futures]
    assert [type(fault) for fault in refused].count(Conflict) == 49
    assert len(done(store.page(JobQuery(limit=100))).jobs) == 1


def test_a_key_is_not_kept_of_a_job_that_was_refused(store):
    enqueue(store, "a")
    with pytest.raises(Conflict):
        enqueue(store, "a", request_key=KEY)
    assert done(store.keyed("ada", "k")) is None
    assert enqueue(store, "b", request_key=KEY).id == "b"


def test_a_key_has_its_life_and_is_taken_anew_after_it(storage):
    store = storage.start()
    enqueue(store, "a", request_key=KEY)
    storage.clock.now_s += KEY_LIFE_S
    assert done(store.keyed("ada", "k")) is not None
    storage.clock.now_s += 1
    assert done(store.keyed("ada", "k")) is None
    enqueue(store, "b", request_key=KEY)
    assert done(storage.start().keyed("ada", "k")) == KeyedJob("b", "digest")


@pytest.mark.parametrize("broken", [RequestKey("\ud800", "x"), RequestKey("x", "\udfff")])
def test_a_key_that_no_utf8_holds_is_refused(store, broken):
    enqueue(store, "a", request_key=KEY)
    with pytest.raises(InputInvalid):
        enqueue(store, "b", request_key=broken)


def test_old_keys_and_old_ids_are_forgotten(storage):
    store = storage.start()
    run(store, "old")
    done(store.prune(["old"]))
    enqueue(store, "a", request_key=KEY)
    storage.clock.now_s += 10
    middle_s = storage.clock.now_s
    storage.clock.now_s += 10
    enqueue(store, "b", request_key=RequestKey("k2", "digest"))
    done(store.cancel("b"))
    enqueue(store, "c")
    done(store.cancel("c"))
    done(store.prune(["c"]))
    done(store.forget(middle_s, middle_s))
    store = storage.start()
    assert (done(store.keyed("ada", "k")), done(store.keyed("ada", "k2"))) == (None, KeyedJob("b", "digest"))
    assert (done(store.was_pruned("old")), done(store.was_pruned("c"))) == (False, True)
    assert enqueue(store, "old").id == "old"


def test_a_pruned_job_is_gone_but_for_its_id(storage):
    store = storage.start()
    run(store, "a", history_json='{"x": 1}')
    enqueue(store, "b", request_key=KEY)
    done(store.cancel("b"))
    enqueue(store, "waits")
    enqueue(store, "runs", 9)
    claim(store)
    assert done(store.prune(["a", "b", "b", "waits", "runs", "x"])) == 2
    for restarted in (False, True):
        now = storage.start() if restarted else store
        for name in ("a", "b"):
            assert (done(now.get(name)), done(now.payload(name)), done(now.was_pruned(name))) == (None, None, True)
        assert done(now.finished(9)) == ()
        assert done(now.keyed("ada", "k")) == KeyedJob("b", "digest"), "a repeated request would run twice"
        with pytest.raises(Conflict):
            enqueue(now, "again", request_key=KEY)
        assert ids(done(now.page(JobQuery())).jobs) == ["runs", "waits"]
        assert not any(done(now.was_pruned(name)) for name in ("waits", "runs", "x"))
        with pytest.raises(Conflict):
            enqueue(now, "a")
    assert enqueue(now, "new").seq == 5
    assert done(now.prune(["a"])) == 0


def test_pages_go_on_over_what_was_pruned(store):
    for n in range(6):
        run(store, f"j{n}")
    first = done(store.page(JobQuery(limit=2)))
    assert done(store.prune(["j4", "j3", "j1"])) == 3
    assert ids(done(store.page(JobQuery(limit=9, cursor=first.next_cursor))).jobs) == ["j2", "j0"]


def test_what_is_beyond_its_age_or_its_count_can_be_pruned(store, storage):
    now_s = storage.clock.now_s
    for n, age_s in enumerate((50.0, 40.0, 40.0, 10.0, 0.0)):
        run(store, f"s{n}", at_s=now_s - age_s)
    for n, age_s in enumerate((60.0, 5.0)):
        run(store, f"f{n}", JobStatus.FAILED, now_s - age_s, cause=Cause.NODE_ERROR)
    enqueue(store, "waits")

    def found(limit: int = 99, **kept: KeptFor) -> list[str]:
        return ids(done(store.prunable({JobStatus(name): bound for name, bound in kept.items()}, limit)))

    assert found() == found(succeeded=KeptFor()) == found(queued=KeptFor(0.0, 0)) == []
    assert found(succeeded=KeptFor(age_s=40.0)) == ["s0"]
    assert found(succeeded=KeptFor(age_s=39.0)) == ["s0", "s1", "s2"]
    assert found(succeeded=KeptFor(count=2)) == ["s0", "s1", "s2"]
    assert found(succeeded=KeptFor(count=3)) == ["s0", "s1"]
    assert found(succeeded=KeptFor(count=5)) == []
    assert found(succeeded=KeptFor(age_s=45.0, count=3)) == ["s0", "s1"]
    assert found(succeeded=KeptFor(count=0), failed=KeptFor(age_s=6.0)) == ["f0", "s0", "s1", "s2", "s3", "s4"]
    assert found(2, succeeded=KeptFor(count=0), failed=KeptFor(count=0)) == ["f0", "s0"]
    assert found(0, succeeded=KeptFor(count=0)) == []


def test_jobs_of_instances_that_keep_their_own_are_not_pruned_by_another(store, storage):
    now_s = storage.clock.now_s
    for n, origin in enumerate(("a", "b", None, "b", "a", "c")):
        run(store, f"j{n}", at_s=now_s - 60 + n, origin=origin)

    def found(bound: KeptFor, limit: int = 99, spared: tuple[str, ...] = ()) -> list[str]:
        return ids(done(store.prunable({JobStatus.SUCCEEDED: bound}, limit, frozenset(spared))))

    for bound in (KeptFor(age_s=1.0), KeptFor(count=0)):
        assert found(bound) == ["j0", "j1", "j2", "j3", "j4", "j5"]
        assert found(bound, spared=("a", "x")) == ["j1", "j2", "j3", "j5"]
        assert found(bound, 2, spared=("a", "b")) == ["j2", "j5"], "what is spared takes no place"
        assert found(bound, 0, spared=("a",)) == []
    assert found(KeptFor(count=3), spared=("a",)) == ["j1", "j2"], "it counts among what is kept"


def test_a_spared_crowd_hides_nothing(store, storage):
    for n in range(450):
        enqueue(store, f"j{n}", origin="a")
        done(store.cancel(f"j{n}"))
    enqueue(store, "mine", origin="b")
    done(store.cancel("mine"))
    for bound in (KeptFor(age_s=-1.0), KeptFor(count=0)):
        kept = {JobStatus.CANCELED: bound}
        assert ids(done(store.prunable(kept, 1, frozenset("a")))) == ["mine"]
        assert ids(done(store.prunable(kept, 1, frozenset("b")))) == ["j0"]
    assert ids(each.job for each in done(store.finished(3, "a"))) == ["j447", "j448", "j449"]


def test_the_histories_of_one_instance_are_its_own(storage):
    store = storage.start()
    for n, origin in enumerate(("a", "b", None, "b", "a", "b")):
        run(store, f"j{n}", at_s=10.0 + n, history_json=f'{{"n": {n}}}', origin=origin)
    for _ in range(2):
        assert ids(each.job for each in done(store.finished(9, "a"))) == ["j0", "j2", "j4"]
        assert ids(each.job for each in done(store.finished(2, "a"))) == ["j2", "j4"]
        assert ids(each.job for each in done(store.finished(9, "c"))) == ["j2"]
        assert len(done(store.finished(9))) == 6
        assert done(store.finished(0, "a")) == ()
        store = storage.start()


def test_histories_of_what_ended_last_are_listed_oldest_first(storage):
    store = storage.start()
    for n, at_s in enumerate((30.0, 10.0, 20.0, 20.0)):
        status = JobStatus.FAILED if n == 2 else JobStatus.SUCCEEDED
        run(store, f"j{n}", status, at_s, history_json=None if n == 1 else f'{{"n": {n}, "text": "é"}}')
    enqueue(store, "never ran")
    done(store.cancel("never ran"))
    enqueue(store, "runs")
    claim(store)
    store = storage.start()
    found = done(store.finished(99))
    assert [each.job.id for each in found] == ["j1", "j2", "j3", "j0", "never ran"]
    assert [each.history_json for each in found] == ["", *(f'{{"n": {n}, "text": "é"}}' for n in (2, 3, 0)), ""]
    assert [each.payload for each in found] == [new_job(each.job.id).payload for each in found]
    assert [each.job for each in found] == [done(store.get(each.job.id)) for each in found]
    assert [each.job.id for each in done(store.finished(2))] == ["j0", "never ran"]
    done(store.forget_history(["never ran", "j3"]))
    assert [each.job.id for each in done(store.finished(2))] == ["j2", "j0"], "what was forgotten takes no place"
    store = storage.start()
    assert [each.job.id for each in done(store.finished(2))] == ["j2", "j0"]
    assert done(store.finished(0)) == ()


def test_the_history_of_one_job_that_ended(storage):
    store = storage.start()
    run(store, "kept", history_json='{"text": "é"}')
    run(store, "too large", history_json=None)
    for job_id in ("waits", "never ran"):
        enqueue(store, job_id)
    done(store.cancel("never ran"))
    for _ in range(2):
        found = done(store.history("kept"))
        assert (found.job, found.payload) == (done(store.get("kept")), new_job("kept").payload)
        assert found.history_json == '{"text": "é"}'
        assert [done(store.history(each)).history_json for each in ("too large", "never ran")] == ["", ""]
        assert [done(store.history(each)) for each in ("waits", "unknown")] == [None, None]
        store = storage.start()
    done(store.forget_history(["kept"]))
    assert done(store.history("kept")) is None


def test_a_history_with_half_a_surrogate_pair_keeps_no_job_from_ending(store):
    assert run(store, "a", history_json='{"text": "\ud800"}').status is JobStatus.SUCCEEDED
    assert len(done(store.finished(1))) == 1


def test_jobs_are_found_by_cause_and_by_hold(store):
    causes = [Cause.NODE_ERROR, Cause.POISON, Cause.NODE_ERROR, Cause.STALLED]
    for n, cause in enumerate(causes):
        run(store, f"f{n}", JobStatus.FAILED, cause=cause)
    run(store, "ok")
    for name, principal in (("h1", "ada"), ("h2", "bob"), ("w", "ada")):
        enqueue(store, name, principal=principal)
        done(store.hold(name, held=name != "w"))

    def found(**filters) -> list[str]:
        pages, cursor = [], None
        while not pages or cursor:
            page = done(store.page(JobQuery(limit=2, cursor=cursor, **filters)))
            pages, cursor = [*pages, *ids(page.jobs)], page.next_cursor
        return pages

    assert found(causes=(Cause.NODE_ERROR,)) == ["f2", "f0"]
    assert found(causes=(Cause.NODE_ERROR, Cause.POISON, Cause.POISON)) == ["f2", "f1", "f0"]
    assert found(causes=tuple(Cause), statuses=(JobStatus.FAILED,)) == ["f3", "f2", "f1", "f0"]
    assert done(store.page(JobQuery(causes=(Cause.POISON,), statuses=(JobStatus.QUEUED,)))).jobs == ()
    assert done(store.page(JobQuery(causes=(Cause.POISON,), principal="bob"))).jobs == ()
    assert found(held=True) == ["h2", "h1"]
    assert found(held=True, principal="ada") == ["h1"]
    assert found(held=True, statuses=(JobStatus.QUEUED, JobStatus.FAILED)) == ["h2", "h1"]
    assert found(held=False, statuses=(JobStatus.QUEUED,)) == ["w"]
    assert found(held=False, principal="ada") == ["w", "ok", "f3", "f2", "f1", "f0"]


def test_an_estimate_says_what_it_rests_on(store):
    assert done(store.basis("s")) is EstimateBasis.DEFAULT
    enqueue(store, "a", signature="s")
    done(store.finish("a", claim(store).attempt, ending(run_s=7.0)))
    assert done(store.basis("s")) is EstimateBasis.SAME_WORKFLOW
    assert done(store.basis("t")) is EstimateBasis.ALL_WORKFLOWS
