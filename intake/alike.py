"""Judges the prompts of one batch: one that differs from an earlier one in plain values alone is not judged all anew.

Owns what two prompts must have in common for that, and what is remembered of those that passed. The verdicts themselves are
``judges``': of a prompt with other values only the nodes with new values are looked at again, and ComfyUI is asked again unless
the declarations of these nodes say all there is to say. Lives as long as one request; not thread-safe.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from ..jobs.errors import InputInvalid, UnknownNode
from ..jobs.model import JsonObject
from .abroad import Judgement
from .judges import Judges

Prompt = dict[str, dict[str, Any]]
Values = dict[str, Any]
BASES_MAX = 32
"""The most graphs that are remembered: a batch of ever new ones must not hold them all."""
_SCALARS = (str, int, float, bool, type(None))


class Rechecking(Protocol):
    """The stages of ``intake.validation`` that are used here."""

    def recheck(self, prompt: JsonObject, changed: Mapping[str, Collection[str]]) -> bool:
        """See ``PromptValidation.recheck``."""
        ...


@dataclass(frozen=True, slots=True)
class Judged:
    """A prompt that may run, an object of its own, and the outputs to execute. ``size_bytes``: about its JSON text's; ``pool``: the one to
    ask for."""

    prompt: JsonObject
    outputs: tuple[str, ...]
    size_bytes: int
    pool: str | None = None


@dataclass(frozen=True, slots=True)
class _Base:
    """A prompt that passed: as it was sent, and as it is to run. ``seen``: by node, values that passed, as ComfyUI has them.

    ``pool`` was asked for, ``given`` is the one to use; ``here``: this instance can run it."""

    sent: Prompt
    targets: list[str] | None
    pool: str | None
    text: str
    outputs: tuple[str, ...]
    given: str | None
    here: bool
    seen: dict[tuple[str, str], Values] = field(default_factory=lambda: {})


class BatchJudge:
    """See the module's docstring."""

    def __init__(self, judges: Judges, rechecking: Rechecking) -> None:
        """Nothing is known yet."""
        self._judges = judges
        self._rechecking = rechecking
        self._bases: dict[tuple[str, ...], _Base] = {}

    async def judge(self, prompt_id: str, prompt: object, targets: list[str] | None, pool: str | None = None) -> Judged:
        """Every stage's verdict and core's, or those of an instance that can run it. Raises ``Refused``, or ``StoreUnavailable`` when no
        such instance can be asked now."""
        ids = _ids(prompt)
        base = self._bases.get(ids)
        same = base is not None and base.targets == targets and base.pool == pool
        changed = changed_values(base.sent, prompt) if base is not None and same else None
        if base is None or changed is None:
            return await self._anew(prompt_id, prompt, targets, pool, ids)
        return await self._again(prompt_id, base, changed)

    async def _anew(
        self, prompt_id: str, prompt: object, targets: list[str] | None, pool: str | None, ids: tuple[str, ...]
    ) -> Judged:
        try:
            checked = self._judges.validation.submit(prompt)
            own: JsonObject = json.loads(json.dumps(checked.prompt))
            made = Judgement(own, await self._judges.outputs(prompt_id, own, targets), pool)
        except (UnknownNode, InputInvalid) as refused:
            made = await self._judges.abroad.judged(refused, prompt_id, prompt, targets, pool)
        text = json.dumps(made.prompt)
        if len(self._bases) < BASES_MAX:
            base = _Base(cast("Prompt", prompt), targets, pool, text, made.outputs, made.pool, made.here)
            self._bases.setdefault(ids, base)
        return Judged(made.prompt, made.outputs, len(text), made.pool)

    async def _again(self, prompt_id: str, base: _Base, changed: dict[str, Values]) -> Judged:
        own: JsonObject = json.loads(base.text)
        keys = {node_id: (node_id, json.dumps(values)) for node_id, values in changed.items()}
        for node_id, values in changed.items():
            own[node_id]["inputs"].update(base.seen.get(keys[node_id], values))
        new = {node_id: values for node_id, values in changed.items() if keys[node_id] not in base.seen}
        made = Judgement(own, base.outputs, base.given)
        if new:
            made = await self._rejudged(prompt_id, base, own, new)
            if made.pool == base.given:
                for node_id, values in new.items():
                    base.seen[keys[node_id]] = {name: made.prompt[node_id]["inputs"][name] for name in values}
        grown = sum(len(key) for _, key in keys.values())
        return Judged(made.prompt, made.outputs, len(base.text) + grown, made.pool)

    async def _rejudged(self, prompt_id: str, base: _Base, own: JsonObject, new: dict[str, Values]) -> Judgement:
        try:
            outputs = base.outputs
            if not self._rechecking.recheck(own, new):
                if not base.here:
                    raise UnknownNode
                outputs = await self._judges.outputs(prompt_id, own, base.targets)
            return Judgement(own, outputs, base.given)
        except (UnknownNode, InputInvalid) as refused:
            return await self._judges.abroad.judged(refused, prompt_id, own, base.targets, base.pool)


def _ids(prompt: object) -> tuple[str, ...]:
    return tuple(cast("JsonObject", prompt)) if isinstance(prompt, dict) else ()


def changed_values(known: Prompt, prompt: object) -> dict[str, Values] | None:
    """The inputs of ``prompt`` that have other values than in ``known``, by node; None when more than plain values differ.

    ``known`` has passed validation; ``prompt`` may be anything.
    """
    if not isinstance(prompt, dict) or list(known) != list(cast("JsonObject", prompt)):
        return None
    changed: dict[str, Values] = {}
    for node_id, node in cast("dict[str, Any]", prompt).items():
        if node is known[node_id]:
            continue
        values = _of_node(known[node_id], node)
        if values is None:
            return None
        if values:
            changed[node_id] = values
    return changed


def _of_node(known: JsonObject, node: Any) -> Values | None:
    if not isinstance(node, dict) or not isinstance(cast("JsonObject", node).get("inputs"), dict):
        return None
    fields = cast("JsonObject", node)
    if list(fields) != list(known) or any(not _same(known[name], fields[name]) for name in fields if name != "inputs"):
        return None
    inputs, before = cast("JsonObject", fields["inputs"]), cast("JsonObject", known["inputs"])
    if inputs.keys() != before.keys():
        return None
    other = {name: value for name, value in inputs.items() if not _same(before[name], value)}
    plain = all(type(value) in _SCALARS and type(before[name]) in _SCALARS for name, value in other.items())
    return other if plain else None


def _same(one: Any, other: Any) -> bool:
    # Not `==` alone: to Python 1, 1.0 and True are equal, to a node they are not.
    if one is other:
        return True
    if type(one) is not type(other) or one != other:
        return False
    return type(one) in _SCALARS or json.dumps(one) == json.dumps(other)
