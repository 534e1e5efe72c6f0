"""Two instances that judge prompts, without ComfyUI and without a network: what each can run, and what `a` heard of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from expeditor.intake.abroad import Abroad, Asking, ForOthers
from expeditor.intake.ceilings import Ceilings
from expeditor.intake.judges import Judges
from expeditor.intake.validation import PromptValidation, ValidationRules
from expeditor.jobs.entry import CoreVerdict
from expeditor.jobs.errors import StoreUnavailable
from expeditor.jobs.instances import Capabilities, Instance, InstanceState
from expeditor.jobs.principals import PrincipalRules
from expeditor.jobs.questions import Answer, Question, answer_from, answer_json, question_from, question_json
from expeditor.runtime.members import Members, Picture
from tests.support.depth import depth
from tests.unit.intake.fake_definitions import ALL, FakeDefinitions

EVERY = frozenset(each.class_type for each in ALL)


class FakeTrustingCore:
    """Takes every prompt; its output is the last node."""

    def own(self) -> None:
        return None

    async def validate(self, prompt_id: str, prompt: dict[str, Any], targets: list[str] | None) -> CoreVerdict:
        return CoreVerdict(True, None, tuple(targets or list(prompt)[-1:]), {})


class FakeInputs:
    """Brings what it is told to bring."""

    def __init__(self, **renamed: str) -> None:
        self.renamed: Mapping[str, str] = renamed
        self.asked: list[str] = []

    async def bring(self, origin: str, prompt: dict[str, Any]) -> Mapping[str, str]:
        self.asked.append(origin)
        return self.renamed


class FakeWay:
    """Hands questions to other judges, through their form on the wire; `away` and `silent` name those that do not answer."""

    origin = "a"

    def __init__(self, **there: ForOthers) -> None:
        self.there = there
        self.away: set[str] = set()
        self.silent: set[str] = set()
        self.asked: list[str] = []

    async def ask(self, instance: str, question: Question) -> Answer:
        self.asked.append(instance)
        if instance in self.away:
            raise StoreUnavailable(f"Instance {instance} is away.")
        if instance in self.silent:
            await asyncio.Event().wait()
        question = question_from(question_json(question))
        return answer_from(answer_json(await self.there[instance].answer(question)))


def judges_of(*without: str, abroad: Abroad | None = None) -> Judges:
    """The judges of an instance that has all classes but these."""
    definitions = FakeDefinitions(*(each for each in ALL if each.class_type not in without))
    validation = PromptValidation(definitions, ValidationRules())
    return Judges(validation, FakeTrustingCore(), depth(), PrincipalRules(), Ceilings(), abroad=abroad or Abroad())


def worker(name: str, **fields: Any) -> Instance:
    """A living worker."""
    return Instance(name, f"{name}/1", f"http://{name}", "1", "2", 0.0, fields.pop("seen_at_s", 0.0), **fields)


def heard(
    lacks_here: frozenset[str], others: Mapping[Instance, Capabilities], models: frozenset[str] = frozenset()
) -> Members:
    """What `a` knows, which lacks these classes itself."""
    members = Members("a", ("default",), works=True)
    members.can(Capabilities(EVERY - lacks_here, models))
    instances = {"a": worker("a"), **{each.name: each for each in others}}
    members.draw(Picture(instances, {each.name: can for each, can in others.items()}))
    return members


def abroad_of(members: Members, way: Asking, within_s: float = 5.0) -> Abroad:
    """Who asks."""
    return Abroad(members, way, within_s=within_s)


GONE = InstanceState.GONE
