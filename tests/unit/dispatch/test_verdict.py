"""How a run is judged: the table from ComfyUI's messages to endings, and the files that a run names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from expeditor.dispatch.verdict import RunFacts, RunReport, collect_outputs, judge
from expeditor.jobs.causes import CauseTable
from expeditor.jobs.model import Cause, JobStatus

FACTS = RunFacts(finished_at_s=1_700_000_000.0, run_s=2.5, nodes_executed=3, last_node_id="7")
START = ("execution_start", {"prompt_id": "a"})
CACHED = ("execution_cached", {"nodes": ["1", "2"], "prompt_id": "a"})
SUCCESS = ("execution_success", {"prompt_id": "a"})
INTERRUPTED = ("execution_interrupted", {"prompt_id": "a", "node_id": "5"})
ERROR = (
    "execution_error",
    {
        "prompt_id": "a",
        "node_id": "9",
        "node_type": "KSampler",
        "exception_message": " it broke \n",
        "exception_type": "ValueError",
        "traceback": ["line 1\n", "line 2\n"],
        "current_inputs": {"text": ["a secret of the client"]},
    },
)
OUT_OF_MEMORY = ("execution_error", {**ERROR[1], "exception_type": "torch.OutOfMemoryError"})
OUT_OF_MEMORY_BY_TEXT = (
    "execution_error",
    {**ERROR[1], "exception_type": "RuntimeError", "exception_message": "CUDA out of memory. Tried to allocate\n"},
)
OWN_INTERRUPTION = ("execution_error", {**ERROR[1], "exception_type": "my_pack.Stopped"})
CAUSES = CauseTable({"my_pack.Stopped": Cause.INTERRUPTED})


def judged(*messages, succeeded=True, facts=FACTS, outputs=None):
    return judge(RunReport(succeeded, messages, outputs or {}), facts, CAUSES)


@pytest.mark.parametrize(
    ("messages", "succeeded", "status", "cause"),
    [
        pytest.param([START, SUCCESS], True, JobStatus.SUCCEEDED, None, id="success"),
        pytest.param([START, ERROR, SUCCESS], True, JobStatus.SUCCEEDED, None, id="one branch was blocked"),
        pytest.param([START, SUCCESS], False, JobStatus.SUCCEEDED, None, id="success message beats the flag"),
        pytest.param([START], True, JobStatus.SUCCEEDED, None, id="the flag alone, no error told"),
        pytest.param([START, ERROR], True, JobStatus.FAILED, Cause.NODE_ERROR, id="staging failed, flag left true"),
        pytest.param([START, ERROR], False, JobStatus.FAILED, Cause.NODE_ERROR, id="a node failed"),
        pytest.param([START, OUT_OF_MEMORY], False, JobStatus.FAILED, Cause.OUT_OF_MEMORY, id="out of memory"),
        pytest.param([START, OUT_OF_MEMORY_BY_TEXT], False, JobStatus.FAILED, Cause.OUT_OF_MEMORY, id="by its text"),
        pytest.param([START, OWN_INTERRUPTION], False, JobStatus.CANCELED, Cause.INTERRUPTED, id="a node's own word"),
        pytest.param([START, INTERRUPTED], False, JobStatus.CANCELED, Cause.INTERRUPTED, id="interrupted"),
        pytest.param([START, ERROR, INTERRUPTED], False, JobStatus.CANCELED, Cause.INTERRUPTED, id="interrupted after"),
        pytest.param([START], False, JobStatus.FAILED, Cause.NODE_ERROR, id="failed without a word"),
        pytest.param([], False, JobStatus.FAILED, Cause.NODE_ERROR, id="nothing at all"),
        pytest.param(
            [START, None, ("x",), (1, 2), ("execution_success", 5)], True, JobStatus.SUCCEEDED, None, id="odd"
        ),
    ],
)
def test_the_table(messages, succeeded, status, cause):
    ending = judged(*messages, succeeded=succeeded)
    assert (ending.status, ending.cause) == (status, cause)
    assert (ending.error is None) == (status is not JobStatus.FAILED)
    assert (ending.finished_at_s, ending.run_s) == (1_700_000_000.0, 2.5)


@pytest.mark.parametrize("word", [INTERRUPTED, OWN_INTERRUPTION], ids=["core's", "a node's own"])
def test_a_run_stopped_for_its_silence_has_stalled_whoever_says_that_it_was_stopped(word):
    ending = judged(START, word, succeeded=False, facts=replace(FACTS, stalled=True))
    assert (ending.status, ending.cause) == (JobStatus.FAILED, Cause.STALLED)
    assert ending.error.code == "STALLED"


def test_an_error_names_the_node_and_leaves_the_clients_inputs_out():
    ending = judged(START, ERROR, succeeded=False)
    error = ending.error
    assert (error.code, error.message, error.node_id) == ("NODE_ERROR", "it broke", "9")
    assert (error.class_type, error.exception_type, error.traceback) == ("KSampler", "ValueError", "line 1\nline 2\n")
    assert "secret" not in repr(ending)
    assert ending.last_node_id == "9"


def test_an_error_without_words_still_says_something():
    assert judged(succeeded=False).error.message == "The run ended without saying why."
    assert judged(succeeded=False).last_node_id == "7"


@pytest.mark.parametrize(
    ("executed", "messages", "cached"),
    [
        pytest.param(0, [START, CACHED, SUCCESS], True, id="nothing had to run"),
        pytest.param(1, [START, CACHED, SUCCESS], False, id="a node ran"),
        pytest.param(None, [START, CACHED, SUCCESS], False, id="nobody listened, so nobody knows"),
        pytest.param(0, [START, CACHED, ERROR], False, id="failed before the first node"),
    ],
)
def test_a_run_is_cached_only_when_no_node_ran(executed, messages, cached):
    facts = RunFacts(finished_at_s=0.0, run_s=0.0, nodes_executed=executed, last_node_id=None)
    assert judged(*messages, succeeded=SUCCESS in messages, facts=facts).cached is cached


@pytest.mark.parametrize(
    ("group", "name", "kind", "content_type"),
    [
        ("images", "a_00001_.png", "image", "image/png"),
        ("images", "A.JPEG", "image", "image/jpeg"),
        ("gifs", "clip.mp4", "video", "video/mp4"),
        ("audio", "a.flac", "audio", "audio/flac"),
        ("files", "a.txt", "text", "text/plain"),
        ("files", "a.json", "file", "application/json"),
        ("latents", "x.bin", "latent", "application/octet-stream"),
        ("any", "a.latent", "latent", "application/octet-stream"),
        ("3d", "mesh.glb", "file", "model/gltf-binary"),
        ("files", "no_suffix", "file", "application/octet-stream"),
    ],
)
def test_kinds_of_files(group, name, kind, content_type):
    (output,) = collect_outputs({"9": {group: [{"filename": name, "subfolder": "s", "type": "temp"}]}})
    assert (output.kind, output.content_type) == (kind, content_type)
    assert (output.node_id, output.name, output.subfolder, output.folder) == ("9", name, "s", "temp")
    assert output.size_bytes is None


def test_only_files_are_outputs_and_they_stand_in_order():
    found = collect_outputs(
        {
            "2": {"images": [{"filename": "b.png"}, {"filename": "a.png"}], "text": ["words"], "animated": (True,)},
            "1": {"images": [{"filename": None}, {"file": "x"}, None], "count": 3},
            "3": "nothing",
            "4": {"images": ({"filename": "c.png"},)},
        }
    )
    assert [output.name for output in found] == ["b.png", "a.png", "c.png"]
    assert (found[0].folder, found[0].subfolder) == ("output", "")


@pytest.mark.parametrize(
    ("executed", "ran", "cached"),
    [
        pytest.param(0, frozenset(), [True, True], id="nothing ran"),
        pytest.param(2, frozenset({"1", "9"}), [False, True], id="one of them ran"),
        pytest.param(None, frozenset(), [False, False], id="nobody listened, so nobody knows"),
    ],
)
def test_an_output_is_cached_when_its_node_did_not_run(executed, ran, cached):
    facts = RunFacts(finished_at_s=0.0, run_s=0.0, nodes_executed=executed, last_node_id=None, ran=ran)
    outputs = {"9": {"images": [{"filename": "a.png"}]}, "10": {"images": [{"filename": "b.png"}]}}
    assert [output.cached for output in judged(START, CACHED, SUCCESS, facts=facts, outputs=outputs).outputs] == cached
