"""What ComfyUI's socket tells its clients about a prompt: the same frames in the same order, stock and with Expeditor.

Covered: a prompt that runs, one from the cache, one that fails, one that is interrupted, one without a client, previews,
feature flags, reconnecting, and the order in which `front` and `number` let prompts run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.host.socket_reader import Frame, SocketReader
from tests.host.stock_walk import (
    Pair,
    differences,
    ended,
    gate_prompt,
    image_prompt,
    open_gate,
    prompt_id,
    running,
    stock_and_expeditor,
)
from tests.support.comfy_server import RealComfyUI

CLIENT = "the-client"
OURS = "expeditor.event"


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with stock_and_expeditor() as servers:
        yield servers


def _submit(server: RealComfyUI, name: str, prompt: dict[str, Any], **further: Any) -> None:
    answer = server.post("/prompt", json={"prompt": prompt, "prompt_id": prompt_id(name), **further})
    assert answer.status_code == 200, answer.text


def _same(frames: list[list[Frame]], masked: tuple[tuple[str | int, ...], ...] = ()) -> list[Frame]:
    """Our frames, after comparing them with stock's: kinds in order, then every value that is not a clock.

    Expeditor's own event type comes on top; it is left out here and, by the first line, unheard of on stock.
    """
    assert OURS not in {frame.kind for frame in frames[0]}
    stock, ours = ([frame for frame in each if frame.kind != OURS] for each in frames)
    assert [frame.kind for frame in ours] == [frame.kind for frame in stock]
    assert [
        fault
        for left, right in zip(stock, ours, strict=True)
        for fault in differences(left.data, right.data, (left.kind,), masked)
    ] == []
    return ours


def _watch(
    pair: Pair, act: Callable[[RealComfyUI], None], last: Callable[[Frame], bool], client: str | None = CLIENT
) -> list[list[Frame]]:
    frames: list[list[Frame]] = []
    for server in pair.both:
        with SocketReader(server, client) as socket:
            assert socket.first.idle
            act(server)
            frames.append(socket.until(last))
    return frames


def _sleepy(salt: int, *, steps: int = 3, preview: bool = False) -> dict[str, Any]:
    """A picture, three steps of progress, and the picture saved."""
    sleepy = {
        "class_type": "ExpeditorTestSleepy",
        "inputs": {"seconds": 0.0, "steps": steps, "salt": salt, "preview": preview},
    }
    return {**image_prompt(salt), "3": sleepy}


def _kinds(frames: list[Frame]) -> list[str]:
    """Without `status` and `progress_state`, which come at any time; a repeated kind counts once."""
    kinds = [frame.kind for frame in frames if frame.kind not in ("status", "progress_state")]
    return [kind for index, kind in enumerate(kinds) if index == 0 or kinds[index - 1] != kind]


def test_a_prompt_that_runs(pair: Pair):
    def act(server: RealComfyUI) -> None:
        _submit(server, "runs", _sleepy(1), client_id=CLIENT)

    frames = _same(_watch(pair, act, lambda frame: frame.ends_prompt))
    seen = {frame.kind for frame in frames}
    assert {
        "status",
        "execution_start",
        "execution_cached",
        "executing",
        "progress",
        "executed",
        "execution_success",
    } <= seen
    assert _kinds(frames)[:3] == ["execution_start", "execution_cached", "executing"]
    assert _kinds(frames)[-2:] == ["execution_success", "executing"]
    assert [frame.data["value"] for frame in frames if frame.kind == "progress"] == [1, 2, 3]
    assert {frame.data["prompt_id"] for frame in frames if frame.kind != "status"} == {prompt_id("runs")}


def test_a_prompt_from_the_cache(pair: Pair):
    def act(server: RealComfyUI) -> None:
        _submit(server, "warm", _sleepy(2))
        ended(server, prompt_id("warm"))
        _submit(server, "cached", _sleepy(2), client_id=CLIENT)

    def last(frame: Frame) -> bool:
        return frame.ends_prompt and frame.data["prompt_id"] == prompt_id("cached")

    frames = _same(_watch(pair, act, last))
    told = [
        frame.data
        for frame in frames
        if frame.kind == "execution_cached" and frame.data["prompt_id"] == prompt_id("cached")
    ]
    assert sorted(told[0]["nodes"]) == ["1", "2", "3"]


@pytest.mark.parametrize("flags", [None, {}, {"supports_preview_metadata": True}], ids=["silent", "plain", "metadata"])
def test_previews_come_in_the_form_the_client_asked_for(pair: Pair, flags: dict[str, Any] | None):
    name = f"preview {flags}"
    frames: list[list[Frame]] = []
    for server in pair.both:
        with SocketReader(server, CLIENT, flags) as socket:
            before = [] if flags is None else socket.until(lambda frame: frame.kind == "feature_flags")
            _submit(server, name, _sleepy(len(name), preview=True), client_id=CLIENT)
            frames.append([*before, *socket.until(lambda frame: frame.ends_prompt)])
    # A preview with metadata holds the prompt's id and clocks: same length is not promised, the digest is not compared.
    ours = _same(frames, masked=(("binary 4",),))
    assert ("binary 4" if flags and "supports_preview_metadata" in flags else "binary 1") in {
        frame.kind for frame in ours
    }


def test_a_prompt_without_a_client_is_told_to_everyone_as_on_stock(pair: Pair):
    def act(server: RealComfyUI) -> None:
        _submit(server, "nobody's", _sleepy(4, preview=True))

    frames = _same(_watch(pair, act, lambda frame: frame.idle))
    assert {"status", "progress", "progress_state", "binary 1"} == {frame.kind for frame in frames}


def test_another_client_hears_only_the_queue(pair: Pair):
    def act(server: RealComfyUI) -> None:
        _submit(server, "another's", _sleepy(5, preview=True), client_id="somebody-else")

    frames = _same(_watch(pair, act, lambda frame: frame.idle))
    assert {frame.kind for frame in frames} == {"status"}


def test_a_node_that_raises(pair: Pair):
    raises = {"1": {"class_type": "ExpeditorTestRaises", "inputs": {"error": "ValueError", "text": "as told"}}}

    def act(server: RealComfyUI) -> None:
        _submit(server, "raises", raises, client_id=CLIENT)

    frames = _same(_watch(pair, act, lambda frame: frame.ends_prompt), masked=(("traceback", "*"),))
    told = next(frame.data for frame in frames if frame.kind == "execution_error")
    assert (told["exception_type"], told["exception_message"]) == ("ValueError", "as told\n")


@pytest.mark.parametrize("client", [CLIENT, None], ids=["own", "nobody's"])
def test_an_interrupted_prompt(pair: Pair, client: str | None):
    name = f"interrupted {client}"

    def act(server: RealComfyUI) -> None:
        _submit(server, name, gate_prompt("never"), **({"client_id": client} if client else {}))
        running(server, prompt_id(name))
        assert server.post("/interrupt", json={"prompt_id": prompt_id(name)}).status_code == 200

    frames = _same(_watch(pair, act, lambda frame: frame.ends_prompt if client else frame.idle))
    assert "execution_interrupted" in {frame.kind for frame in frames}


def test_a_client_that_comes_back_is_told_what_runs(pair: Pair):
    frames: list[list[Frame]] = []
    for server in pair.both:
        with SocketReader(server, CLIENT) as first:
            _submit(server, "comes back", gate_prompt("comes-back"), client_id=CLIENT)
            before = first.until(lambda frame: frame.kind == "executing")
        with SocketReader(server, CLIENT) as second:
            told = second.until(lambda frame: frame.kind == "executing")
            open_gate(server, "comes-back")
            frames.append([*before, second.first, *told, *second.until(lambda frame: frame.ends_prompt)])
    ours = _same(frames)
    assert Frame("executing", {"node": "1"}) in ours


def test_a_client_without_an_id_is_given_one(pair: Pair):
    for server in pair.both:
        with SocketReader(server, None) as socket:
            assert socket.first.kind == "status"
            assert len(socket.first.data["sid"]) == 32


def test_front_and_number_decide_who_runs_next(pair: Pair):
    """Three wait in line; `front` goes before them, a second `front` before the first, a negative number before both."""
    orders: list[list[str]] = []
    line: list[tuple[str, dict[str, Any]]] = [
        ("one", {}),
        ("two", {}),
        ("front", {"front": True}),
        ("three", {"front": False}),
        ("newer front", {"front": True}),
        ("first of all", {"number": -1_000_000}),
    ]
    for server in pair.both:
        with SocketReader(server, CLIENT) as socket:
            _submit(server, "holder", gate_prompt("holder"), client_id=CLIENT)
            running(server, prompt_id("holder"))
            for index, (name, further) in enumerate(line):
                _submit(server, name, image_prompt(100 + index), client_id=CLIENT, **further)
            open_gate(server, "holder")
            frames = socket.until(lambda frame: frame.idle)
        names = {prompt_id(name): name for name, _ in line}
        orders.append(
            [
                names[frame.data["prompt_id"]]
                for frame in frames
                if frame.kind == "execution_start" and frame.data["prompt_id"] in names
            ]
        )
    assert orders[0] == ["first of all", "newer front", "front", "one", "two", "three"]
    assert orders[1] == orders[0]
