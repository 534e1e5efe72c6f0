"""The mailbox: who gets a message, who comes too late, and what ambiguity is told."""

from __future__ import annotations

import itertools
import json
import threading

import pytest

from expeditor.events.mailbox import MAX_MESSAGE_BYTES, REMEMBERED_WAITS, Mailbox
from expeditor.events.open_wait import Delivered
from expeditor.jobs.errors import Conflict, Gone, LimitExceeded, NotFound
from expeditor.jobs.waits import Ask

START_S = 1_700_000_000.0


class HandClock:
    """A clock that moves when told to."""

    def __init__(self):
        self.now_s = START_S

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def mailbox(clock):
    numbers = itertools.count(1)
    return Mailbox(clock, lambda: f"token-{next(numbers)}")


def open_wait(mailbox, node_id="7", prompt_id="job-1", deadline_s=60.0, **more):
    return mailbox.open(prompt_id, node_id, ask=Ask(label="Which style?"), deadline_s=deadline_s, **more)


def test_the_node_id_alone_reaches_the_only_wait(mailbox):
    wait = open_wait(mailbox)
    assert wait.poll(0) is None
    assert mailbox.deliver("vangogh", "7") == Delivered(token="token-1", node_id="7", prompt_id="job-1")
    assert wait.poll(0) == "vangogh"


def test_an_empty_message_is_an_answer(mailbox):
    wait = open_wait(mailbox)
    mailbox.deliver("", "7")
    assert wait.poll(0) == ""
    assert wait.answered


def test_a_polling_thread_wakes_up_by_the_message(mailbox):
    wait = open_wait(mailbox)
    heard = []
    waiter = threading.Thread(target=lambda: heard.append(wait.poll(30)))
    waiter.start()
    mailbox.deliver("go", "7")
    waiter.join(10)
    assert heard == ["go"]


def test_the_first_answer_wins_and_the_second_is_gone(mailbox):
    wait = open_wait(mailbox)
    mailbox.deliver("first", "7", token=wait.token)
    with pytest.raises(Gone):
        mailbox.deliver("second", "7", token=wait.token)
    mailbox.close(wait.token)
    with pytest.raises(Gone):
        mailbox.deliver("second", "7")
    assert wait.poll(0) == "first"


def test_of_many_racing_answers_exactly_one_is_accepted(mailbox):
    wait = open_wait(mailbox)
    told = []
    gate = threading.Barrier(8)

    def answer(text):
        gate.wait(10)
        try:
            mailbox.deliver(text, "7")
            told.append((text, "delivered"))
        except Gone:
            told.append((text, "gone"))

    threads = [threading.Thread(target=answer, args=(str(n),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    winners = [text for text, outcome in told if outcome == "delivered"]
    assert len(told) == 8
    assert winners == [wait.poll(0)]


@pytest.mark.parametrize(
    "given",
    [
        {"node_id": "8"},
        {"node_id": "7", "token": "token-99"},
        {"node_id": "7", "prompt_id": "job-2"},
        {"node_id": "8", "token": "token-1"},
    ],
)
def test_nobody_waits_for_what_does_not_fit(mailbox, given):
    wait = open_wait(mailbox)
    with pytest.raises(NotFound):
        mailbox.deliver("hello", **given)
    assert wait.poll(0) is None


def test_several_waits_are_a_conflict_that_lists_their_tokens(mailbox):
    first, second = open_wait(mailbox), open_wait(mailbox, prompt_id="job-2")
    open_wait(mailbox, node_id="8")
    with pytest.raises(Conflict) as refusal:
        mailbox.deliver("hello", "7")
    assert refusal.value.details == {"tokens": [first.token, second.token]}
    assert (first.poll(0), second.poll(0)) == (None, None)


@pytest.mark.parametrize("narrowed", [{"token": "token-2"}, {"prompt_id": "job-2"}])
def test_token_or_prompt_id_settles_the_conflict(mailbox, narrowed):
    first, second = open_wait(mailbox), open_wait(mailbox, prompt_id="job-2")
    mailbox.deliver("hello", "7", **narrowed)
    assert (first.poll(0), second.poll(0)) == (None, "hello")


def test_a_wait_that_is_answered_no_longer_makes_its_sister_ambiguous(mailbox):
    first, second = open_wait(mailbox), open_wait(mailbox)
    mailbox.deliver("one", "7", token=first.token)
    mailbox.deliver("two", "7")
    assert second.poll(0) == "two"


def test_after_the_deadline_a_wait_is_gone_even_before_its_node_notices(mailbox, clock):
    wait = open_wait(mailbox, deadline_s=60.0)
    clock.now_s = START_S + 59.9
    assert not wait.expired
    assert mailbox.pending() == (wait.pending,)
    clock.now_s = START_S + 60.0
    assert wait.expired
    assert mailbox.pending() == ()
    with pytest.raises(Gone):
        mailbox.deliver("late", "7")
    assert wait.poll(0) is None


def test_a_closed_wait_is_gone_and_closing_twice_is_nothing(mailbox):
    wait = open_wait(mailbox)
    mailbox.close(wait.token)
    mailbox.close(wait.token)
    mailbox.close("never-was")
    assert mailbox.pending() == ()
    with pytest.raises(Gone):
        mailbox.deliver("late", "7", token=wait.token)


def test_a_new_wait_of_the_same_node_is_reached_though_an_old_one_is_over(mailbox):
    mailbox.close(open_wait(mailbox).token)
    again = open_wait(mailbox, prompt_id="job-2")
    mailbox.deliver("hello", "7")
    assert again.poll(0) == "hello"


def test_the_memory_of_closed_waits_is_bounded(mailbox):
    oldest = open_wait(mailbox, node_id="old")
    mailbox.close(oldest.token)
    for _ in range(REMEMBERED_WAITS):
        mailbox.close(open_wait(mailbox).token)
    with pytest.raises(NotFound):
        mailbox.deliver("late", "old", token=oldest.token)
    with pytest.raises(Gone):
        mailbox.deliver("late", "7")


def test_too_large_is_counted_in_utf8_bytes_and_leaves_the_wait_open(mailbox):
    wait = open_wait(mailbox, max_bytes=4)
    with pytest.raises(LimitExceeded) as refusal:
        mailbox.deliver("ééé", "7")
    assert refusal.value.too_large
    assert refusal.value.details == {"bytes": 6, "max_bytes": 4}
    mailbox.deliver("éé", "7")
    assert wait.poll(0) == "éé"


def test_the_default_limit(mailbox):
    wait = open_wait(mailbox)
    with pytest.raises(LimitExceeded):
        mailbox.deliver("x" * (MAX_MESSAGE_BYTES + 1), "7")
    mailbox.deliver("x" * MAX_MESSAGE_BYTES, "7")
    assert wait.poll(0) == "x" * MAX_MESSAGE_BYTES


def test_pending_lists_open_waits_oldest_first_with_their_facts(mailbox, clock):
    first = open_wait(mailbox)
    clock.now_s += 1.5
    second = open_wait(mailbox, node_id="1:8", prompt_id="job-2", deadline_s=0.25)
    assert mailbox.pending() == (first.pending, second.pending)
    facts = mailbox.pending()[1].describe()
    assert json.loads(json.dumps(facts)) == {
        "token": "token-2",
        "node_id": "1:8",
        "prompt_id": "job-2",
        "kind": "text",
        "label": "Which style?",
        "text": "",
        "images": [],
        "least": None,
        "most": None,
        "opened_at": "2023-11-14T22:13:21.500Z",
        "deadline_at": "2023-11-14T22:13:21.750Z",
        "max_bytes": MAX_MESSAGE_BYTES,
    }
