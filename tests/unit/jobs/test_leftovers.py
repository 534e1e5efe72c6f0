"""Which files a job leaves behind, by name."""

from __future__ import annotations

import json

import pytest

from expeditor.jobs.leftovers import FileName, inputs_of, outputs_of
from expeditor.jobs.model import JobStatus, Output
from tests.support.jobs import a_job


def test_what_a_job_made_is_never_a_file_of_the_input_folder():
    made = [Output("1", f"{folder}.png", "sub", folder, "image", "image/png") for folder in ("output", "temp", "input")]
    job = a_job(status=JobStatus.SUCCEEDED, outputs=tuple(made))
    assert outputs_of(job) == {FileName("output", "sub", "output.png"), FileName("temp", "sub", "temp.png")}


def test_every_text_of_a_prompts_inputs_may_name_a_file():
    prompt = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "a.png", "upload": "image"}},
        "2": {"class_type": "LoadImage", "inputs": {"image": "sub/b.png [input]"}},
        "3": {
            "class_type": "X",
            "inputs": {"list": [{"deep": "c.wav"}, 4, None], "link": ["1", 0], "m": "d.png [output]"},
        },
        "4": {"class_type": "X", "inputs": {"text": "two\nlines", "long": "x" * 5000, "empty": ""}},
        "5": "no node",
    }
    assert inputs_of(json.dumps(prompt)) == {"a.png", "image", "sub/b.png", "c.wav", "1"}


@pytest.mark.parametrize("prompt_json", ["", "{", "[]", "null", "[" * 100_000, '{"1": {"inputs": 7}}'])
def test_a_prompt_that_says_nothing_names_nothing(prompt_json: str):
    assert inputs_of(prompt_json) == frozenset()
