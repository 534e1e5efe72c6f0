"""What stands in front of the stock routes: the order of steps for a body, with a validation that refuses nothing."""

from __future__ import annotations

import hashlib
import json

import pytest

from expeditor.intake.ceilings import Ceilings
from expeditor.intake.gate import StockGate
from expeditor.intake.tokens import Token, Tokens
from expeditor.jobs.errors import ExpeditorError, InputInvalid, InvalidJson, InvalidPrompt, LimitExceeded, QueueFull
from expeditor.jobs.principals import PrincipalRules
from tests.support.depth import depth, fill


class FakeProtection:
    """Lets everything pass and notes what it saw."""

    def __init__(self) -> None:
        self.seen = []

    def protect(self, body):
        self.seen.append(body)


@pytest.fixture
def protection():
    return FakeProtection()


@pytest.fixture
def queue():
    return depth(jobs=2)


@pytest.fixture
def gate(protection, queue):
    rules = PrincipalRules(user_header="X-User", proxies=("10.0.0.1",))
    return StockGate(
        validation=protection, principals=rules, ceilings=Ceilings(), depth=queue, max_bytes=1_000, max_depth=10
    )


def prepared(gate, body, remote=None, **headers):
    return gate.admit(gate.read(json.dumps(body).encode(), remote, headers))


def test_priority_is_lifted_before_anything_is_judged(gate, protection):
    ready = prepared(gate, {"prompt": {"_priority": 8, "1": {}}, "client_id": "ada"})
    assert (ready.priority, ready.body, ready.principal.name) == (
        8,
        {"prompt": {"1": {}}, "client_id": "ada"},
        "ada",
    )
    assert protection.seen == [ready.body]


def test_a_trusted_proxy_names_the_principal(gate):
    ready = prepared(gate, {"prompt": {}, "client_id": "ada"}, "10.0.0.1", **{"X-User": "grace"})
    assert (ready.principal.name, ready.principal.trusted) == ("grace", True)


def test_a_null_prompt_id_is_left_out_and_another_is_kept(gate):
    assert "prompt_id" not in prepared(gate, {"prompt": {}, "prompt_id": None}).body
    assert prepared(gate, {"prompt": {}, "prompt_id": ""}).body["prompt_id"] == ""


@pytest.mark.parametrize(
    ("raw", "refusal"),
    [
        (b"", InvalidJson),
        (b"{", InvalidJson),
        (b"\xff", InvalidJson),
        (b"[]", InvalidPrompt),
        (b"null", InvalidPrompt),
        (b'"prompt"', InvalidPrompt),
        (b'{"prompt": {}, "_priority": 11}', InputInvalid),
        (b"[" * 20 + b"]" * 20, LimitExceeded),
        (b" " * 1_001, LimitExceeded),
    ],
)
def test_bodies_that_are_refused(gate, protection, raw, refusal):
    with pytest.raises(refusal):
        gate.read(raw, None, {})
    assert protection.seen == []


def test_a_full_queue_refuses_before_the_graph_is_walked(gate, protection, queue):
    fill(queue, 2)
    with pytest.raises(QueueFull) as caught:
        prepared(gate, {"prompt": {"1": {}}})
    assert caught.value.retry_after_s == 1
    assert protection.seen == []


def test_a_key_is_read_from_the_header_or_the_chosen_id_and_covers_what_was_sent(gate):
    body = {"prompt": {"_priority": 8}, "prompt_id": "0b8f9c1e-0000-4000-8000-00000000abcd"}
    by_header = prepared(gate, body, **{"Idempotency-Key": "k"}).request_key
    by_id = prepared(gate, body).request_key
    assert (by_header.key, by_id.key) == ("key:k", f"id:{body['prompt_id']}")
    assert by_header.fingerprint == by_id.fingerprint
    assert prepared(gate, {**body, "prompt": {"_priority": 9}}).request_key.fingerprint != by_id.fingerprint


@pytest.mark.parametrize("prompt_id", [None, "", 5, "mine"])
def test_what_is_no_id_is_no_key(gate, prompt_id):
    assert prepared(gate, {"prompt": {}, "prompt_id": prompt_id}).request_key is None


def test_a_key_that_is_none_is_refused_before_all_else(gate, protection, queue):
    fill(queue, 2)
    with pytest.raises(InputInvalid):
        prepared(gate, {"prompt": {}}, **{"Idempotency-Key": "a b"})
    assert protection.seen == []


@pytest.mark.parametrize("body", [None, 5, "x", [], [{"_priority": 3}]])
def test_the_lenient_lift_hands_any_body_through(gate, body):
    assert gate.lift(body) == (body, None)


def test_the_lenient_lift_takes_a_wrong_priority_out(gate):
    assert gate.lift({"prompt": {"_priority": 99}}) == ({"prompt": {}}, None)
    assert gate.lift({"prompt": {"_priority": 9}}) == ({"prompt": {}}, 9)


@pytest.mark.parametrize(
    ("method", "path", "raw", "query"),
    [
        ("POST", "/queue", b"5", {}),
        ("POST", "/queue", b"{", {}),
        ("POST", "/history", b'{"delete": [{}]}', {}),
        ("POST", "/free", b"[]", {}),
        ("POST", "/interrupt", b"[]", {}),
        ("GET", "/history", b"", {"max_items": "many"}),
        ("GET", "/history", b"", {"offset": "1.5"}),
        ("GET", "/history/abc", b"", {"max_items": ""}),
    ],
)
def test_stock_bodies_that_would_be_a_500(gate, method, path, raw, query):
    with pytest.raises(ExpeditorError):
        gate.check(method, path, raw, query)


@pytest.mark.parametrize(
    ("method", "path", "raw", "query"),
    [
        ("POST", "/queue", b'{"clear": true}', {}),
        ("POST", "/history", b'{"delete": ["a"]}', {}),
        ("POST", "/free", b"{}", {}),
        ("POST", "/interrupt", b"", {}),
        ("POST", "/interrupt", b"no json", {}),
        ("GET", "/history", b"", {"max_items": "5", "offset": "-1"}),
        ("GET", "/queue", b"", {}),
        ("DELETE", "/queue", b"5", {}),
        ("POST", "/elsewhere", b"5", {"max_items": "many"}),
    ],
)
def test_what_stock_takes_passes(gate, method, path, raw, query):
    gate.check(method, path, raw, query)


def test_core_gets_no_targets_but_those_that_the_prompt_has(gate):
    body = {"prompt": {"3": {}, "4": {}}, "partial_execution_targets": ["9", "4", "4"]}
    assert prepared(gate, body).body["partial_execution_targets"] == ["4"]
    assert "partial_execution_targets" not in prepared(gate, {"prompt": {}}).body
    assert prepared(gate, {"prompt": {}, "partial_execution_targets": None}).body["partial_execution_targets"] is None


@pytest.fixture
def strict_gate(protection, queue):
    rules = PrincipalRules(user_header="X-User", proxies=("10.0.0.1",))
    ceilings = Ceilings(6, {"boss": 10, "junior": 2})
    return StockGate(
        validation=protection, principals=rules, ceilings=ceilings, depth=queue, max_bytes=1_000, max_depth=10
    )


@pytest.mark.parametrize(
    ("fields", "priority", "left"),
    [
        ({"_priority": 9, "client_id": "ada"}, 6, {"client_id": "ada"}),
        ({"_priority": 5}, 5, {}),
        ({"client_id": "junior"}, 2, {"client_id": "junior"}),
        ({"front": True}, 3, {}),
        ({"number": -3}, 3, {}),
        ({"number": "-3", "front": True}, 3, {}),
        ({"number": 4, "front": True}, 3, {"number": 4, "front": True}),
        ({"number": "x"}, 3, {"number": "x"}),
    ],
)
def test_what_lies_above_a_ceiling_is_lowered_on_stock_routes(strict_gate, fields, priority, left):
    ready = prepared(strict_gate, {"prompt": {}, **fields})
    assert (ready.priority, ready.body) == (priority, {"prompt": {}, **left})
    body, lifted = strict_gate.lift({"prompt": {}, **fields})
    assert (lifted or 3, body) == (priority, {"prompt": {}, **left})


def test_a_trusted_name_may_do_what_its_ceiling_says(strict_gate):
    fields = {"prompt": {}, "_priority": 10, "front": True}
    ready = prepared(strict_gate, fields, "10.0.0.1", **{"X-User": "boss"})
    assert (ready.priority, ready.body) == (10, {"prompt": {}, "front": True})
    claimed = prepared(strict_gate, {**fields, "client_id": "boss"})
    assert (claimed.priority, claimed.body) == (6, {"prompt": {}, "client_id": "boss"})


def test_a_token_names_the_principal_and_a_wrong_one_counts_as_none(protection, queue):
    tokens = Tokens([Token("shop", hashlib.sha256(b"the-secret").hexdigest())])
    gate = StockGate(
        validation=protection,
        principals=PrincipalRules(),
        ceilings=Ceilings(defaults={"shop": 6}),
        depth=queue,
        max_bytes=1_000,
        max_depth=10,
        tokens=tokens,
    )
    body = {"prompt": {}, "client_id": "ada"}
    right = prepared(gate, body, Authorization="Bearer the-secret")
    wrong = prepared(gate, body, Authorization="Bearer another")
    assert (right.principal.name, right.priority) == ("shop", 6)
    assert (wrong.principal.name, wrong.priority) == ("ada", 3)
    assert prepared(gate, {**body, "_priority": 2}, Authorization="Bearer the-secret").priority == 2
