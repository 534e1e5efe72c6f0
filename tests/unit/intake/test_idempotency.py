"""Of requests with one key that come together one goes on, and the others hear what became of it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from concurrent.futures import Future

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expeditor.intake.idempotency import Repeats, Reservations
from expeditor.jobs.awaiting import Awaiter
from expeditor.jobs.errors import Conflict, Gone, InputInvalid, StoreUnavailable
from expeditor.jobs.model import Principal, RequestKey
from expeditor.store.base import KeyedJob, StoreState

PLACE = ("ada", "key:k")
JOB = KeyedJob("job", "digest")
LONG_S = 30.0


async def settled_loop() -> None:
    """Until nothing in the loop can go on by itself."""
    for _ in range(10):
        await asyncio.sleep(0)


async def waiting(reservations, count):
    tasks = [asyncio.ensure_future(reservations.take(PLACE)) for _ in range(count)]
    await settled_loop()
    return tasks


async def test_the_first_goes_on_and_the_others_hear_of_its_job():
    reservations = Reservations(LONG_S)
    assert await reservations.take(PLACE) is None
    others = await waiting(reservations, 49)
    assert not any(task.done() for task in others)
    reservations.settle(PLACE, JOB)
    assert await asyncio.gather(*others) == [JOB] * 49
    assert reservations.held == 0


async def test_after_a_refusal_the_next_one_goes_on_in_order_and_alone():
    reservations = Reservations(LONG_S)
    await reservations.take(PLACE)
    others = await waiting(reservations, 3)
    for number in range(3):
        reservations.settle(PLACE, None)
        await settled_loop()
        assert [task.done() for task in others] == [each <= number for each in range(3)]
    reservations.settle(PLACE, None)
    assert reservations.held == 0


async def test_keys_do_not_wait_for_each_other():
    reservations = Reservations(LONG_S)
    places = [PLACE, ("grace", PLACE[1]), (PLACE[0], "key:other")]
    assert [await asyncio.wait_for(reservations.take(place), 1) for place in places] == [None] * 3
    assert reservations.held == 3


async def test_the_wait_ends_and_the_key_stays_with_who_has_it():
    reservations = Reservations(0.01)
    await reservations.take(PLACE)
    with pytest.raises(StoreUnavailable) as caught:
        await reservations.take(PLACE)
    assert caught.value.retry_after_s >= 1
    assert reservations.held == 1
    reservations.settle(PLACE, None)
    assert reservations.held == 0


async def test_who_leaves_while_waiting_holds_nothing():
    reservations = Reservations(LONG_S)
    await reservations.take(PLACE)
    gone, stays = await waiting(reservations, 2)
    gone.cancel()
    await settled_loop()
    reservations.settle(PLACE, None)
    assert await stays is None
    reservations.settle(PLACE, None)
    assert reservations.held == 0


async def test_who_leaves_at_the_very_moment_of_its_turn_hands_it_on():
    reservations = Reservations(LONG_S)
    await reservations.take(PLACE)
    gone, stays = await waiting(reservations, 2)
    reservations.settle(PLACE, None)
    gone.cancel()
    assert await asyncio.wait_for(stays, 5) is None
    with pytest.raises(asyncio.CancelledError):
        await gone
    reservations.settle(PLACE, None)
    assert reservations.held == 0


# -- any order of fates ----------------------------------------------------------------------------------------------------

FATES = st.lists(
    st.tuples(st.sampled_from(["accepted", "refused", "fails", "cancelled"]), st.integers(0, 4)),
    min_size=1,
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(FATES, st.integers(0, 10_000))
def test_whatever_becomes_of_each_at_most_one_job_is_made_and_nothing_is_left_over(fates, seed):
    asyncio.run(_play(fates, random.Random(seed)))


async def _play(fates, rng):
    reservations = Reservations(LONG_S)
    inside = Counter()
    made: list[KeyedJob] = []

    async def request(fate, steps):
        known = await reservations.take(PLACE)
        if known is not None:
            return known
        got = None
        inside["now"] += 1
        assert inside["now"] == 1, "two went on at once"
        try:
            if made:  # what the store is for
                got = made[0]
                return got
            for _ in range(steps):
                await asyncio.sleep(0)
            if fate == "fails":
                raise ValueError
            if fate == "accepted":
                got = KeyedJob(f"job-{len(made)}", "digest")
                made.append(got)
            return got
        finally:
            inside["now"] -= 1
            reservations.settle(PLACE, got)

    tasks = [asyncio.ensure_future(request(*fate)) for fate in fates]
    for (fate, _), task in zip(fates, tasks, strict=True):
        if fate == "cancelled":
            for _ in range(rng.randrange(8)):
                await asyncio.sleep(0)
            task.cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert reservations.held == 0
    assert len(made) <= 1
    assert bool(made) == any(fate == "accepted" for fate, _ in fates)
    assert {answer for answer in answers if isinstance(answer, KeyedJob)} <= set(made)


# -- with a store ----------------------------------------------------------------------------------------------------------

ADA = Principal("ada")
KEY = RequestKey("key:k", "digest")


class FakeStore:
    """Answers what it is told to, and counts what it is asked."""

    def __init__(self) -> None:
        self.keys = {}
        self.jobs = {}
        self.asked = []
        self.failure = None
        self.open = True

    def state(self):
        return StoreState(kind="fake", open=self.open, error=None, pending_writes=0)

    def keyed(self, principal, key):
        return self._answer("keyed", self.keys.get((principal, key)))

    def get(self, job_id):
        return self._answer("get", self.jobs.get(job_id))

    def _answer(self, verb, value):
        self.asked.append(verb)
        future: Future = Future()
        if self.failure is None:
            future.set_result(value)
        else:
            future.set_exception(self.failure)
        return future


@pytest.fixture
def store():
    return FakeStore()


@pytest.fixture
def reservations():
    return Reservations(LONG_S)


@pytest.fixture
def repeats(store, reservations):
    return Repeats(store, Awaiter(5.0), reservations)


async def test_a_new_key_costs_one_question_and_is_held_until_the_end(repeats, store, reservations):
    with await repeats.turn(ADA, KEY) as turn:
        assert turn.earlier is None
        assert reservations.held == 1
    assert store.asked == ["keyed"]
    assert reservations.held == 0


async def test_a_stored_key_is_answered_with_the_job_as_it_stands(repeats, store, reservations):
    store.keys[PLACE] = JOB
    store.jobs["job"] = "the job"
    with await repeats.turn(ADA, KEY) as turn:
        assert turn.earlier == "the job"
        assert reservations.held == 0


async def test_another_body_is_a_conflict_that_names_the_job(repeats, store, reservations):
    store.keys[PLACE] = KeyedJob("job", "another digest")
    with pytest.raises(Conflict) as caught:
        await repeats.turn(ADA, KEY)
    assert caught.value.details == {"job_id": "job"}
    assert reservations.held == 0


async def test_a_job_that_was_pruned_is_gone(repeats, store):
    store.keys[PLACE] = JOB
    with pytest.raises(Gone):
        await repeats.turn(ADA, KEY)


async def test_a_store_that_fails_leaves_nothing_held(repeats, store, reservations):
    store.failure = StoreUnavailable("away")
    with pytest.raises(StoreUnavailable):
        await repeats.turn(ADA, KEY)
    assert reservations.held == 0


async def test_without_an_open_store_nothing_is_asked_and_nothing_held(repeats, store, reservations):
    store.open = False
    turns = [await repeats.turn(ADA, KEY) for _ in range(2)]
    assert [turn.earlier for turn in turns] == [None, None]
    assert store.asked == []
    assert reservations.held == 0
    turns[0].done("job")
    turns[0].close()


async def test_who_waits_hears_of_the_job_without_asking_for_the_key_again(repeats, store):
    store.jobs["job"] = "the job"
    first = await repeats.turn(ADA, KEY)
    others = [asyncio.ensure_future(repeats.turn(ADA, KEY)) for _ in range(3)]
    other_body = asyncio.ensure_future(repeats.turn(ADA, RequestKey(KEY.key, "another digest")))
    await settled_loop()
    first.done("job")
    first.close()
    first.close()
    assert [turn.earlier for turn in await asyncio.gather(*others)] == ["the job"] * 3
    with pytest.raises(Conflict):
        await other_body
    assert store.asked.count("keyed") == 1


async def test_a_refused_first_lets_the_next_try(repeats, store, reservations):
    with await repeats.turn(ADA, KEY):
        waits = asyncio.ensure_future(repeats.turn(ADA, RequestKey(KEY.key, "another digest")))
        await settled_loop()
    with await waits as turn:
        assert turn.earlier is None
        turn.done("job")
    assert reservations.held == 0


# -- work while the store looks ------------------------------------------------------------------------------------------


async def refused():
    raise InputInvalid("bad")


async def made():
    return "made"


async def test_the_work_of_a_new_request_comes_back_with_its_turn(repeats, store, reservations):
    turn, ready = await repeats.turn_while(ADA, KEY, made)
    with turn:
        assert (turn.earlier, ready, reservations.held) == (None, "made", 1)
    store.open = False
    assert (await repeats.turn_while(ADA, KEY, made))[1] == "made"


async def test_a_repeat_has_none_of_its_work_and_hears_no_refusal_of_it(repeats, store, reservations):
    store.keys[PLACE] = JOB
    store.jobs["job"] = "the job"
    for work in (made, refused):
        turn, ready = await repeats.turn_while(ADA, KEY, work)
        assert (turn.earlier, ready, reservations.held) == ("the job", None, 0)


async def test_a_refusal_of_the_work_is_that_of_a_new_request_and_frees_the_key(repeats, store, reservations):
    with pytest.raises(InputInvalid):
        await repeats.turn_while(ADA, KEY, refused)
    assert reservations.held == 0
    store.failure = StoreUnavailable("away")
    with pytest.raises(StoreUnavailable):
        await repeats.turn_while(ADA, KEY, refused)
    assert reservations.held == 0
