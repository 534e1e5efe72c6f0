"""Prompts of one batch that differ in plain values: judged once, with the verdict that each would get alone."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expeditor.intake.alike import BatchJudge, changed_values
from expeditor.intake.ceilings import Ceilings
from expeditor.intake.judges import Judges
from expeditor.intake.validation import PromptValidation, ValidationRules
from expeditor.jobs.entry import CoreVerdict
from expeditor.jobs.errors import Refused
from expeditor.jobs.principals import PrincipalRules
from tests.support.depth import depth
from tests.unit.intake.fake_definitions import FakeDefinitions, graph


class FakeCoercingCore:
    """Coerces FLOATs as core does, and refuses the texts that it is told to."""

    def __init__(self, refused: str = "") -> None:
        self.asked = 0
        self.refused = refused

    def own(self):
        return None

    async def validate(self, prompt_id, prompt, targets):
        self.asked += 1
        for node_id, node in prompt.items():
            inputs = node["inputs"]
            if node["class_type"] == "Blend" and not isinstance(inputs["factor"], list):
                inputs["factor"] = float(inputs["factor"])
            if self.refused and self.refused in inputs.values():
                error = {
                    "type": "custom_validation_failed",
                    "message": "no",
                    "details": "",
                    "extra_info": {"input_name": "image"},
                }
                report = {"errors": [error], "dependent_outputs": ["9"], "class_type": node["class_type"]}
                return CoreVerdict(
                    False, {"type": "prompt_outputs_failed_validation", "message": "x"}, (), {node_id: report}
                )
        return CoreVerdict(True, None, tuple(targets or ("9",)), {})


def judged_by(core: FakeCoercingCore) -> BatchJudge:
    validation = PromptValidation(FakeDefinitions(), ValidationRules())
    judges = Judges(validation, core, depth(), PrincipalRules(), Ceilings())
    return BatchJudge(judges, validation)


def blend(**inputs: Any) -> dict[str, Any]:
    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 255}},
        "2": {"class_type": "Blend", "inputs": {"a": ["1", 0], "factor": 0.5, "free": 0.5, "note": "", "flip": False}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
    }
    prompt["2"]["inputs"].update(inputs)
    return prompt


async def test_values_of_the_right_type_cost_core_nothing():
    core = FakeCoercingCore()
    judge = judged_by(core)
    for n in range(20):
        judged = await judge.judge("id", blend(factor=n / 20, note=f"n{n}", flip=n % 2 == 0), None)
        assert judged.prompt == blend(factor=n / 20, note=f"n{n}", flip=n % 2 == 0)
        assert judged.outputs == ("9",)
    assert core.asked == 1


async def test_a_value_that_core_would_change_is_changed_each_time_and_asked_for_once():
    core = FakeCoercingCore()
    judge = judged_by(core)
    factors = [
        (await judge.judge("id", blend(factor=f), None)).prompt["2"]["inputs"]["factor"] for f in (0.5, 1, 0, 1, 1)
    ]
    assert [(type(factor), factor) for factor in factors] == [
        (float, 0.5),
        (float, 1.0),
        (float, 0.0),
        (float, 1.0),
        (float, 1.0),
    ]
    assert core.asked == 3


async def test_a_node_that_validates_itself_is_asked_about_each_value_once():
    core = FakeCoercingCore(refused="b.png")
    judge = judged_by(core)

    def loading(image: str, prefix: str) -> dict[str, Any]:
        return {
            "1": {"class_type": "Loader", "inputs": {"image": image}},
            "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
        }

    for prefix in "xyz":
        await judge.judge("id", loading("a.png", prefix), None)
        await judge.judge("id", loading("c.png", prefix), None)
        with pytest.raises(Refused) as refused:
            await judge.judge("id", loading("b.png", prefix), None)
        assert refused.value.faults[0].pointer == "/prompt/1/inputs/image"
    assert core.asked == 2 + 3


async def test_a_bad_value_is_refused_and_the_next_good_one_is_not():
    judge = judged_by(FakeCoercingCore())
    await judge.judge("id", blend(), None)
    with pytest.raises(Refused) as refused:
        await judge.judge("id", blend(factor=2.0), None)
    assert [fault.pointer for fault in refused.value.faults] == ["/prompt/2/inputs/factor"]
    with pytest.raises(Refused):
        await judge.judge("id", blend(note="x" * 20_000_000), None)
    assert (await judge.judge("id", blend(factor=1.0), None)).prompt["2"]["inputs"]["factor"] == 1.0


async def test_each_prompt_is_an_object_of_its_own_and_what_was_sent_stays():
    judge = judged_by(FakeCoercingCore())
    sent = [blend(factor=1), blend(factor=1), blend(factor=0.25)]
    before = copy.deepcopy(sent)
    made = [(await judge.judge("id", prompt, None)).prompt for prompt in sent]
    assert sent == before
    made[0]["1"]["inputs"]["color"] = "spoilt"
    assert [prompt["1"]["inputs"]["color"] for prompt in made[1:]] == [255, 255]


async def test_other_targets_are_another_question():
    core = FakeCoercingCore()
    judge = judged_by(core)
    assert (await judge.judge("id", blend(), None)).outputs == ("9",)
    assert (await judge.judge("id", blend(factor=0.1), ["2"])).outputs == ("2",)
    assert core.asked == 2


@pytest.mark.parametrize("prompt", [None, [], "x", {}, {"1": None}, {"1": {"class_type": "EmptyImage"}}])
async def test_what_is_no_prompt_is_refused(prompt):
    judge = judged_by(FakeCoercingCore())
    await judge.judge("id", graph(), None)
    with pytest.raises(Refused):
        await judge.judge("id", prompt, None)


# -- what two prompts have in common -------------------------------------------------------------------------------------


def test_one_true_and_1_0_are_three_values():
    one = blend(note=1)
    assert changed_values(one, blend(note=1)) == {}
    assert changed_values(one, blend(note=True)) == {"2": {"note": True}}
    assert changed_values(one, blend(note=1.0)) == {"2": {"note": 1.0}}
    assert changed_values(blend(a=["1", 0]), blend(a=["1", False])) is None


def _changed(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    prompt = blend()
    place: Any = prompt
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return prompt


@pytest.mark.parametrize(
    "other",
    [
        _changed(("1",), None),
        _changed(("8",), {"class_type": "EmptyImage", "inputs": {}}),
        _changed(("1", "class_type"), "Other"),
        _changed(("1", "_meta"), {"title": "x"}),
        _changed(("1", "inputs", "color"), None),
        _changed(("1", "inputs", "more"), 1),
        _changed(("2", "inputs", "a"), ["9", 0]),
        _changed(("2", "inputs", "a"), "no link"),
        _changed(("2", "inputs", "factor"), ["1", 0]),
        _changed(("2", "inputs", "factor"), {"__value__": 1}),
        dict(reversed(blend().items())),
        [],
    ],
)
def test_more_than_plain_values_is_another_prompt(other):
    assert changed_values(blend(), other) is None


PLAIN = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-2, 2) | st.text(max_size=3)


@settings(deadline=None, max_examples=60)
@given(
    values=st.lists(st.tuples(PLAIN, PLAIN, PLAIN, st.sampled_from([0, 255, -1, "5", True])), min_size=2, max_size=5)
)
async def test_the_verdict_is_the_one_that_each_would_get_alone(values):
    """Of a batch each prompt is judged as by a judge that has never seen another."""
    together = judged_by(FakeCoercingCore())
    for factor, note, flip, color in values:
        prompt = blend(factor=factor, note=note, flip=flip)
        prompt["1"]["inputs"]["color"] = color
        assert await _verdict(together, prompt) == await _verdict(judged_by(FakeCoercingCore()), prompt)


async def _verdict(judge: BatchJudge, prompt: dict[str, Any]) -> Any:
    try:
        judged = await judge.judge("id", prompt, None)
    except Refused as refused:
        return refused.code, [(fault.pointer, fault.message) for fault in refused.faults]
    return json.dumps(judged.prompt), judged.outputs
