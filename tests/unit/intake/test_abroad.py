"""Prompts that need what this instance lacks: who is asked, which pool the job gets, and what is said when nobody can run it."""

from __future__ import annotations

from typing import Any

import pytest

from expeditor.intake.abroad import Abroad, ForOthers
from expeditor.intake.alike import BatchJudge
from expeditor.intake.judges import Judges
from expeditor.jobs.errors import InputInvalid, LinkInvalid, Refused, StoreUnavailable, UnknownNode
from expeditor.jobs.instances import Capabilities, Instance, InstanceState
from tests.support.neighbours_judges import EVERY, GONE, FakeInputs, FakeWay, abroad_of, heard, judges_of, worker
from tests.unit.intake.fake_definitions import graph

STYLE, ALL_OF_IT = frozenset({"Style"}), Capabilities(EVERY)


def styled(**inputs: Any) -> dict[str, Any]:
    prompt = graph()
    prompt["2"] = {"class_type": "Style", "inputs": {"image": ["1", 0], "style": "sketch", **inputs}}
    return prompt


class Here:
    """`a` lacks Style; each of the others has all classes but those it is said to lack."""

    def __init__(self, *others: Instance, can: dict[str, Capabilities] | None = None, within_s: float = 5.0) -> None:
        self.inputs = FakeInputs()
        able = {each: (can or {}).get(each.name, ALL_OF_IT) for each in others}
        there = {
            each.name: ForOthers(judges_of(*(EVERY - has.node_classes)), self.inputs) for each, has in able.items()
        }
        self.way = FakeWay(**there)
        self.members = heard(STYLE, able)
        self.abroad = abroad_of(self.members, self.way, within_s)
        self.judges: Judges = judges_of("Style", abroad=self.abroad)

    async def pool(self, pool: str | None = None) -> str | None:
        judged = await self.judges.judged("id", styled(), pool)
        assert (judged.outputs, judged.here) == (("3",), False)
        return judged.pool


async def refused(here: Here, prompt: Any, error: type[Refused] = UnknownNode) -> Refused:
    with pytest.raises(error) as raised:
        await here.judges.judged("id", prompt, None)
    return raised.value


async def test_who_has_the_class_says_what_runs():
    here = Here(worker("b"))
    made = await here.judges.judged(
        "id", graph() | {"4": styled()["2"], "5": {**graph()["3"], "inputs": {"images": ["4", 0]}}}, None
    )
    assert made.prompt["5"]["inputs"] == {"images": ["4", 0], "filename_prefix": "ComfyUI"}
    assert (made.outputs, made.pool, here.way.asked) == (("5",), None, ["b"])


async def test_what_runs_here_is_asked_of_nobody():
    here = Here(worker("b"))
    judged = await here.judges.judged("id", graph(), "gpu")
    assert (judged.pool, judged.here, here.way.asked) == ("gpu", True, [])


async def test_the_job_gets_a_pool_that_an_able_one_serves():
    both, other = worker("b", pools=("gpu", "default")), worker("c", pools=("gpu", "slow"))
    assert await Here(both).pool() is None
    assert await Here(other, both).pool("gpu") == "gpu"
    assert await Here(other).pool() == "gpu"
    assert await Here(other, both).pool("none") == "gpu"
    here = Here(worker("b", pools=("gpu",)), worker("c", pools=("default",), state=InstanceState.PAUSED))
    assert await here.pool() is None
    assert here.way.asked == ["c"], "one of the pool goes before one that is not paused"


async def test_its_faults_are_the_answer_and_nothing_but_lacking_is_asked():
    here = Here(worker("b"))
    wrong = await refused(here, styled(image=["1", 7]), LinkInvalid)
    assert [fault.pointer for fault in wrong.faults] == ["/prompt/2/inputs/image"]
    assert (wrong.faults[0].node_id, wrong.faults[0].class_type) == ("2", "Style")
    here.way.asked.clear()
    wide = graph()
    wide["1"]["inputs"]["width"] = -1
    await refused(here, wide, InputInvalid)
    assert here.way.asked == []


async def test_what_nobody_has_is_said_and_who_had_it():
    there, lone = worker("b"), Capabilities(EVERY - STYLE)
    nobody = await refused(Here(there, can={"b": lone}), styled())
    assert nobody.message == "Node 2: no living instance of this queue has the node class Style."
    assert (nobody.details["missing"], nobody.faults[0].pointer) == (["Style"], "/prompt/2/class_type")
    gone = worker("c", state=GONE, seen_at_s=1_700_000_000.0)
    older = worker("d", state=GONE, seen_at_s=1_600_000_000.0)
    nobody = await refused(Here(there, older, gone, can={"b": lone}), styled())
    assert nobody.message.endswith("Style. c had it, which was heard of last at 2023-11-14T22:13:20.000Z.")


async def test_classes_that_no_single_one_has_together():
    here = Here(worker("b"), can={"b": Capabilities(EVERY - {"ImageScale"})})
    prompt = styled() | {"4": {**graph()["2"]}}
    nobody = await refused(here, prompt)
    both = "no single instance has all node classes of this prompt: a lacks Style; b lacks ImageScale."
    assert nobody.message == f"Node 2: {both}"


async def test_a_model_that_only_another_has():
    here = Here(worker("b"), can={"b": Capabilities(EVERY, frozenset({"x.ckpt"}))})
    prompt = graph()
    prompt["2"]["inputs"]["upscale_method"] = "x.ckpt"
    wrong = await refused(here, prompt, InputInvalid)
    assert (here.way.asked, wrong.faults[0].pointer) == (["b"], "/prompt/2/inputs/upscale_method")


async def test_who_is_away_is_passed_over_and_all_away_is_503():
    here = Here(worker("b"), worker("c"), within_s=0.2)
    here.way.away.add("b")
    assert await here.pool() is None
    assert here.way.asked == ["b", "c"]
    here.way.silent.add("c")
    with pytest.raises(StoreUnavailable, match=r"\(b, c\).*Instance b is away\. Nothing was accepted"):
        await here.pool()
    here.way.away.clear()
    here.way.silent.add("b")
    with pytest.raises(StoreUnavailable, match="did not answer within"):
        await here.pool()


async def test_input_files_are_brought_only_if_they_are_wanted():
    here = Here(worker("b"))
    assert await here.pool() is None
    assert here.inputs.asked == []
    await refused(here, styled(style="mine.png"), InputInvalid)
    assert here.inputs.asked == ["a"]
    here.inputs.renamed = {"mine.png": "sketch"}
    judged = await here.judges.judged("id", styled(style="mine.png"), None)
    assert judged.prompt == styled(style="mine.png"), "as it was sent, not as it is named there"


async def test_one_that_has_just_joined_is_found_before_anything_is_refused():
    here = Here(worker("b"), can={"b": Capabilities(EVERY - STYLE)})
    looked: list[int] = []

    async def look() -> None:
        looked.append(1)
        if len(looked) == 1:
            here.members.draw(heard(STYLE, {worker("new"): ALL_OF_IT}).picture)

    here.way.there["new"] = ForOthers(judges_of(), here.inputs)
    here.abroad.join(look)
    assert await here.pool() is None
    assert (here.way.asked, looked) == (["new"], [1])
    for _ in range(3):
        await refused(here, styled() | {"7": {"class_type": "Nowhere", "inputs": {}}})
    assert looked == [1], "not more often than every second"


async def test_a_server_that_stands_alone_refuses_as_ever():
    with pytest.raises(UnknownNode, match="this server has no node class Style"):
        await judges_of("Style", abroad=Abroad()).judged("id", styled(), None)


async def test_a_batch_asks_for_what_is_new_and_strange_alone():
    here = Here(worker("b", pools=("gpu",)))
    judge = BatchJudge(here.judges, here.judges.validation)
    for number in range(5):
        prompt = styled()
        prompt["1"]["inputs"]["color"] = number
        judged = await judge.judge("id", prompt, None)
        assert (judged.prompt, judged.outputs, judged.pool) == (prompt, ("3",), "gpu")
    assert here.way.asked == ["b"]
    for _ in range(2):
        judged = await judge.judge("id", styled(style="vangogh"), None)
        assert (judged.prompt, judged.pool, len(here.way.asked)) == (styled(style="vangogh"), "gpu", 2)
    wrong = styled()
    wrong["1"]["inputs"]["color"] = -1
    with pytest.raises(InputInvalid):
        await judge.judge("id", wrong, None)
