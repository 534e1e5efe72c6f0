"""One instance asks another over real HTTP whether a prompt may run there."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from expeditor.host.asking import PeerQuestions
from expeditor.host.desk import InputHashes
from expeditor.host.fetching import Fetcher
from expeditor.host.foreign_inputs import ForeignInputs
from expeditor.intake.abroad import ForOthers
from expeditor.intake.judges import Judges
from expeditor.jobs.errors import InputInvalid, LinkInvalid, StoreUnavailable, UnknownNode
from expeditor.jobs.instances import Capabilities
from expeditor.routes.peers import SECRET_HEADER
from tests.support.neighbours_judges import EVERY, abroad_of, heard, judges_of, worker
from tests.support.peering import QUESTION_MAX_BYTES, SECRET, FakeMembers, Side
from tests.unit.intake.fake_definitions import graph

WITHIN_S = 5.0


class FakeBusy:
    """Takes its time over every question."""

    def __init__(self) -> None:
        self.asked = 0

    async def answer(self, question: Any) -> Any:
        self.asked += 1
        await asyncio.Event().wait()


def inputs_of(side: Side) -> ForeignInputs:
    """Brings input files to a side."""
    return ForeignInputs(
        name=side.name,
        folders=side.folders.get,
        hashes=InputHashes(),
        peers=side.peers,
        thread=side.thread,
        fetcher=lambda folder: Fetcher(side.peers, folder, 1_000_000),
    )


class LateInputs:
    """The inputs of a side that is still being made."""

    inputs: ForeignInputs

    async def bring(self, origin: str, prompt: dict[str, Any]) -> Any:
        return await self.inputs.bring(origin, prompt)


class Pair:
    """`a`, which lacks Style, and `b`, which has it."""

    def __init__(self, root: Path, verdicts: Any = None) -> None:
        members, late = FakeMembers(), LateInputs()
        self.a = Side("a", root, members).open()
        self.b = Side("b", root, members, verdicts=verdicts or ForOthers(judges_of(), late)).open()
        late.inputs = inputs_of(self.b)

    def judges(self, within_s: float = WITHIN_S) -> Judges:
        way = PeerQuestions("a", self.a.peers, self.a.thread, QUESTION_MAX_BYTES)
        known = heard(frozenset({"Style"}), {worker("b"): Capabilities(EVERY)})
        return judges_of("Style", abroad=abroad_of(known, way, within_s))

    def close(self) -> None:
        for side in (self.a, self.b):
            side.stop()
            side.close()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    made = Pair(tmp_path)
    yield made
    made.close()


def styled(**inputs: Any) -> dict[str, Any]:
    prompt = graph()
    prompt["2"] = {"class_type": "Style", "inputs": {"image": ["1", 0], "style": "sketch", **inputs}}
    return prompt


async def test_the_verdict_of_the_other_is_the_answer(pair: Pair) -> None:
    judged = await pair.judges().judged("id", styled(), None, ["3"])
    assert (judged.prompt, judged.outputs, judged.here) == (styled(), ("3",), False)
    with pytest.raises(LinkInvalid) as wrong:
        await pair.judges().judged("id", styled(image=["1", 5]), None)
    assert wrong.value.faults[0].pointer == "/prompt/2/inputs/image"


async def test_a_big_prompt_and_odd_texts_come_through(pair: Pair) -> None:
    prompt = styled()
    prompt["3"]["inputs"]["filename_prefix"] = "\ud800 ä" + "x" * 1_500_000
    assert (await pair.judges().judged("id", prompt, None)).prompt == prompt


async def test_an_input_file_is_fetched_to_where_the_prompt_is_judged(pair: Pair) -> None:
    pair.a.path("input", "mine.png").write_bytes(b"a picture")
    with pytest.raises(InputInvalid):  # the class of this test has no such choice, wherever the file is
        await pair.judges().judged("id", styled(style="mine.png"), None)
    assert [path.read_bytes() for path in pair.b.path("input", "expeditor").glob("*/mine.png")] == [b"a picture"]


async def test_one_that_is_away_or_slow_is_503(tmp_path: Path) -> None:
    busy = FakeBusy()
    pair = Pair(tmp_path, busy)
    try:
        with pytest.raises(StoreUnavailable, match=r"did not answer within 0\.5 s"):
            await pair.judges(within_s=0.5).judged("id", styled(), None)
        assert busy.asked == 1
        pair.b.members.urls["b"] = f"http://127.0.0.1:{_closed_port()}"
        with pytest.raises(StoreUnavailable, match="cannot be reached") as away:
            await pair.judges().judged("id", styled(), None)
        assert away.value.retry_after_s > 0
        del pair.b.members.urls["b"]
        with pytest.raises(StoreUnavailable, match="b is not there"):
            await pair.judges().judged("id", styled(), None)
    finally:
        pair.close()


async def test_one_of_a_version_without_the_question_is_away(pair: Pair, tmp_path: Path) -> None:
    old = Side("old", tmp_path, pair.a.members).open()
    pair.a.members.urls["b"] = old.served.url
    try:
        with pytest.raises(StoreUnavailable, match="404"):
            await pair.judges().judged("id", styled(), None)
    finally:
        old.stop()
        old.close()


async def test_it_asks_nobody_itself(pair: Pair) -> None:
    prompt = styled() | {"9": {"class_type": "Nowhere", "inputs": {}}}
    with pytest.raises(UnknownNode):
        await pair.judges().judged("id", prompt, None)


@pytest.mark.parametrize(
    ("secret", "body", "status"),
    [
        ("", {}, 401),
        ("wrong", {}, 401),
        (SECRET, {}, 422),
        (SECRET, {"origin": "a", "prompt_id": "id", "prompt": []}, 422),
        (SECRET, {"origin": "a", "prompt_id": "id", "prompt": {}, "targets": [1]}, 422),
        (SECRET, {"origin": "a", "prompt_id": "id", "prompt": {"1": 3}}, 200),
    ],
)
async def test_only_members_are_answered_and_nothing_is_a_500(pair: Pair, secret: str, body: Any, status: int) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"{pair.b.served.url}/expeditor/peer/validate", json=body, headers={SECRET_HEADER: secret}
        ) as answer,
    ):
        assert answer.status == status, await answer.text()


def _closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]
