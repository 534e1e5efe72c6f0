"""intake/pools.py: where a pool is named, which name wins, and which are refused."""

from __future__ import annotations

import pytest

from expeditor.host.context import Submission
from expeditor.host.native import new_job
from expeditor.intake.pools import AlonePools, check_served, take_pool
from expeditor.intake.submission import parse_submission
from expeditor.jobs.errors import InputInvalid
from expeditor.jobs.model import Principal, Source


def in_workflow(pool):
    return {"extra_pnginfo": {"workflow": {"extra": {"expeditor": {"pool": pool}}}}}


@pytest.mark.parametrize(
    ("body", "pool"),
    [
        ({}, None),
        ({"pool": None}, None),
        ({"pool": "a"}, "a"),
        ({"extra_data": {"_pool": "b"}}, "b"),
        ({"extra_data": in_workflow("c")}, "c"),
        ({"pool": "a", "extra_data": {"_pool": "b", **in_workflow("c")}}, "a"),
        ({"extra_data": {"_pool": "b", **in_workflow("c")}}, "b"),
        ({"extra_data": {"extra_pnginfo": []}}, None),
    ],
)
def test_the_first_pool_that_is_named_counts(body, pool):
    assert take_pool(body, own_route=True).pool == pool
    assert parse_submission({"prompt": {}, **body}).pool == pool if "extra_pnginfo" not in str(body) else True


def test_a_stock_body_has_no_field_of_that_name_and_its_extra_data_keeps_none():
    body = {"pool": "a", "extra_data": {"_pool": "b", "x": 1}}
    taken = take_pool(body, own_route=False)
    assert (taken.pool, taken.body) == ("b", {"pool": "a", "extra_data": {"x": 1}})
    assert body["extra_data"] == {"_pool": "b", "x": 1}


@pytest.mark.parametrize("wrong", ["", "A", "a b", "x" * 33, "-a", 5, ["a"], {"a": 1}, True])
def test_what_is_no_pool_is_refused_where_it_stands(wrong):
    with pytest.raises(InputInvalid) as refusal:
        parse_submission({"prompt": {}, "pool": wrong, "extra_data": {"_pool": wrong}})
    assert [fault.pointer for fault in refusal.value.faults] == ["/pool", "/extra_data/_pool"]


def test_a_pool_that_nobody_serves_is_refused_with_those_that_there_are():
    check_served(None, ("a",))
    check_served("a", ("a", "b"))
    with pytest.raises(InputInvalid, match="No instance serves the pool c; there are: a, b") as refusal:
        check_served("c", ("b", "a"))
    assert refusal.value.details == {"pool": "c", "pools": ["a", "b"]}


def test_alone_the_usual_pool_is_the_default_unless_it_is_not_served():
    assert AlonePools(("gpu", "default")).usual() == "default"
    assert AlonePools(("gpu", "cpu")).usual() == "gpu"


def test_a_job_has_the_pool_of_its_request_or_the_usual_one():
    item = (1, "id", {}, {}, [], {})
    asked = Submission(Principal("ada"), Source.SUBMIT, pool="gpu")
    assert new_job(item, asked, 0.0, None, "usual").pool == "gpu"
    assert new_job(item, Submission(Principal("ada"), Source.SUBMIT), 0.0, None, "usual").pool == "usual"
    assert new_job(item, None, 0.0, None, "usual").pool == "usual"
