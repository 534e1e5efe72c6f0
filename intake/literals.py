"""A value typed into an input: core's coercion, the fast yes, and the precise no.

Owns the judgement of one literal against one declared input. The fast hand check accepts what is plainly valid; only
what it does not accept is coerced as core does and goes to ``jsonschema``. Both say the same (property-tested).
"""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from jsonschema import Draft202012Validator

from ..jobs.definitions import InputDefinition
from .faults import shown
from .schemas import is_link_only, literal_schema, offered

_EXACT_INT = 2**53
_KEY_CHARS = 400
_COMPACT_CHARS = 200
_KINDS = {"INT": "an integer", "FLOAT": "a number", "STRING": "a string", "BOOLEAN": "a boolean"}
_COERCE: dict[str, Callable[[Any], Any]] = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a literal. ``core_type`` is core's word for it, or None where only we are strict.
    ``unlisted`` asks for a hint among the choices."""

    text: str
    core_type: str | None
    core_details: str
    unlisted: bool = False


class Literal:
    """A declared input, compiled: what may be typed into it."""

    def __init__(self, declared: InputDefinition, *, bounded: bool) -> None:
        """``bounded`` is false where core leaves min, max and choices to the node's own validation."""
        self.declared = declared
        self.schema = literal_schema(declared, bounded=bounded)
        self.choices = offered(declared) if bounded else None
        self.accepts: Callable[[object], bool] = _acceptor(declared, self.schema, self.choices)
        # With texts only, looking it up is the whole judgement: no search through thousands of file names.
        texts = self.choices is not None and all(type(choice) is str for choice in self.choices)
        self._texts: frozenset[str] | None = frozenset(self.choices or ()) if texts else None
        self.validations = 0

    @cached_property
    def validator(self) -> Draft202012Validator:
        """``jsonschema``'s validator; made when a value first needs it."""
        return Draft202012Validator(self.schema)

    def findings(self, value: object) -> tuple[Finding, ...]:
        """What is wrong with ``value`` (unwrapped), in core's order; empty when it is fine."""
        if self._texts is not None:
            listed = isinstance(value, str) and value in self._texts
            return () if listed else (self._finding("enum", value, value),)
        canonical = self.canonical(value)
        self.validations += 1
        # One word suffices: core stops at its first too.
        keyword = self._broken_keyword(_compact(canonical))
        if keyword is not None:
            return (self._finding(keyword, value, canonical),)
        if isinstance(canonical, float) and not math.isfinite(canonical) and self.declared.type == "FLOAT":
            return (Finding(f"must be a finite number, not {shown(value)}", None, ""),)
        return ()

    def _broken_keyword(self, canonical: object) -> str | None:
        check: Any = self.validator  # its types vary from version to version
        error: Any = next(check.iter_errors(canonical), None)
        return None if error is None else str(error.validator)

    def canonical(self, value: object) -> object:
        """What core makes of ``value`` before it judges; ``value`` itself where core would fail."""
        if self.choices is not None:
            return next((choice for choice in self.choices if choice == value), value)
        coerce = _COERCE.get(self.declared.type)
        if coerce is None:
            return value
        try:
            return coerce(value)
        except (TypeError, ValueError, OverflowError):
            return _Unreadable(shown(value))

    def _finding(self, keyword: str, value: object, canonical: object) -> Finding:
        name, options = self.declared.name, self.declared.options
        if keyword == "minimum":
            text = f"Value {shown(canonical)} smaller than min of {options['min']}"
            return Finding(text, "value_smaller_than_min", name)
        if keyword == "maximum":
            text = f"Value {shown(canonical)} bigger than max of {options['max']}"
            return Finding(text, "value_bigger_than_max", name)
        if keyword == "enum":
            said = _said(self.choices or ())
            core_type = "value_not_in_list" if self.declared.choices is not None else None
            return Finding(
                f"must be {said}, not {shown(value)}", core_type, f"{name}: {shown(value)} not in list", True
            )
        if is_link_only(self.declared):
            return Finding(f"takes a link to a node that gives {self.declared.type}, not {shown(value)}", None, "")
        kind = _KINDS.get(self.declared.type, f"a value for {self.declared.type}")
        return Finding(f"must be {kind}, not {shown(value)}", "invalid_input_type", f"{name}, {shown(value)}")


class _Unreadable:
    """Stands for a value that core cannot convert: of no JSON type, so no schema with a type accepts it."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


class Verdicts:
    """Findings by input and value, bounded, least recently used out first: clients send the same graph again."""

    def __init__(self, capacity: int = 4096) -> None:
        """Hold at most ``capacity`` verdicts."""
        self._capacity = capacity
        self._known: OrderedDict[tuple[str, str, str], tuple[Finding, ...]] = OrderedDict()
        self.validations = 0

    def findings(self, fingerprint: str, literal: Literal, value: object) -> tuple[Finding, ...]:
        """``literal.findings(value)``, remembered under the definition's ``fingerprint``."""
        text = _key(value)
        if text is None or not fingerprint:
            return self._judge(literal, value)
        key = (fingerprint, literal.declared.name, text)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._judge(literal, value)
            if len(self._known) > self._capacity:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(key)
        return known

    def _judge(self, literal: Literal, value: object) -> tuple[Finding, ...]:
        self.validations += 1
        return literal.findings(value)


def unwrapped(value: object) -> object:
    """The literal inside ``{"__value__": x}``, the page's way to send a list that is no link; else ``value``."""
    if type(value) is dict and "__value__" in value:
        return cast("dict[str, object]", value)["__value__"]
    return cast("object", value)


def _acceptor(
    declared: InputDefinition, schema: dict[str, Any], choices: tuple[Any, ...] | None
) -> Callable[[object], bool]:
    if not schema:
        return lambda _value: True
    if choices is not None:
        words = frozenset(choice for choice in choices if type(choice) is str)
        return lambda value: type(value) is str and value in words
    low = schema.get("minimum", -math.inf)
    high = schema.get("maximum", math.inf)
    by_type: dict[str, Callable[[Any], bool]] = {
        "INT": lambda value: type(value) is int and low <= value <= high,
        "FLOAT": lambda value: _is_plain_number(value) and low <= value <= high,
        "STRING": lambda value: type(value) is str,
        "BOOLEAN": lambda value: type(value) is bool,
    }
    # What is left are links, optional ones of which may be null.
    return by_type.get(declared.type, lambda value: value is None and not declared.required)


def _is_plain_number(value: Any) -> bool:
    # Beyond 2**53 an integer changes when core makes a float of it: not plain, so not judged here.
    if type(value) is float:
        return math.isfinite(value)
    return type(value) is int and -_EXACT_INT <= value <= _EXACT_INT


def _compact(value: object) -> object:
    # jsonschema puts the value into its message.
    if isinstance(value, str) and len(value) > _COMPACT_CHARS:
        return value[:_COMPACT_CHARS] + "…"
    return value


def _key(value: object) -> str | None:
    if isinstance(value, str) and len(value) > _KEY_CHARS:
        return None
    try:
        text = json.dumps(value, sort_keys=True)
    except (TypeError, ValueError, RecursionError):
        return None
    return text if len(text) <= _KEY_CHARS else None


def _said(choices: tuple[Any, ...]) -> str:
    if len(choices) > 12:
        return f"one of the {len(choices)} choices"
    return "one of " + ", ".join(shown(choice) for choice in choices)
