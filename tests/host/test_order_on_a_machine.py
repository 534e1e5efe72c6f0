"""Order on a real ComfyUI: model affinity with real patchers that ComfyUI loads and unloads, and weights from the settings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.host.jobs_client import job, occupy, order_of_start, quick, submit, until_ended, until_status
from tests.host.stock_walk import TEST_NODES, gate_prompt, open_gate
from tests.support.comfy_server import RealComfyUI


@pytest.fixture(scope="module")
def server() -> Iterator[RealComfyUI]:
    with RealComfyUI(packs=[TEST_NODES], env={"EXPEDITOR_WEIGHTS": '{"ada": 3}'}) as running:
        yield running


def uses(name: str, salt: int) -> dict[str, Any]:
    """A prompt that loads a model and uses it."""
    return {
        "1": {"class_type": "ExpeditorTestLoadModel", "inputs": {"ckpt_name": name}},
        "2": {"class_type": "ExpeditorTestUseModel", "inputs": {"model": ["1", 0], "salt": salt}},
    }


def serial(server: RealComfyUI, job_id: str) -> int:
    """Which load of a model the job used."""
    outputs = server.get(f"/history/{job_id}").json()[job_id]["outputs"]
    return outputs["2"]["serial"][0]


def metric(server: RealComfyUI, name: str) -> float:
    """A series without labels."""
    found = re.search(rf"^expeditor_{name} (\S+)$", server.get("/expeditor/metrics").text, re.MULTILINE)
    assert found, name
    return float(found[1])


def holding(gate: str, name: str, salt: int) -> dict[str, Any]:
    """Uses a model and runs until the gate is opened."""
    return {**uses(name, salt), "3": gate_prompt(gate)["1"]}


def next_two(server: RealComfyUI, gate: str, salt: int, *, free: bool) -> list[str]:
    """Of a job with the other model and a later one with the resident model: which came first."""
    held = submit(server, holding(gate, "a.safetensors", salt))["id"]
    until_status(server, held, "running")
    names = {submit(server, uses(f"{name}.safetensors", salt))["id"]: name for name in "ba"}
    if free:
        assert server.post("/free", json={"unload_models": True}).status_code == 200
    open_gate(server, gate)
    return [names[job_id] for job_id in order_of_start(server, list(names))]


def test_two_models_by_turns_are_loaded_a_third_as_often(server: RealComfyUI):
    held = occupy(server, "abab")
    jobs = [submit(server, uses(f"{'ab'[n % 2]}.safetensors", n))["id"] for n in range(12)]
    before = metric(server, "model_loads_total")
    open_gate(server, "abab")
    order = order_of_start(server, jobs)
    assert until_ended(server, held)["status"] == "succeeded"
    assert all(job(server, one)["status"] == "succeeded" for one in jobs)
    loads = len({serial(server, one) for one in jobs})
    assert loads <= 4, f"{loads} loads: {[jobs.index(one) for one in order]}"
    assert metric(server, "model_loads_total") - before == loads
    for model in (0, 1):
        assert order_of_start(server, jobs[model::2]) == jobs[model::2]


def test_the_job_whose_model_is_loaded_goes_first(server: RealComfyUI):
    assert next_two(server, "loaded", 101, free=False) == ["a", "b"]
    assert metric(server, "models_loaded") == 1


def test_a_model_that_was_unloaded_is_not_resident_any_more(server: RealComfyUI):
    assert next_two(server, "freed", 102, free=True) == ["b", "a"]


def test_a_principal_of_weight_three_gets_three_times_as_much(server: RealComfyUI):
    held = occupy(server, "weights")
    jobs = {submit(server, quick(n), client_id=who)["id"]: who for n in range(200, 210) for who in ("bob", "ada")}
    open_gate(server, "weights")
    order = [jobs[job_id] for job_id in order_of_start(server, list(jobs))]
    assert until_ended(server, held)["status"] == "succeeded"
    assert [order[: 4 * n].count("ada") for n in (1, 2, 3)] == [3, 6, 9], order
