"""The record of a batch: what is noted is known again, whatever cut the program off."""

from __future__ import annotations

import json

import pytest

from expeditor.client.batching.items import key_of, plan_of
from expeditor.client.batching.record import FILE_NAME, Standing, open_record
from expeditor.client.faults import BadInput
from expeditor.client.sweeps import axes_of

URL = "http://here:8188"
BASE = {"3": {"class_type": "K", "inputs": {"seed": 1}}}


def plan(seeds="1..3", **wish):
    return plan_of(BASE, axes_of([f"3.seed={seeds}"], []), 1, wish)


def opened(folder, a_plan=None, url=URL):
    a_plan = a_plan or plan()
    return open_record(folder, a_plan.digest(), len(a_plan.items), url)


def test_every_fact_is_known_again(tmp_path):
    with opened(tmp_path / "new") as record:
        record.accepted(1, "job-1")
        record.settled(1, "succeeded", None, ("00001_a.png",))
        record.accepted(2, "job-2")
        record.settled(3, "refused", "faulty")
        record.anew(3)
    with opened(tmp_path / "new") as again:
        assert again.resumed
        assert again.batch_id == record.batch_id
        assert again.standing(1) == Standing("job-1", "succeeded", None, ("00001_a.png",))
        assert again.standing(2) == Standing("job-2")
        assert again.standing(3) == Standing(take=2)
        assert again.standing(4) == Standing()


def test_a_job_that_runs_again_keeps_its_id(tmp_path):
    with opened(tmp_path) as record:
        record.accepted(1, "job-1")
        record.settled(1, "failed", "no memory")
        record.reopened(1)
    with opened(tmp_path) as again:
        assert again.standing(1) == Standing("job-1")


@pytest.mark.parametrize("cut", range(1, 24))
def test_a_torn_last_line_is_dropped_and_the_file_goes_on(tmp_path, cut):
    with opened(tmp_path) as record:
        record.accepted(1, "job-1")
        record.accepted(2, "job-2")
    file = tmp_path / FILE_NAME
    file.write_bytes(file.read_bytes()[:-cut])
    with opened(tmp_path) as again:
        assert again.standing(1) == Standing("job-1")
        assert again.standing(2) == Standing()
        again.accepted(3, "job-3")
    with opened(tmp_path) as later:
        assert later.standing(3) == Standing("job-3")


@pytest.mark.parametrize(
    "other",
    [plan("1..4"), plan("3..1"), plan(priority=8), plan_of({**BASE, "4": {}}, axes_of(["3.seed=1..3"], []), 1, {})],
)
def test_another_batch_is_not_mixed_in(tmp_path, other):
    with opened(tmp_path):
        pass
    with pytest.raises(BadInput, match="another batch"):
        opened(tmp_path, other)


def test_nor_is_another_server(tmp_path):
    with opened(tmp_path):
        pass
    with pytest.raises(BadInput, match="http://here:8188, not on http://there:8188"):
        opened(tmp_path, url="http://there:8188")
    with opened(tmp_path, url=URL + "/") as again:
        assert again.resumed


@pytest.mark.parametrize(
    "text", ["no line end", "[]\n", "{}\n", "nonsense\n", json.dumps({"version": 2, "batch": "x"}) + "\n"]
)
def test_a_file_that_is_no_record_is_left_alone(tmp_path, text):
    file = tmp_path / FILE_NAME
    file.write_text(text, encoding="utf-8")
    before = file.read_bytes()
    with pytest.raises(BadInput, match="not the record"):
        opened(tmp_path)
    assert file.read_bytes() == before


def test_keys_are_the_same_in_every_run_and_differ_between_items_and_takes(tmp_path):
    with opened(tmp_path) as record:
        pass
    keys = {key_of(record.batch_id, number, take) for number in range(50) for take in (1, 2)}
    assert len(keys) == 100
    assert key_of(record.batch_id, 7, 1) in keys
