"""The on-prompt seam: what core is given, with the middleware in front and without it."""

from __future__ import annotations

from contextvars import copy_context

import pytest

from expeditor.host.context import COMMITS, SUBMISSION, Submission, remember_commit
from expeditor.host.prompt_handler import prompt_handler
from expeditor.intake.ceilings import Ceilings
from expeditor.intake.gate import StockGate
from expeditor.jobs.model import Principal, Source
from expeditor.jobs.principals import PrincipalRules
from tests.support.depth import depth


class FakeProtection:
    """Never asked here."""

    def protect(self, body):
        raise AssertionError("the seam judges nothing")


@pytest.fixture
def on_prompt():
    rules = PrincipalRules()
    gate = StockGate(
        validation=FakeProtection(), principals=rules, ceilings=Ceilings(), depth=depth(), max_bytes=1_000, max_depth=10
    )
    return prompt_handler(gate)


def handled(on_prompt, body, submission=None):
    """What core gets, and the submission that `put` would see."""

    def request():
        SUBMISSION.set(submission)
        return on_prompt(body), SUBMISSION.get()

    return copy_context().run(request)


def test_behind_the_middleware_core_gets_the_body_that_was_checked(on_prompt):
    ready = {"prompt": {"1": {}}}
    submission = Submission(Principal("ada"), Source.PROMPT, priority=8, body=ready)
    body, seen = handled(on_prompt, {"prompt": {"_priority": 8, "1": {}}}, submission)
    assert body is ready
    assert seen is submission


def test_without_the_middleware_the_priority_still_travels(on_prompt):
    body, seen = handled(on_prompt, {"prompt": {"_priority": 8, "1": {}}, "client_id": "ada"})
    assert body == {"prompt": {"1": {}}, "client_id": "ada"}
    assert (seen.priority, seen.source, seen.principal.name) == (8, Source.PROMPT, "ada")


@pytest.mark.parametrize(("given", "left"), [({"prompt": {"_priority": 99}}, {"prompt": {}}), (None, None), ([5], [5])])
def test_without_the_middleware_nothing_is_refused(on_prompt, given, left):
    body, seen = handled(on_prompt, given)
    assert (body, seen.priority) == (left, 3)


def test_a_write_that_nobody_asked_for_is_remembered_by_nobody():
    copy_context().run(remember_commit, "a commit")
    commits = []

    def request():
        COMMITS.set(commits)
        remember_commit("a commit")

    copy_context().run(request)
    assert commits == ["a commit"]
