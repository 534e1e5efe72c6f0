"""Draining and pausing as this process knows them, and what draining does to admission."""

from __future__ import annotations

import pytest

from expeditor.intake.flow import RETRY_AFTER_S, Flow
from expeditor.jobs.errors import Draining
from expeditor.jobs.model import Principal
from tests.conformance.harness import new_job
from tests.support.depth import depth


def test_a_drained_server_lets_nothing_new_in_until_it_is_resumed():
    flow = Flow()
    queue = depth(flow=flow)
    queue.check(Principal("ada"))
    flow.drain()
    with pytest.raises(Draining) as refused:
        queue.check(Principal("ada"))
    assert refused.value.retry_after_s == RETRY_AFTER_S
    with pytest.raises(Draining):
        queue.enter(new_job("a"), refusable=True)
    queue.enter(new_job("b"), refusable=False)
    flow.resume()
    queue.enter(new_job("a"), refusable=True)


def test_a_paused_server_takes_work_and_a_draining_one_is_not_ready():
    flow = Flow()
    flow.restore(True)
    flow.check()
    assert (flow.paused, flow.not_ready()) == (True, None)
    flow.drain()
    assert flow.not_ready() == "draining: no new jobs are taken"
    flow.resume()
    assert (flow.paused, flow.draining, flow.not_ready()) == (True, False, None)
