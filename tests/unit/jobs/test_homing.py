"""Names of results at home: rewriting touches names of files and nothing else, once and for all, and keeps instances apart."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expeditor.jobs.homing import (
    DEEPEST,
    ending_at_home,
    files_in,
    home_of,
    home_subfolder,
    job_subfolder,
    output_at_home,
    placed,
    rewritten,
)
from expeditor.jobs.instances import is_name
from expeditor.jobs.leftovers import FileName
from expeditor.jobs.model import Ending, JobStatus, Output

INSTANCES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,5}", fullmatch=True).filter(is_name)
SUBFOLDERS = st.text(alphabet="ab/\\.", max_size=8)
FILES = st.fixed_dictionaries(
    {
        "filename": st.text(max_size=5),
        "subfolder": SUBFOLDERS,
        "type": st.sampled_from(["output", "temp", "input", "x"]),
    }
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5) | FILES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("subfolder", "home"),
    [
        ("", "b"),
        ("cats", "b/cats"),
        ("cats\\big", "b/cats/big"),
        ("/cats/", "b/cats"),
        ("b", "b"),
        ("b/cats", "b/cats"),
        ("bb/cats", "b/bb/cats"),
    ],
)
def test_home_has_a_folder_for_each_instance(subfolder: str, home: str) -> None:
    assert home_subfolder("b", subfolder) == home


@pytest.mark.parametrize("subfolder", ["", "cats", "b/cats", "b/job-1/cats", "b/job-1"])
def test_a_job_has_a_folder_of_its_own_inside(subfolder: str) -> None:
    own = job_subfolder("b", "job-1", subfolder)
    assert own == ("b/job-1/cats" if "cats" in subfolder else "b/job-1")
    assert home_subfolder("b", own) == own, "it is a name of home"


@given(INSTANCES, SUBFOLDERS)
def test_a_name_of_home_stays(instance: str, subfolder: str) -> None:
    home = home_subfolder(instance, subfolder)
    assert home_subfolder(instance, home) == home
    own = job_subfolder(instance, "job", subfolder)
    assert job_subfolder(instance, "job", own) == own


@given(INSTANCES, INSTANCES, SUBFOLDERS, SUBFOLDERS)
def test_files_of_two_instances_never_meet(one: str, other: str, mine: str, theirs: str) -> None:
    if one != other:
        assert home_subfolder(one, mine) != home_subfolder(other, theirs)


@given(INSTANCES, VALUES)
def test_rewriting_twice_is_rewriting_once(instance: str, value: Any) -> None:
    untouched = copy.deepcopy(value)
    once = rewritten(value, home_of(instance))
    assert value == untouched
    assert rewritten(once, home_of(instance)) == once
    assert _without_places(once) == _without_places(value), "nothing but the subfolders of files changes"


@given(INSTANCES, VALUES)
def test_all_files_that_come_home_are_renamed(instance: str, value: Any) -> None:
    files = files_in(rewritten(value, home_of(instance)))
    assert set(files) == {home_of(instance)(file) for file in files_in(value)}
    assert all(file.subfolder.split("/")[0] == instance for file in files)


def test_node_outputs_as_comfyui_tells_them() -> None:
    told = {
        "9": {"images": [{"filename": "x_00001_.png", "subfolder": "cats", "type": "output"}], "animated": (False,)},
        "10": {"gifs": [{"filename": "x.mp4", "subfolder": "", "type": "temp", "frame_rate": 8.0}], "text": ["done"]},
        "11": {"images": [{"filename": "mine.png", "subfolder": "", "type": "input"}]},
    }
    assert files_in(told) == (FileName("output", "cats", "x_00001_.png"), FileName("temp", "", "x.mp4"))
    assert rewritten(told, home_of("b")) == {
        "9": {"images": [{"filename": "x_00001_.png", "subfolder": "b/cats", "type": "output"}], "animated": [False]},
        "10": {"gifs": [{"filename": "x.mp4", "subfolder": "b", "type": "temp", "frame_rate": 8.0}], "text": ["done"]},
        "11": {"images": [{"filename": "mine.png", "subfolder": "", "type": "input"}]},
    }


def test_what_is_nested_too_deeply_is_left_alone() -> None:
    value: Any = {"filename": "x.png", "subfolder": "", "type": "output"}
    for _ in range(DEEPEST * 40):
        value = [value]
    assert files_in(value) == ()
    assert rewritten(value, home_of("b")) is not None


def test_an_ending_names_its_files_as_they_are_at_home() -> None:
    there = FileName("output", "b/job-1", "x.png")
    place = placed({FileName("output", "", "x.png"): there})
    entry = {"filename": "x.png", "subfolder": "", "type": "output"}
    other = {"filename": "y.png", "subfolder": "", "type": "output"}
    history = {"outputs": {"9": {"images": [entry, other]}}, "status": {"completed": True}, "meta": {}}
    ending = Ending(JobStatus.SUCCEEDED, 1.0, 1.0, outputs=(_output("x.png"),), history_json=json.dumps(history))
    home = ending_at_home(ending, place)
    assert (home.outputs[0].subfolder, home.outputs[0].size_bytes) == ("b/job-1", 3)
    assert home.history_json is not None
    kept = json.loads(home.history_json)
    assert kept["outputs"]["9"]["images"] == [entry | {"subfolder": "b/job-1"}, other]
    assert kept["status"] == history["status"]


@pytest.mark.parametrize("history_json", [None, "", "[", "[1]", "null"])
def test_a_history_that_cannot_be_read_stays(history_json: str | None) -> None:
    ending = Ending(JobStatus.SUCCEEDED, 1.0, 1.0, history_json=history_json)
    assert ending_at_home(ending, home_of("b")) == ending


def test_a_file_of_the_input_folder_is_its_origins() -> None:
    output = Output("9", "x.png", "", "input", "image", "image/png")
    assert output_at_home(output, home_of("b")) == output


def _output(name: str) -> Output:
    return Output("9", name, "", "output", "image", "image/png", 3)


def _without_places(value: Any) -> Any:
    if isinstance(value, dict):
        named = isinstance(value.get("filename"), str) and value.get("type") in ("output", "temp")
        return {key: _without_places(each) for key, each in value.items() if not (named and key == "subfolder")}
    return [_without_places(each) for each in value] if isinstance(value, list) else value
