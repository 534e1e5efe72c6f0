"""A job's life in every store: enqueue, claim, finish, cancel, fail, and what is refused on the way."""

from __future__ import annotations

import pytest

from expeditor.jobs.errors import Conflict, InputInvalid, NotFound
from expeditor.jobs.model import Cause, JobError, JobStatus, Source
from expeditor.store.base import RecoveryMode, RecoveryRule
from tests.conformance.harness import IMAGE, claim, done, ending, enqueue, new_job


def test_a_job_is_read_as_it_was_given(store, storage):
    given = new_job(
        "a",
        7,
        "bob",
        client_id="tab",
        metadata={"labels": {"x": [1, None, "é", "\ud800"]}},
        signature="s",
        node_count=4,
        prompt_length=99,
        needs_secret=True,
        number=12.5,
        source=Source.PROMPT,
    )
    job = done(store.enqueue(given))
    assert job == done(store.get("a"))
    assert (job.id, job.principal, job.priority, job.source) == ("a", given.principal, 7, Source.PROMPT)
    assert (job.created_at_s, job.queued_at_s) == (given.created_at_s, storage.clock.now_s)
    assert (job.client_id, job.metadata, job.signature) == ("tab", given.metadata, "s")
    assert (job.node_count, job.prompt_length, job.needs_secret, job.number) == (4, 99, True, 12.5)
    assert (job.status, job.attempts, job.outputs, job.held) == (JobStatus.QUEUED, (), (), False)
    assert done(store.payload("a")) == given.payload


def test_unknown_jobs_are_none_or_not_found(store):
    assert done(store.get("x")) is None
    assert done(store.payload("x")) is None
    assert done(store.place("x")) is None
    for verb in (store.finish("x", 1, ending()), store.cancel("x"), store.fail_queued("x", ending(JobStatus.FAILED))):
        with pytest.raises(NotFound):
            done(verb)


def test_a_known_id_is_a_conflict_and_changes_nothing(store, storage):
    first = enqueue(store, "a", 3)
    with pytest.raises(Conflict):
        enqueue(store, "a", 9)
    assert done(store.get("a")) == first
    assert storage.ears.told("a") == ["job.queued"]


@pytest.mark.parametrize("broken", [{"client_id": "\ud800"}, {"principal": "x\udfff"}, {"signature": "\udc00"}])
def test_text_that_no_utf8_holds_is_refused(store, broken):
    with pytest.raises(InputInvalid):
        enqueue(store, "a", **broken)
    assert done(store.get("a")) is None


def test_a_claim_opens_an_attempt_and_carries_the_payload(store, storage):
    enqueue(store, "a")
    storage.clock.now_s += 5
    claimed = claim(store)
    assert (claimed.job.id, claimed.attempt, claimed.job.status) == ("a", 1, JobStatus.RUNNING)
    assert claimed.payload == new_job("a").payload
    (attempt,) = claimed.job.attempts
    assert (attempt.number, attempt.boot_id, attempt.outcome) == (1, "boot-1", None)
    assert attempt.started_at_s == claimed.job.started_at_s == storage.clock.now_s
    assert done(store.get("a")) == claimed.job
    assert done(store.claim()) is None


def test_finish_keeps_outputs_and_tells_them_before_the_end(store, storage):
    enqueue(store, "a")
    claimed = claim(store)
    job = done(store.finish("a", claimed.attempt, ending(outputs=(IMAGE, IMAGE), last_node_id="9")))
    assert (job.status, job.outputs, job.finished_at_s) == (JobStatus.SUCCEEDED, (IMAGE, IMAGE), 1_700_000_100.0)
    assert (job.attempts[0].outcome, job.attempts[0].last_node_id) == (JobStatus.SUCCEEDED, "9")
    assert done(store.get("a")) == job
    assert storage.ears.told("a") == ["job.queued", "job.started", "job.output", "job.output", "job.succeeded"]


def test_a_failure_keeps_its_error(store):
    enqueue(store, "a")
    error = JobError("NODE_ERROR", "no é \ud800", "9", "KSampler", "ValueError", "line\nline")
    job = done(store.finish("a", claim(store).attempt, ending(JobStatus.FAILED, cause=Cause.NODE_ERROR, error=error)))
    assert (job.status, job.cause, job.error) == (JobStatus.FAILED, Cause.NODE_ERROR, error)
    assert done(store.get("a")) == job


def test_a_node_id_that_no_utf8_holds_does_not_keep_a_job_from_ending(store):
    enqueue(store, "a")
    done(store.finish("a", claim(store).attempt, ending(last_node_id="\ud800")))
    assert done(store.get("a")).status is JobStatus.SUCCEEDED


def test_a_late_result_is_refused(store, storage):
    enqueue(store, "a")
    with pytest.raises(Conflict):
        done(store.finish("a", 1, ending()))  # never claimed
    claimed = claim(store)
    with pytest.raises(Conflict):
        done(store.finish("a", claimed.attempt + 1, ending()))
    first = done(store.finish("a", claimed.attempt, ending()))
    with pytest.raises(Conflict):
        done(store.finish("a", claimed.attempt, ending(JobStatus.FAILED)))
    assert done(store.get("a")) == first
    assert storage.ears.told("a") == ["job.queued", "job.started", "job.succeeded"]


def test_a_queued_job_is_canceled_at_once_and_never_claimed(store, storage):
    enqueue(store, "a")
    job = done(store.cancel("a"))
    assert (job.status, job.cause, job.finished_at_s) == (JobStatus.CANCELED, Cause.CANCELED, storage.clock.now_s)
    assert done(store.claim()) is None
    assert done(store.cancel("a")) == job
    assert storage.ears.told("a") == ["job.queued", "job.canceling", "job.canceled"]


def test_a_running_job_is_canceled_when_its_run_settles(store, storage):
    enqueue(store, "a")
    claimed = claim(store)
    assert done(store.cancel("a")).status is JobStatus.CANCELING
    assert done(store.cancel("a")).status is JobStatus.CANCELING
    job = done(store.finish("a", claimed.attempt, ending(outputs=(IMAGE,))))
    assert (job.status, job.cause, job.outputs) == (JobStatus.CANCELED, Cause.CANCELED, (IMAGE,))
    assert storage.ears.told("a") == ["job.queued", "job.started", "job.canceling", "job.output", "job.canceled"]


def test_a_queued_job_can_fail_without_an_attempt(store, storage):
    enqueue(store, "a")
    error = JobError("SECRET_LOST", "gone")
    job = done(store.fail_queued("a", ending(JobStatus.FAILED, cause=Cause.SECRET_LOST, error=error)))
    assert (job.status, job.cause, job.error, job.attempts) == (JobStatus.FAILED, Cause.SECRET_LOST, error, ())
    assert done(store.get("a")) == job
    assert storage.ears.told("a") == ["job.queued", "job.failed"]
    with pytest.raises(Conflict):
        done(store.fail_queued("a", ending(JobStatus.FAILED)))


def test_only_a_queued_job_fails_without_an_attempt(store):
    enqueue(store, "a")
    running = claim(store).job
    with pytest.raises(Conflict):
        done(store.fail_queued("a", ending(JobStatus.FAILED)))
    assert done(store.get("a")) == running


def _ends_with_history(store, job_id):
    enqueue(store, job_id)
    claimed = claim(store)
    done(store.finish(job_id, claimed.attempt, ending(history_json=f'{{"of": "{job_id}"}}')))


def _histories(store):
    return {one.job.id: one.history_json for one in done(store.finished(10))}


@pytest.mark.parametrize("unwanted", [("a", "unknown"), None], ids=["one", "all"])
def test_history_is_forgotten_and_the_job_is_not(store, unwanted):
    for job_id in "ab":
        _ends_with_history(store, job_id)
    assert _histories(store) == {"a": '{"of": "a"}', "b": '{"of": "b"}'}
    done(store.forget_history(unwanted))
    assert _histories(store) == ({} if unwanted is None else {"b": '{"of": "b"}'})
    assert done(store.get("a")).status is JobStatus.SUCCEEDED
    _ends_with_history(store, "c")
    assert _histories(store)["c"] == '{"of": "c"}'


def test_history_is_forgotten_in_the_order_asked(store, storage):
    for job_id in "ab":
        enqueue(store, job_id)
    attempts = {(claimed := claim(store)).job.id: claimed.attempt for _ in "ab"}
    store.finish("a", attempts["a"], ending(history_json="{}"))
    store.forget_history(None)
    done(store.finish("b", attempts["b"], ending(history_json="{}")))
    assert _histories(store) == {"b": "{}"}


def test_every_end_is_in_the_history_also_without_a_run(storage):
    store = storage.start()
    for name in ("runs", "poison", "canceled", "failed", "expired", "waits"):
        enqueue(
            store, name, 9 if name == "runs" else 8, expires_at_s=storage.clock.now_s + 5 if name == "expired" else None
        )
    attempt = claim(store).attempt
    done(store.cancel("canceled"))
    done(store.fail_queued("failed", ending(JobStatus.FAILED, cause=Cause.SECRET_LOST)))
    storage.clock.now_s += 5
    done(store.tick())
    done(store.finish("runs", attempt, ending()))
    assert claim(store).job.id == "poison"
    store = storage.start()
    done(store.recover(RecoveryRule(RecoveryMode.RESUME_EXCEPT_RUNNING)))
    shown = dict.fromkeys(("runs", "poison", "canceled", "failed", "expired"), "")
    assert _histories(store) == shown
    assert _histories(storage.start()) == shown
