"""A whole batch in one request: what is in is never submitted a second time."""

from __future__ import annotations

import pytest

from expeditor.client.batching.items import plan_of
from expeditor.client.batching.record import open_record
from expeditor.client.batching.together import submit_together
from expeditor.client.faults import NotHere, Refused
from expeditor.client.sweeps import axes_of

PROMPT = {"3": {"class_type": "KSampler", "inputs": {"seed": 1}}}


class FakeServer:
    """Takes any batch; what it answers when asked for the results is the test's."""

    def __init__(self, fault: Exception) -> None:
        self.fault = fault

    def submit_batch(self, body, *, key):
        return {"id": "b"}

    def batch_results(self, batch_id):
        raise self.fault


@pytest.mark.parametrize(
    "fault", [Refused(404, "NOT_FOUND", "a proxy's"), Refused(429, "", "a proxy's"), NotHere("no")]
)
def test_a_batch_that_is_in_is_not_submitted_one_by_one_because_its_results_cannot_be_had(tmp_path, fault):
    plan = plan_of(PROMPT, axes_of(["3.seed=1..3"], []), 1, {})
    with open_record(tmp_path, plan.digest(), 3, "http://here") as record, pytest.raises(type(fault)):
        submit_together(FakeServer(fault), plan, record, {})
