"""Prompts that need what this instance lacks: an instance that has it is asked whether they may enter.

Owns who is asked, for how long, which pool the job gets, and what is said when nobody can run it; and the other half, the answer to
somebody who asks. Does not own who is there (``runtime.members``) nor the way to them (``host.asking``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

from ..jobs.errors import Fault, InputInvalid, Refused, StoreUnavailable, UnknownNode
from ..jobs.instances import Instance, InstanceState
from ..jobs.leftovers import renamed_inputs
from ..jobs.model import JsonObject
from ..jobs.models_named import classes_in, models_named
from ..jobs.questions import Answer, Question, Refusal
from ..jobs.times import rfc3339
from .faults import refusal, refused_as, short

ASK_WITHIN_S = 5.0
"""How long a submit waits for the verdict of others, all of them together."""
LOOK_EVERY_S = 1.0
"""An instance that has just joined is not told of to each other one: before a prompt is refused because nobody can run it, it is looked."""
_NAMED = 10
_SHARES = 2


@dataclass(frozen=True, slots=True)
class Judgement:
    """A prompt that may run, the outputs to execute, and the pool to ask for (None: the usual one). ``here``: it can run here."""

    prompt: JsonObject
    outputs: tuple[str, ...]
    pool: str | None
    here: bool = True


class Others(Protocol):
    """Who else is there; ``runtime.members`` fits. Asks nobody: what was heard last."""

    def usual(self) -> str:
        """The pool of a job that names none."""
        ...

    def missing(self, node_classes: frozenset[str], models: frozenset[str]) -> frozenset[str]:
        """What of these is missing here: node classes, and models that another instance has."""
        ...

    def able_elsewhere(self, node_classes: frozenset[str], models: frozenset[str]) -> tuple[Instance, ...]:
        """The other living workers that can run such a job."""
        ...

    def lacks(self, node_classes: frozenset[str]) -> Mapping[str, frozenset[str]]:
        """By living worker, which of these it has not."""
        ...

    def had(self, node_class: str) -> tuple[Instance, ...]:
        """The workers that are gone and had this class, the one that was heard of last first."""
        ...


class Asking(Protocol):
    """The way to other instances; ``host.asking`` fits."""

    @property
    def origin(self) -> str:
        """Who asks: this instance."""
        ...

    async def ask(self, instance: str, question: Question) -> Answer:
        """What that instance says. Raises ``StoreUnavailable`` when it cannot be asked now, ``Refused`` when it does not understand."""
        ...


class Abroad:
    """See the module's docstring. Made without others, it has no better answer than the refusal that it is given."""

    def __init__(
        self, others: Others | None = None, asking: Asking | None = None, *, within_s: float = ASK_WITHIN_S
    ) -> None:
        """``within_s`` bounds the wait for all who are asked about one prompt."""
        self._others = others
        self._asking = asking
        self._within_s = within_s
        self._look: Callable[[], Awaitable[None]] | None = None
        self._looked_at_s = -LOOK_EVERY_S

    def join(self, look: Callable[[], Awaitable[None]]) -> None:
        """``look`` has the others known as they are now; until it is given, what was heard last has to do. Raises ``StoreUnavailable``."""
        self._look = look

    async def judged(
        self, refused: Refused, prompt_id: str, prompt: object, targets: list[str] | None, pool: str | None
    ) -> Judgement:
        """The judgement of an instance that can run what was refused here for want of something. Raises ``Refused``: the given one where
        nothing is wanting; ``StoreUnavailable`` when those who can run it cannot be asked now."""
        others, asking = self._others, self._asking
        if others is None or asking is None or not isinstance(prompt, dict):
            raise refused
        graph = cast("JsonObject", prompt)
        classes, models = classes_in(graph), frozenset(models_named(graph))
        able = others.able_elsewhere(classes, models) if others.missing(classes, models) else ()
        if not able and isinstance(refused, UnknownNode):
            # No instance has all the models, or all that it names are not models: who has the classes knows what is wrong.
            able = others.able_elsewhere(classes, frozenset())
            if not able and await self._looked():
                able = others.able_elsewhere(classes, models) or others.able_elsewhere(classes, frozenset())
            if not able:
                raise _nobody(refused, others, classes)
        if not able:
            raise refused
        wanted = pool or others.usual()
        ordered = sorted(able, key=lambda each: (wanted not in each.pools, each.state is not InstanceState.ACTIVE))
        asked, answer = await self._ask(asking, ordered, Question(asking.origin, prompt_id, graph, targets))
        if answer.refusal is not None:
            raise refused_as(answer.refusal.message, answer.refusal.faults, answer.refusal.details)
        served = any(wanted in each.pools for each in able)
        return Judgement(answer.prompt, answer.outputs, pool if served else asked.pools[0], here=False)

    async def _looked(self) -> bool:
        """Whether the others were looked at anew: not if that was done just now, whoever sends what nobody knows."""
        now_s = asyncio.get_running_loop().time()
        if self._look is None or now_s < self._looked_at_s + LOOK_EVERY_S:
            return False
        self._looked_at_s = now_s
        await self._look()
        return True

    async def _ask(self, asking: Asking, able: list[Instance], question: Question) -> tuple[Instance, Answer]:
        loop = asyncio.get_running_loop()
        until_s, why = loop.time() + self._within_s, ""
        for place, each in enumerate(able):
            # A machine that has just died answers nothing at all: those behind it are to have their time too.
            share_s = max(until_s - loop.time(), 0.0) / min(len(able) - place, _SHARES)
            try:
                return each, await asyncio.wait_for(asking.ask(each.name, question), share_s)
            except StoreUnavailable as away:
                why = why or away.message
            except asyncio.TimeoutError:
                why = why or f"Instance {each.name} did not answer within {share_s:.1f} s."
        names = ", ".join(each.name for each in able[:_NAMED])
        text = f"The prompt needs what only other instances have ({names}), and none of them can be asked now. {why}"
        raise StoreUnavailable(f"{text} Nothing was accepted.", details={"instances": [each.name for each in able]})


def _nobody(refused: Refused, others: Others, classes: frozenset[str]) -> Refused:
    lacks = others.lacks(classes)
    unknown = frozenset(fault.class_type for fault in refused.faults if fault.class_type is not None) or classes
    nowhere = unknown.intersection(*lacks.values())
    if nowhere:
        told = {name: _of_missing(name, others.had(name)) for name in nowhere}
        wrong, details = nowhere, cast("JsonObject", {"missing": sorted(nowhere)[:_NAMED]})
    else:
        each = "; ".join(f"{name} lacks {_some(what)}" for name, what in sorted(lacks.items())[:_NAMED])
        text = f"no single instance has all node classes of this prompt: {each}."
        wrong, told = classes, dict.fromkeys(classes, text)
        details = {"lacks": {name: sorted(what)[:_NAMED] for name, what in sorted(lacks.items())[:_NAMED]}}
    faults = [_said(fault, told[fault.class_type or ""]) for fault in refused.faults if fault.class_type in wrong]
    if not faults:
        text = told[min(wrong)]
        faults = [Fault("/prompt", UnknownNode.code, text[0].upper() + text[1:])]
    made = refusal(faults, len(faults))
    made.details |= details
    return made


def _said(fault: Fault, text: str) -> Fault:
    return replace(fault, message=f"Node {short(fault.node_id)}: {text}")


def _of_missing(name: str, had: tuple[Instance, ...]) -> str:
    text = f"no living instance of this queue has the node class {short(name)}."
    if not had:
        return text
    return f"{text} {had[0].name} had it, which was heard of last at {rfc3339(had[0].seen_at_s)}."


def _some(names: Collection[str]) -> str:
    first = ", ".join(short(name) for name in sorted(names)[:3])
    return first + (f" and {len(names) - 3} more" if len(names) > 3 else "")


class OwnVerdicts(Protocol):
    """What this instance says of a prompt by itself; ``judges`` fits."""

    async def prompt(
        self, prompt_id: str, prompt: object, targets: list[str] | None = None
    ) -> tuple[JsonObject, tuple[str, ...]]:
        """The prompt as it is to run here and the outputs to execute. Raises ``Refused``."""
        ...


class BringsInputs(Protocol):
    """Brings input files of prompts here; ``host.foreign_inputs`` fits."""

    async def bring(self, origin: str, prompt: JsonObject) -> Mapping[str, str]:
        """Fetch what the prompt names from where it was submitted: the new names of those files that have another one here. Raises
        ``StoreUnavailable``."""
        ...


class ForOthers:
    """Answers instances that ask. It asks nobody for a verdict, so no question goes round in circles."""

    def __init__(self, own: OwnVerdicts, inputs: BringsInputs) -> None:
        """See the ports."""
        self._own = own
        self._inputs = inputs

    async def answer(self, question: Question) -> Answer:
        """May this run here? Input files that are only with the one who asks are fetched first; the answer names them as it does. Raises
        ``StoreUnavailable`` when they cannot be."""
        try:
            return Answer(*await self._own.prompt(question.prompt_id, question.prompt, question.targets))
        except InputInvalid as refused:
            renamed = await self._inputs.bring(question.origin, question.prompt)
            if not renamed:
                return _refused(refused)
        except Refused as refused:
            return _refused(refused)
        try:
            prompt = renamed_inputs(question.prompt, renamed)
            made, outputs = await self._own.prompt(question.prompt_id, prompt, question.targets)
        except Refused as refused:
            return _refused(refused)
        back: dict[str, Any] = {new: old for old, new in renamed.items()}
        return Answer(renamed_inputs(made, back), outputs)


def _refused(refused: Refused) -> Answer:
    faults = refused.faults or (Fault("/prompt", refused.code, refused.message),)
    return Answer({}, (), Refusal(refused.message, faults, refused.details))
