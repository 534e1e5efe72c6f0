"""Ids of outputs as assets."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest

from expeditor.jobs.asset_ids import output_asset_id
from expeditor.jobs.model import Output

OUTPUT = Output("9", "a_00001_.png", "sub", "output", "image", "image/png", 123)


def test_the_id_of_a_file_never_changes() -> None:
    # Written down: clients keep these ids, so a new version of this code must give the same.
    assert output_asset_id("job-1", OUTPUT) == "7934d3ed-f811-5b20-9e32-8c2c3bf40870"
    assert str(uuid.UUID(output_asset_id("job-1", OUTPUT))) == output_asset_id("job-1", OUTPUT)


@pytest.mark.parametrize("other", [{"name": "b.png"}, {"subfolder": ""}, {"folder": "temp"}])
def test_another_file_has_another_id(other) -> None:
    assert output_asset_id("job-1", OUTPUT) != output_asset_id("job-1", replace(OUTPUT, **other))


def test_the_same_file_of_another_job_has_another_id() -> None:
    assert output_asset_id("job-1", OUTPUT) != output_asset_id("job-2", OUTPUT)


@pytest.mark.parametrize("same", [{"size_bytes": None}, {"cached": True}, {"node_id": "7"}, {"subfolder": "sub/"}])
def test_what_says_nothing_of_which_file_it_is_changes_nothing(same) -> None:
    assert output_asset_id("job-1", OUTPUT) == output_asset_id("job-1", replace(OUTPUT, **same))


def test_a_name_that_no_utf8_can_hold_has_an_id() -> None:
    assert uuid.UUID(output_asset_id("job-1", replace(OUTPUT, name="a\udcff.png")))
