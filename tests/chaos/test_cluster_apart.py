"""Instances that cannot reach each other, or have no room: two real ComfyUIs and a Redis, the second in a network namespace of the kernel
whose wire is cut, slow or whole. What runs is settled once, and results that cannot come home are held, told of and come later.

`gpu1` runs the pool `near`, `gpu2` the pool `far`, and both the default one.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from PIL import Image

from tests.host.jobs_client import job, quick, submit, until_ended, until_status
from tests.host.stock_walk import gate_prompt, open_gate
from tests.support.cluster import RealCluster, cluster_of_module
from tests.support.network import Network, NotHere
from tests.support.small_disk import small_disk
from tests.support.waiting import wait_until

LONG_S = 60.0
ENV = {"EXPEDITOR_LEASE_S": "3", "EXPEDITOR_HANDOVER_S": "3"}
POOLS = ({"EXPEDITOR_POOLS": '["default", "near"]'}, {"EXPEDITOR_POOLS": '["default", "far"]'})
DISK_BYTES = 128 * 1024


@pytest.fixture(scope="module")
def wire() -> Iterator[Network | NotHere]:
    """The wire to the second instance, or why there can be none."""
    with ExitStack() as stack:
        try:
            found = stack.enter_context(Network())
        except NotHere as why:
            found = why
        yield found


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest, wire: Network | NotHere) -> Iterator[RealCluster]:
    network = wire if isinstance(wire, Network) else None
    yield from cluster_of_module(request, shared_env=ENV, env=POOLS, network=network)


@pytest.fixture
def network(wire: Network | NotHere) -> Iterator[Network]:
    """The wire, whole again after the test."""
    if isinstance(wire, NotHere):
        pytest.skip(f"needs a machine that can be cut off: {wire}")
    yield wire
    wire.mend()


def saves(prefix: str, color: int = 0x00FF00) -> dict[str, Any]:
    return {
        "10": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": color}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["10", 0], "filename_prefix": prefix}},
    }


def picture_at_home(cluster: RealCluster, told: dict[str, Any]) -> int:
    """The status with which ComfyUI's own `/view` of the first instance answers for what the job's history there names."""
    entry = wait_until(lambda: cluster.a.get(f"/history/{told['id']}").json().get(told["id"]), what="the history")
    return cluster.a.get("/view", params=entry["outputs"]["2"]["images"][0]).status_code


def fault(instance: Any) -> str:
    return instance.get("/expeditor/health").json()["fault"] or ""


def comes_home(cluster: RealCluster, told: dict[str, Any]) -> None:
    """The held result arrives by itself, and nobody has anything to complain of any more."""
    wait_until(lambda: picture_at_home(cluster, told) == 200, LONG_S, 0.1, "the picture at home")
    for instance in cluster.instances:
        wait_until(lambda instance=instance: not fault(instance), LONG_S, 0.1, "no fault")


def test_what_a_cut_off_instance_runs_is_run_by_another_and_its_late_end_is_refused(
    cluster: RealCluster, network: Network
) -> None:
    ids = [submit(cluster.a, gate_prompt(f"cut-{n}"))["id"] for n in range(2)]
    runs = {until_status(cluster.a, one, "running")["instance"]: one for one in ids}
    assert runs.keys() == {"gpu1", "gpu2"}
    for n in range(2):
        open_gate(cluster.a, f"cut-{n}")
    assert until_ended(cluster.a, runs["gpu1"])["status"] == "succeeded"

    network.cut()
    told = until_ended(cluster.a, runs["gpu2"], LONG_S)
    assert [attempt["cause"] for attempt in told["attempts"]] == ["LEASE_LOST", None], cluster.logs()
    assert (told["status"], told["instance"]) == ("succeeded", "gpu1")

    # The one that is alone says so, and takes nothing that it could not keep.
    def alone() -> str | None:
        status, said = network.ask("GET", f"{cluster.b.url}/expeditor/ready")
        return said["reason"] if status == 503 else None

    reason = wait_until(alone, LONG_S, what="the word of the one that is cut off")
    assert reason == "store: The shared store cannot be used: it does not answer in time."
    _, health = network.ask("GET", f"{cluster.b.url}/expeditor/health")
    assert (health["status"], health["fault"]) == ("degraded", reason)
    status, refusal = network.ask("POST", f"{cluster.b.url}/expeditor/submit", {"prompt": saves("refused")})
    assert (status, refusal["error"]["code"]) == (503, "STORE_UNAVAILABLE")
    for n in range(2):
        open_gate(cluster.b, f"cut-{n}")  # its run ends while nobody hears of it

    network.mend()
    wait_until(lambda: cluster.b.get("/expeditor/ready").status_code == 200, LONG_S, 0.1, "its return")
    wait_until(lambda: "result.refused" in cluster.b.log_text(), LONG_S, 0.1, "the late end, refused")
    assert job(cluster.a, runs["gpu2"]) == told
    again = until_ended(cluster.a, submit(cluster.a, saves("again"), pool="far")["id"], LONG_S)
    assert (again["status"], again["instance"]) == ("succeeded", "gpu2")
    assert picture_at_home(cluster, again) == 200
    listed = {one["id"] for one in cluster.a.get("/expeditor/jobs").json()["jobs"]}
    assert listed == {*ids, again["id"]}, "what was refused was stored"


def test_a_maker_that_cannot_reach_the_origin_holds_the_result_and_says_so(
    cluster: RealCluster, network: Network
) -> None:
    network.cut(network.second)  # Redis is reached at the first address still
    told = until_ended(cluster.a, submit(cluster.a, saves("held"), pool="far")["id"], LONG_S)
    assert told["status"] == "succeeded"
    assert picture_at_home(cluster, told) == 404
    begin = (
        f"results: what is owed to instance gpu1 cannot be sent now: Instance gpu1 cannot be reached at {cluster.a.url}"
    )

    def said() -> str:
        return network.ask("GET", f"{cluster.b.url}/expeditor/health")[1]["fault"] or ""

    reason = wait_until(said, LONG_S, 0.2, "the maker's words")
    assert reason.startswith(begin), reason
    assert network.ask("GET", f"{cluster.b.url}/expeditor/ready")[0] == 200, "it works"
    network.mend()
    comes_home(cluster, told)


def test_over_a_slow_wire_the_next_job_does_not_wait_for_the_results_of_the_last(
    cluster: RealCluster, network: Network
) -> None:
    raw = io.BytesIO()
    Image.frombytes("RGB", (512, 512), os.urandom(512 * 512 * 3)).save(raw, "PNG")
    uploaded = cluster.a.post("/upload/image", files={"image": ("noise.png", raw.getvalue(), "image/png")})
    assert uploaded.status_code == 200
    prompt = saves("slow")
    prompt["10"] = {"class_type": "LoadImage", "inputs": {"image": "noise.png"}}
    try:
        network.slow("2mbit")  # three seconds for the picture
    except NotHere as why:
        pytest.skip(str(why))
    try:
        first = submit(cluster.a, prompt, pool="far")["id"]
        second = submit(cluster.a, quick(1), pool="far")["id"]
        assert until_ended(cluster.a, second, LONG_S)["status"] == "succeeded"
        assert job(cluster.a, first)["status"] == "running", "its result is on the way still"
        told = until_ended(cluster.a, first, LONG_S)
    finally:
        network.quick()
    assert told["status"] == "succeeded"
    comes_home(cluster, told)


def test_a_full_disk_at_home_holds_the_result_and_both_sides_say_so(cluster: RealCluster) -> None:
    output = cluster.a.base / "output"
    with small_disk(output, DISK_BYTES):
        filler = output / "filler"
        filler.write_bytes(bytes(DISK_BYTES))
        told = until_ended(cluster.a, submit(cluster.a, saves("full"), pool="far")["id"], LONG_S)
        assert told["status"] == "succeeded"
        at_home = wait_until(lambda: fault(cluster.a), LONG_S, 0.1, "what the first says")
        assert at_home.startswith("results: The file cannot be stored here: it needs "), at_home
        assert at_home.endswith(" bytes and 0 are free."), at_home
        at_maker = wait_until(lambda: fault(cluster.b), LONG_S, 0.1, "what the maker says")
        begin = (
            "results: what is owed to instance gpu1 cannot be sent now: Instance gpu1 answered 503 STORE_UNAVAILABLE"
        )
        assert at_maker.startswith(begin), at_maker
        assert " bytes and 0 are free." in at_maker, at_maker
        assert [each.get("/expeditor/ready").status_code for each in cluster.instances] == [200, 200]
        assert picture_at_home(cluster, told) == 404
        bytes_of = cluster.a.get(f"/expeditor/jobs/{told['id']}/outputs/0")
        assert (bytes_of.status_code, bytes_of.content[:4]) == (200, b"\x89PNG"), "the maker has them"
        filler.unlink()
        comes_home(cluster, told)
        assert [path.name for path in output.rglob("*") if path.is_file()] == ["full_00001_.png"]


def test_a_result_of_an_origin_that_was_killed_waits_for_it(cluster: RealCluster) -> None:
    held = submit(cluster.a, gate_prompt("killed") | saves("killed"), pool="far")["id"]
    until_status(cluster.a, held, "running")
    cluster.a.kill()
    open_gate(cluster.b, "killed")
    told = until_ended(cluster.b, held, LONG_S)
    assert told["status"] == "succeeded"
    cluster.a.start()
    comes_home(cluster, told)
