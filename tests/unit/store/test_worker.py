"""The thread that runs a store's verbs: in the order asked, in batches, and all that was asked before it ends."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from expeditor.jobs.errors import Internal, NotFound, StoreUnavailable
from expeditor.store.done import Done
from expeditor.store.worker import BATCH_MAX, BatchWorker, Call, Outcome, outcome_of

DEADLINE_S = 20.0


class Engine:
    """What a worker runs; the first batch waits for ``go`` (at most ``DEADLINE_S``)."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun = threading.Event()
        self.sizes: list[int] = []

    def run(self, batch: Sequence[Call]) -> Sequence[Outcome]:
        """One outcome for each."""
        self.begun.set()
        self.go.wait(DEADLINE_S)
        self.sizes.append(len(batch))
        return [outcome_of(call.run) for call in batch]


@pytest.fixture
def engine() -> Engine:
    """Not let go yet."""
    return Engine()


def test_what_is_asked_while_it_works_is_one_batch_in_the_order_asked(engine: Engine) -> None:
    worker, done = BatchWorker("worker", engine.run), list[int]()
    worker.start()

    def verb(number: int) -> Done[int]:
        done.append(number)
        return Done(number)

    count = BATCH_MAX + 10
    futures = [worker.submit(lambda: verb(0))]
    assert engine.begun.wait(DEADLINE_S)
    futures += [worker.submit(lambda number=number: verb(number)) for number in range(1, count)]
    assert worker.pending == count
    engine.go.set()
    assert [future.result(DEADLINE_S) for future in futures] == list(range(count)) == done
    assert engine.sizes == [1, BATCH_MAX, 9]
    worker.stop()
    assert worker.pending == 0


@pytest.mark.parametrize("asked", [0, 1, BATCH_MAX, BATCH_MAX + 1])
def test_all_that_was_asked_is_done_before_it_ends_and_nothing_after(engine: Engine, asked: int) -> None:
    worker = BatchWorker("worker", engine.run)
    worker.start()
    first = worker.submit(lambda: Done(-1))
    assert engine.begun.wait(DEADLINE_S)
    futures = [worker.submit(lambda number=number: Done(number)) for number in range(asked)]
    ending = threading.Thread(target=worker.stop)
    ending.start()
    engine.go.set()
    ending.join(DEADLINE_S)
    assert not ending.is_alive()
    assert not worker.running
    assert [future.result(0) for future in (first, *futures)] == list(range(-1, asked))
    with pytest.raises(StoreUnavailable, match="not open"):
        worker.submit(lambda: Done(None)).result(0)


def test_it_may_end_twice_and_begin_again(engine: Engine) -> None:
    worker = BatchWorker("worker", engine.run)
    engine.go.set()
    for number in range(3):
        worker.start()
        assert worker.submit(lambda number=number: Done(number)).result(DEADLINE_S) == number
        worker.stop()
        worker.stop()


def test_a_refusal_and_a_fault_are_the_outcomes_of_their_verbs_alone(engine: Engine) -> None:
    worker = BatchWorker("worker", engine.run)
    worker.start()
    engine.go.set()

    def refused() -> Done[None]:
        raise NotFound("none")

    def failed() -> Done[None]:
        raise ZeroDivisionError

    outcomes = [worker.submit(verb) for verb in (refused, failed, lambda: Done(None))]
    assert isinstance(outcomes[0].exception(DEADLINE_S), NotFound)
    assert isinstance(outcomes[1].exception(DEADLINE_S), Internal)
    assert outcomes[2].result(DEADLINE_S) is None
    worker.stop()


def test_who_waits_for_a_ticket_waits_for_what_it_stands_for_alone(engine: Engine) -> None:
    worker = BatchWorker("worker", engine.run)
    worker.start()
    engine.go.set()
    worker.submit(lambda: Done(None), "a").result(DEADLINE_S)
    engine.go.clear()
    engine.begun.clear()
    mine = worker.submit(lambda: Done(None), "b", ("ada", "key"))
    assert engine.begun.wait(DEADLINE_S)
    assert worker.settled(worker.ticket("a"))
    assert not any(worker.settled(ticket) for ticket in (worker.ticket("b"), worker.ticket_with(("ada", "key"))))
    assert worker.settled(worker.ticket_with(("bob", "key")))
    engine.go.set()
    worker.wait_for(worker.ticket("b"))
    mine.result(DEADLINE_S)
    worker.stop()


def test_what_nobody_waits_for_is_done_when_the_answers_are_given(engine: Engine) -> None:
    happened, answered = list[str](), threading.Event()

    def after() -> None:
        assert answered.wait(DEADLINE_S)
        happened.append("after")

    def verb(number: int) -> Done[None]:
        happened.append(f"verb {number}")
        return Done(None)

    worker = BatchWorker("worker", engine.run, after)
    worker.start()
    engine.go.set()
    worker.submit(lambda: verb(1)).result(DEADLINE_S)
    second = worker.submit(lambda: verb(2))
    answered.set()
    second.result(DEADLINE_S)
    worker.stop()
    assert happened == ["verb 1", "after", "verb 2", "after"]


def test_a_fault_in_what_nobody_waits_for_ends_nothing(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    worker = BatchWorker("worker", engine.run, lambda: 1 // 0 and None)
    worker.start()
    engine.go.set()
    assert [worker.submit(lambda number=number: Done(number)).result(DEADLINE_S) for number in range(3)] == [0, 1, 2]
    worker.stop()
    assert [line.message for line in caplog.records] == ["what follows a batch of verbs failed"] * 3
