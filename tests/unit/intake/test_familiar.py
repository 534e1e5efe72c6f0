"""Graphs that differ from one that core took in plain values alone: not asked about again, with the verdict that each would get alone."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expeditor.intake.ceilings import Ceilings
from expeditor.intake.familiar import Remembered
from expeditor.intake.judges import Judges
from expeditor.intake.validation import PromptValidation, ValidationRules
from expeditor.jobs.entry import CoreVerdict
from expeditor.jobs.errors import Refused
from expeditor.jobs.principals import PrincipalRules
from tests.support.depth import depth
from tests.unit.intake.fake_definitions import FakeDefinitions

FLOATS = ("factor", "free")


class FakeCoercingCore:
    """Makes floats of what is declared so, as core does; `mark` stands for the function that validates."""

    def __init__(self) -> None:
        self.asked = 0
        self.mark: object = "core's"
        self.valid = True

    def own(self):
        return self.mark

    async def validate(self, prompt_id, prompt, targets):
        self.asked += 1
        for node in prompt.values():
            inputs = node["inputs"]
            if node["class_type"] == "Blend":
                inputs.update({name: float(inputs[name]) for name in FLOATS if isinstance(inputs.get(name), int)})
        return CoreVerdict(self.valid, None if self.valid else {"type": "x", "message": "no"}, ("9",), {})


def judged_by(core: FakeCoercingCore, definitions: FakeDefinitions | None = None) -> Judges:
    validation = PromptValidation(definitions or FakeDefinitions(), ValidationRules())
    return Judges(validation, core, depth(), PrincipalRules(), Ceilings())


def blend(**inputs: Any) -> dict[str, Any]:
    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 255}},
        "2": {"class_type": "Blend", "inputs": {"a": ["1", 0], "factor": 0.5, "free": 0.5, "note": "", "flip": False}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
    }
    prompt["2"]["inputs"].update(inputs)
    return prompt


async def asked_for(*prompts: dict[str, Any]) -> int:
    core = FakeCoercingCore()
    judges = judged_by(core)
    for prompt in prompts:
        await judges.prompt("id", prompt)
    return core.asked


async def test_other_plain_values_cost_core_nothing():
    assert await asked_for(*(blend(factor=n / 20, note=f"n{n}", flip=n % 2 == 0, level=1) for n in range(20))) == 20
    assert await asked_for(*(blend(factor=n / 20, note=f"n{n}", flip=n % 2 == 0) for n in range(20))) == 1


async def test_integers_where_core_has_floats_become_floats_each_time():
    judges = judged_by(core := FakeCoercingCore())
    made = [(await judges.prompt("id", blend(factor=n, free=7)))[0] for n in (1, 0, 1)]
    assert [json.dumps(prompt["2"]["inputs"]["factor"]) for prompt in made] == ["1.0", "0.0", "1.0"]
    assert all(json.dumps(prompt["2"]["inputs"]["free"]) == "7.0" for prompt in made)
    assert core.asked == 1


@pytest.mark.parametrize(
    "other",
    [
        blend(a=["1", False]),
        blend(b=["1", 0]),
        blend(level=1),
        blend(factor="0.5"),
        blend(note={"__value__": "x"}),
        blend(unknown=1),
        dict(reversed(blend().items())),
        {**blend(), "8": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64}}},
    ],
)
async def test_whatever_else_differs_is_asked_about(other):
    assert await asked_for(blend(), other) == 2


async def test_undeclared_inputs_are_as_nothing_to_core():
    assert await asked_for(blend(unknown=1), blend(unknown="x"), blend(unknown={"a": None})) == 1


async def test_a_node_that_validates_itself_is_asked_about_each_time():
    loading = {
        "1": {"class_type": "Loader", "inputs": {"image": "a.png"}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }
    assert await asked_for(loading, loading, loading) == 3


async def test_another_validation_or_none_of_cores_own_is_asked():
    judges = judged_by(core := FakeCoercingCore())
    await judges.prompt("id", blend())
    core.mark = "another's"
    await judges.prompt("id", blend())
    assert core.asked == 2
    core.mark = None
    for _ in range(3):
        await judges.prompt("id", blend())
    assert core.asked == 5


async def test_targets_are_another_question_and_a_refusal_is_not_remembered():
    judges = judged_by(core := FakeCoercingCore())
    core.valid = False
    for _ in range(2):
        with pytest.raises(Refused):
            await judges.prompt("id", blend())
    core.valid = True
    await judges.prompt("id", blend())
    await judges.prompt("id", blend(), ["9"])
    assert core.asked == 4


async def test_a_changed_declaration_is_another_class():
    definitions = FakeDefinitions()
    judges = judged_by(core := FakeCoercingCore(), definitions)
    await judges.prompt("id", blend(factor=1.0))
    definitions.change("Blend", "factor", options={"min": 0.0, "max": 0.5})
    with pytest.raises(Refused) as refused:
        await judges.prompt("id", blend(factor=1.0))
    assert [fault.pointer for fault in refused.value.faults] == ["/prompt/2/inputs/factor"]
    await judges.prompt("id", blend(factor=0.5))
    assert core.asked == 2


async def test_a_slip_beside_a_default_is_refused_also_after_both_were_sent():
    judges = judged_by(FakeCoercingCore())
    whole = blend(factr=0.1)
    inputs = whole["2"]["inputs"]
    inputs["factor"] = inputs.pop("factor")  # at the place where the default would stand
    await judges.prompt("id", copy.deepcopy(whole))
    del inputs["factor"]
    with pytest.raises(Refused):
        await judges.prompt("id", whole)


VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-2, 70)
    | st.floats(-1, 2)
    | st.sampled_from(["", "x", "area", "9" * 5])
    | st.sampled_from([["1", 0], ["2", 1], ["2", 5], ["9", 0], ["1"], [1, 0], {"__value__": 1}, {}])
)
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["1", "2", "9"]),
        st.sampled_from(
            [
                "width",
                "color",
                "a",
                "b",
                "factor",
                "free",
                "note",
                "flip",
                "level",
                "images",
                "factr",
                "filename_prefix",
            ]
        ),
        VALUES,
    ),
    max_size=3,
)


def mutated(changes: list[tuple[str, str, Any]]) -> dict[str, Any]:
    prompt = blend()
    for node_id, name, value in changes:
        if value is None and name in prompt[node_id]["inputs"]:
            del prompt[node_id]["inputs"][name]
        else:
            prompt[node_id]["inputs"][name] = copy.deepcopy(value)
    return prompt


async def verdict_of(judges: Judges, prompt: dict[str, Any]) -> str:
    try:
        found, outputs = await judges.prompt("id", prompt)
    except Refused as refused:
        return repr([(fault.pointer, fault.code, fault.message) for fault in refused.faults])
    return json.dumps([found, outputs])


@settings(deadline=None, max_examples=150)
@given(graphs=st.lists(CHANGES, min_size=2, max_size=8))
async def test_every_graph_gets_the_verdict_that_it_would_get_alone(graphs):
    warm = judged_by(FakeCoercingCore())
    for changes in graphs:
        alone = judged_by(FakeCoercingCore())
        assert await verdict_of(warm, mutated(changes)) == await verdict_of(alone, mutated(changes))


def test_what_was_asked_for_longest_ago_is_forgotten_first():
    known: Remembered[int] = Remembered(2)
    known.put("a", 1)
    known.put("b", 2)
    assert known.get("a") == 1
    known.put("c", 3)
    assert (known.get("a"), known.get("b"), known.get("c")) == (1, None, 3)
