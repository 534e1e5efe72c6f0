"""What a node hears when its own job cannot be asked: errors that the retry table knows, and nothing where the queue is another's."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from expeditor.dispatch.own_job import OwnJob
from expeditor.jobs.causes import CauseTable
from expeditor.jobs.errors import Conflict, InputInvalid, NotFound, StoreUnavailable
from expeditor.jobs.model import Cause


class FakeStore:
    """Answers every verb with one outcome; None: never."""

    def __init__(self, outcome: Exception | str | None) -> None:
        self.outcome = outcome
        self.asked: list[tuple[object, ...]] = []

    def _answer(self, *asked: object) -> Future[object]:
        self.asked.append(asked)
        future: Future[object] = Future()
        if isinstance(self.outcome, Exception):
            future.set_exception(self.outcome)
        elif self.outcome is not None:
            future.set_result(self.outcome)
        return future

    def get(self, job_id: str) -> Future[object]:
        return self._answer("get", job_id)

    def set_metadata(self, job_id: str, attempt: int, pairs: dict[str, str]) -> Future[object]:
        return self._answer("set", job_id, attempt, pairs)


def own_job(outcome: Exception | str | None, running: dict[str, int] | None = None) -> tuple[OwnJob, FakeStore]:
    store = FakeStore(outcome)
    return OwnJob(store, (running if running is not None else {"a": 2}).get, 0.01), store


def test_the_attempt_that_runs_is_named_to_the_store() -> None:
    desk, store = own_job("fine")
    assert desk.set_metadata("a", "k", "v")
    assert desk.job("a") == "fine"
    assert desk.attempt("a") == 2
    assert store.asked == [("set", "a", 2, {"k": "v"}), ("get", "a")]


def test_a_job_of_another_queue_is_left_alone() -> None:
    desk, store = own_job("fine", running={})
    assert (desk.attempt("a"), desk.job("a"), desk.set_metadata("a", "k", "v")) == (None, None, False)
    assert store.asked == []


@pytest.mark.parametrize("outcome", [StoreUnavailable("away"), Conflict("over"), NotFound("gone"), None])
def test_what_passes_is_tried_again_later(outcome: Exception | None) -> None:
    desk, _ = own_job(outcome)
    for ask in (lambda: desk.set_metadata("a", "k", "v"), lambda: desk.job("a")):
        with pytest.raises(ConnectionError) as fault:
            ask()
        assert CauseTable().cause_of("ConnectionError", str(fault.value)) is Cause.UPSTREAM_UNAVAILABLE


def test_what_metadata_may_not_be_is_the_workflow_s_fault() -> None:
    desk, _ = own_job(InputInvalid("A key of metadata has 1 to 256 characters."))
    with pytest.raises(ValueError, match="1 to 256"):
        desk.set_metadata("a", "", "v")
