"""Results are had on any instance, and input files come to the one that runs the job: over real HTTP, each as often as needed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from expeditor.host.desk import InputHashes
from expeditor.host.fetching import Fetcher
from expeditor.host.files import OutputFinder
from expeditor.host.foreign_inputs import ForeignInputs
from expeditor.host.remote_outputs import RemoteOutputs
from expeditor.jobs.errors import StoreUnavailable
from expeditor.jobs.instances import boot_id_of
from expeditor.jobs.model import Attempt, Claim, Job, JobError, JobStatus, Output, Payload
from expeditor.jobs.waits import Parked
from tests.support.peering import CuttingProxy, FakeMembers, Side, foreign_job

BIG = os.urandom(3_000_000)


@pytest.fixture
def sides(tmp_path: Path) -> Iterator[tuple[Side, Side, Side]]:
    members = FakeMembers()
    made = tuple(Side(name, tmp_path, members).open() for name in "abc")
    yield made
    for side in made:
        side.stop()
    for side in made:
        side.close()


def outputs_of(side: Side, most_bytes: int = 1 << 30) -> RemoteOutputs:
    folder = side.root / "fetched"
    return RemoteOutputs(
        name=side.name,
        local=OutputFinder(side.folders.get),
        desk=side.desk.find,
        fetcher=Fetcher(side.peers, folder, most_bytes),
        thread=side.thread,
        folder=folder,
    )


def inputs_of(side: Side) -> ForeignInputs:
    return ForeignInputs(
        name=side.name,
        folders=side.folders.get,
        hashes=InputHashes(),
        peers=side.peers,
        thread=side.thread,
        fetcher=lambda folder: Fetcher(side.peers, folder, 1 << 30),
    )


def ended(maker: Side, origin: str, content: bytes = BIG) -> tuple[Job, Output]:
    """A job of `origin` that `maker` ran, as it is stored."""
    output = maker.hand_over(origin, maker.make("output", "", "x.png", content)).outputs[0]
    attempt = Attempt(1, 1.0, boot_id_of(maker.name, "life"), 2.0, JobStatus.SUCCEEDED)
    job = replace(
        foreign_job(origin), status=JobStatus.SUCCEEDED, attempts=(attempt,), outputs=(output,), finished_at_s=2e9
    )
    return job, output


def test_any_instance_has_the_bytes(sides) -> None:
    job, output = ended(sides[1], "a")
    for side in sides:
        found = outputs_of(side).of_job(job, output)
        assert found is not None, side.name
        assert found.read_bytes() == BIG, side.name
    assert outputs_of(sides[0]).of_job(job, output) == sides[0].path("output", "b", "x.png")
    assert outputs_of(sides[1]).of_job(job, output) == sides[1].path("output", "x.png"), "the maker has it still"


def test_a_third_asks_once(sides) -> None:
    job, output = ended(sides[1], "a")
    outputs = outputs_of(sides[2])
    found = outputs.of_job(job, output)
    assert found is not None
    home = sides[0].path("output", "b", "x.png")
    assert found.stat().st_mtime_ns == home.stat().st_mtime_ns, "one entity tag on all instances"
    sides[0].close()
    sides[1].close()
    again = outputs.of_job(job, output)
    assert again == found


def test_while_home_is_away_the_maker_is_asked(sides) -> None:
    origin, maker, third = sides
    url = maker.members.urls.pop("a")
    job, output = ended(maker, "a")
    found = outputs_of(third).of_job(job, output)
    assert found is not None
    assert found.read_bytes() == BIG
    own = outputs_of(maker).of_job(job, output)
    assert own is not None
    assert own.read_bytes() == BIG
    maker.members.urls["a"] = url
    asked = outputs_of(origin).of_job(job, output)
    assert asked is not None, "the origin asks too, until it has come"
    assert asked.read_bytes() == BIG


def test_whoever_cannot_be_asked_is_told_of(sides) -> None:
    origin, maker, third = sides
    url = maker.members.urls.pop("a")
    job, output = ended(maker, "a")
    maker.members.urls.pop("b")
    for side in (third, origin):
        with pytest.raises(StoreUnavailable, match="on another instance"):
            outputs_of(side).of_job(job, output)
    maker.members.urls["a"] = url


def test_what_was_removed_at_home_is_gone(sides) -> None:
    origin, maker, third = sides
    job, output = ended(maker, "a")
    origin.path("output", "b", "x.png").unlink()
    maker.path("output", "x.png").unlink()
    assert outputs_of(origin).of_job(job, output) is None
    assert outputs_of(third).of_job(job, output) is None
    maker.members.urls.pop("b")
    assert outputs_of(origin).of_job(job, output) is None, "it was here, and nobody waits for the maker"


def test_a_file_of_another_length_is_another_file(sides) -> None:
    origin, maker, third = sides
    job, output = ended(maker, "a", b"one")
    for place in (origin.path("output", "b", "x.png"), maker.path("output", "x.png")):
        place.write_bytes(b"another")
    assert outputs_of(third).of_job(job, output) is None


def test_what_was_not_used_for_long_goes_first(sides) -> None:
    folder = sides[2].root / "fetched"
    folder.mkdir()
    for name, used_s in (("old", 1_000.0), ("older", 500.0)):
        (folder / name).write_bytes(b"x" * 1_000_000)
        os.utime(folder / name, (used_s, used_s))
    job, output = ended(sides[1], "a")
    found = outputs_of(sides[2], most_bytes=4_100_000).of_job(job, output)
    assert found is not None
    assert (folder / "old").exists()
    assert not (folder / "older").exists()


# -- input files -----------------------------------------------------------------------------------------------------


def claim_of(origin: str | None, **inputs: Any) -> Claim:
    prompt = {
        "1": {"class_type": "LoadImage", "inputs": inputs},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
    }
    return Claim(foreign_job(origin), Payload(json.dumps(prompt), "{}", "[]"), 1)


def inputs_in(claim: Any) -> dict[str, Any]:
    assert isinstance(claim, Claim), claim
    return json.loads(claim.payload.prompt_json)["1"]["inputs"]


def test_an_input_file_comes_with_the_job(sides) -> None:
    origin, maker, third = sides
    origin.make("input", "", "cat.png", BIG)
    origin.make("input", "sub", "dog.png", b"dog")
    claim = claim_of("a", image="cat.png", more=["sub/dog.png [input]"], text="cat.png, detailed", other="no.png")
    ready = inputs_in(inputs_of(maker).ready(claim))
    assert maker.path("input", ready["image"]).read_bytes() == BIG
    assert ready["image"].startswith("expeditor/")
    assert ready["image"].endswith("/cat.png")
    assert ready["more"][0].endswith("/dog.png [input]")
    assert maker.path("input", ready["more"][0].removesuffix(" [input]")).read_bytes() == b"dog"
    assert (ready["text"], ready["other"]) == ("cat.png, detailed", "no.png")
    assert inputs_in(claim)["image"] == "cat.png", "the stored prompt does not change"
    third.make("input", "", "cat.png", BIG)
    same = inputs_in(inputs_of(maker).ready(claim_of("c", image="cat.png")))
    assert same["image"] == ready["image"], (
        "equal bytes have one name, whoever sends them, so ComfyUI's cache knows them"
    )


def test_an_input_file_is_fetched_once(sides) -> None:
    origin, maker, _ = sides
    origin.make("input", "", "cat.png", BIG)
    inputs = inputs_of(maker)
    first = maker.path("input", inputs_in(inputs.ready(claim_of("a", image="cat.png")))["image"])
    number = first.stat().st_ino
    again = maker.path("input", inputs_in(inputs.ready(claim_of("a", image="cat.png")))["image"])
    assert again.stat().st_ino == number


def test_the_same_file_here_is_used_and_another_one_is_not(sides) -> None:
    origin, maker, _ = sides
    origin.make("input", "", "cat.png", BIG)
    maker.make("input", "", "cat.png", BIG[:-1] + bytes([BIG[-1] ^ 1]))
    assert inputs_in(inputs_of(maker).ready(claim_of("a", image="cat.png")))["image"] != "cat.png"
    maker.make("input", "", "cat.png", BIG)
    assert inputs_in(inputs_of(maker).ready(claim_of("a", image="cat.png")))["image"] == "cat.png"


def test_a_file_that_changed_comes_anew(sides) -> None:
    origin, maker, _ = sides
    origin.make("input", "", "cat.png", b"one")
    first = inputs_in(inputs_of(maker).ready(claim_of("a", image="cat.png")))["image"]
    origin.make("input", "", "cat.png", b"other")
    second = inputs_in(inputs_of(maker).ready(claim_of("a", image="cat.png")))["image"]
    assert maker.path("input", first).read_bytes() == b"one"
    assert maker.path("input", second).read_bytes() == b"other"


@pytest.mark.parametrize("origin", [None, "b", "nobody"])
def test_nothing_to_fetch_asks_nobody(sides, origin) -> None:
    claim = claim_of(origin, text="a cat. 4k", model="x.safetensors", steps=20)
    assert inputs_of(sides[1]).ready(claim) is claim


def test_an_origin_that_is_away_puts_the_job_off(sides) -> None:
    refused = inputs_of(sides[1]).ready(claim_of("nobody", image="cat.png"))
    assert isinstance(refused, JobError)
    assert refused.code == "UPSTREAM_UNAVAILABLE"
    assert "nobody" in refused.message


@pytest.mark.parametrize(("keeper", "goes_on"), [("b", True), ("c", False)])
def test_a_job_that_was_parked_here_goes_on_while_its_origin_is_away(sides, keeper, goes_on) -> None:
    origin, maker, _ = sides
    origin.make("input", "", "cat.png", BIG)
    inputs, claim = inputs_of(maker), claim_of("a", image="cat.png")
    first = inputs_in(inputs.ready(claim))
    del maker.members.urls["a"]
    assert isinstance(inputs.ready(claim), JobError)
    parked = replace(claim, job=replace(claim.job, parked=Parked(boot_id=boot_id_of(keeper, "life"))))
    again = inputs.ready(parked)
    assert (not isinstance(again, JobError) and inputs_in(again) == first) is goes_on


def test_a_fetch_that_is_cut_is_resumed(sides) -> None:
    origin, maker, _ = sides
    origin.make("input", "", "cat.png", BIG)
    proxy = CuttingProxy(origin.served.port, after_bytes=1_000_000, from_server=True)
    maker.members.urls["a"], proxy.cuts = proxy.url, 2
    try:
        ready = inputs_in(inputs_of(maker).ready(claim_of("a", image="cat.png")))
    finally:
        proxy.close()
    assert proxy.cuts == 0
    assert proxy.passed < 2 * len(BIG), "what had come was not fetched again"
    assert maker.path("input", ready["image"]).read_bytes() == BIG


def test_nothing_half_is_left_of_wrong_bytes(sides) -> None:
    origin, maker, _ = sides
    path = origin.path("input", "cat.png")
    origin.make("input", "", "cat.png", BIG)
    inputs_of(maker).ready(claim_of("a", image="cat.png"))
    facts = path.stat()
    path.write_bytes(BIG[:-1] + bytes([BIG[-1] ^ 1]))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))  # its remembered hash is wrong now
    for kept in maker.path("input", "expeditor").rglob("*.png"):
        kept.unlink()
    assert isinstance(inputs_of(maker).ready(claim_of("a", image="cat.png")), JobError)
    assert [found for found in maker.path("input").rglob("*") if found.is_file()] == []
