"""What instances ask each other about prompts: may this run with you? Records, and their form on the wire. Pure.

The wire is between members of one queue only and may change with the version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, cast

from .errors import Fault, InputInvalid
from .model import JsonObject

_FAULT = tuple(field.name for field in fields(Fault))
_TEXTS = frozenset({"pointer", "code", "message"})


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt that was submitted at ``origin`` and is to be judged elsewhere. ``targets``: as the client gave them."""

    origin: str
    prompt_id: str
    prompt: JsonObject
    targets: list[str] | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why it may not: an ``ExpeditorError`` in parts. ``faults`` has at least one."""

    message: str
    faults: tuple[Fault, ...]
    details: JsonObject


@dataclass(frozen=True, slots=True)
class Answer:
    """The prompt as it is to run and the outputs to execute; or a ``refusal``, then neither counts."""

    prompt: JsonObject
    outputs: tuple[str, ...]
    refusal: Refusal | None = None


def question_json(question: Question) -> JsonObject:
    """A question on the wire."""
    return {
        "origin": question.origin,
        "prompt_id": question.prompt_id,
        "prompt": question.prompt,
        "targets": question.targets,
    }


def question_from(body: Mapping[str, Any]) -> Question:
    """Read one. Raises ``InputInvalid``."""
    targets: Any = body.get("targets")
    if targets is not None:
        targets = [_text(each) for each in _list(targets)]
    return Question(_text(body.get("origin")), _text(body.get("prompt_id")), _object(body.get("prompt")), targets)


def answer_json(answer: Answer) -> JsonObject:
    """An answer on the wire."""
    refusal = answer.refusal
    if refusal is None:
        return {"prompt": answer.prompt, "outputs": list(answer.outputs)}
    faults = [{name: getattr(fault, name) for name in _FAULT} for fault in refusal.faults]
    return {"refusal": {"message": refusal.message, "faults": faults, "details": refusal.details}}


def answer_from(body: Mapping[str, Any]) -> Answer:
    """Read one. Raises ``InputInvalid``."""
    if "refusal" not in body:
        return Answer(_object(body.get("prompt")), tuple(_text(each) for each in _list(body.get("outputs"))))
    told = _object(body["refusal"])
    faults = tuple(_fault(_object(each)) for each in _list(told.get("faults")))
    if not faults:
        raise _odd()
    return Answer({}, (), Refusal(_text(told.get("message")), faults, _object(told.get("details"))))


def _fault(told: JsonObject) -> Fault:
    known: dict[str, Any] = {name: told[name] for name in _FAULT if told.get(name) is not None}
    extra = _object(known.pop("extra", {}))
    texts = {name: _text(value) for name, value in known.items()}
    if not texts.keys() >= _TEXTS:
        raise _odd()
    return Fault(**texts, extra=extra)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _odd()
    return value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise _odd()
    return cast("list[Any]", value)


def _object(value: object) -> JsonObject:
    if not isinstance(value, dict):
        raise _odd()
    return cast("JsonObject", value)


def _odd() -> InputInvalid:
    return InputInvalid("Another instance asked or answered in a form that this version does not know.")
