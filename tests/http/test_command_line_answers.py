"""`expeditor waiting` and `answer` against our own routes."""

from __future__ import annotations

import pytest

from expeditor.jobs.waits import Ask, AskKind
from tests.http.command_line import call, served


@pytest.fixture
def there():
    with served() as (edge, here):
        yield edge.mailbox, here.url


def opened(mailbox, ask, node_id="7"):
    return mailbox.open("job-1", node_id, ask=ask, deadline_s=60)


PICK = Ask(AskKind.PICK, "Which [b]two[/b]?", pictures=3, least=1, most=2)
APPROVE = Ask(AskKind.APPROVE, "Good?", "a heron", pictures=1)


def test_what_waits_is_shown_with_its_pictures(there):
    mailbox, url = there
    picks, approves = opened(mailbox, PICK), opened(mailbox, APPROVE, "8")
    said = call(url, "waiting")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[0].startswith(f"{picks.token[:8]}  Which [b]two[/b]?  (1 to 2 of 3, from 0; until ")
    assert lines[1] == "  node 7 of job job-1"
    assert lines[2:5] == [f"  {url}/expeditor/messages/{picks.token}/images/{n}" for n in range(3)]
    assert lines[5].startswith(f"{approves.token[:8]}  Good?  (approve or reject; until ")
    assert "  text: a heron" in lines


def test_nothing_waits(there):
    said = call(there[1], "waiting")
    assert (said.code, said.out, said.err.strip()) == (0, "", "nothing waits for an answer")
    assert call(there[1], "waiting", "--json").json() == []


def test_json_is_what_the_server_says(there):
    mailbox, url = there
    wait = opened(mailbox, PICK)
    assert call(url, "waiting", "--json").json() == [wait.pending.describe()]
    assert call(url, "answer", wait.token, "2,0", "--json").json()["token"] == wait.token
    assert wait.poll(0) == "2,0"


@pytest.mark.parametrize(
    ("ask", "given", "message"),
    [
        (Ask(label="Word?"), ["a lighthouse é"], "a lighthouse é"),
        (PICK, ["2,0"], "2,0"),
        (APPROVE, ["reject"], "reject"),
        (APPROVE, ["approve", "--text", "an egret"], '{"approved": true, "text": "an egret"}'),
    ],
)
def test_an_answer_reaches_the_node_by_the_beginning_of_its_token(there, ask, given, message):
    mailbox, url = there
    wait = opened(mailbox, ask)
    said = call(url, "answer", wait.token[:9], *given)
    assert (said.code, said.out) == (0, "answered node 7 of job job-1\n"), said.err
    assert wait.poll(0) == message


def test_an_answer_that_does_not_fit_is_refused_with_its_hint(there):
    mailbox, url = there
    wait = opened(mailbox, PICK)
    said = call(url, "answer", wait.token, "9")
    assert said.code == 3
    assert "There is no picture 9" in said.err
    assert '{"picks": [0, 2]}' in said.err
    assert mailbox.pending() == (wait.pending,)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["zz", "approve"], "Nothing that waits has a token that begins with zz"),
        (["", "approve"], "Nothing that waits has a token"),
        (["{token}", "2", "--text", "x"], "--text goes with approve or reject"),
    ],
)
def test_wrong_use_sends_nothing(there, given, said):
    mailbox, url = there
    wait = opened(mailbox, PICK)
    told = call(url, "answer", *(each.format(token=wait.token) for each in given))
    assert told.code == 2
    assert said in told.err
    assert mailbox.pending() == (wait.pending,)
