"""Draining and pausing as this process knows them, and what draining does to admission."""

from __future__ import annotations

import pytest

from expeditor.intake.flow import RETRY_AFTER_S, Flow
from expeditor.jobs.errors import Draining, Forbidden, StoreUnavailable
from expeditor.jobs.instances import InstanceState
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


def test_an_instance_without_a_role_does_not_do_its_part():
    with pytest.raises(Forbidden, match="accepts no jobs"):
        Flow(accepts=False).check()
    assert (Flow(accepts=False).claims, Flow(works=False).claims) == (True, False)
    Flow(works=False).check()


def test_a_wish_stops_claims_and_only_a_drain_refuses():
    flow = Flow()
    flow.wish(InstanceState.PAUSED)
    flow.check()
    assert (flow.state, flow.claims, flow.not_ready()) == (InstanceState.PAUSED, False, None)
    flow.wish(InstanceState.DRAINING)
    with pytest.raises(Draining):
        flow.check()
    flow.resume()
    assert (flow.state, flow.claims) == (InstanceState.ACTIVE, True)


def test_one_that_stands_aside_neither_accepts_nor_claims():
    flow = Flow()
    flow.bar("somebody has its name")
    with pytest.raises(StoreUnavailable, match="somebody has its name"):
        flow.check()
    assert (flow.claims, flow.not_ready()) == (False, "somebody has its name")
    flow.bar(None)
    flow.check()
    assert flow.claims
