"""Whom a client wants told of its job: the field ``webhook`` of a submit, ``"https://..."`` or ``{"url", "events"}``. Pure."""

from __future__ import annotations

import difflib
from typing import Any, cast

from ..jobs.errors import Fault, InputInvalid
from ..jobs.events import EVENT_TYPES
from ..jobs.model import JsonObject, WebhookTarget
from ..jobs.webhook_rules import BadUrl, WebhookRules, parse_url
from .faults import pointer, short

FIELD = "webhook"
_PARTS = ("url", "events")


def parse_webhook(value: Any) -> tuple[WebhookTarget | None, tuple[Fault, ...]]:
    """The target, None if absent or wrong, and a fault for each thing that is wrong."""
    if value is None:
        return None, ()
    if isinstance(value, str):
        faults = _url_faults(value, ())
        return (None, faults) if faults else (WebhookTarget(value), ())
    if not isinstance(value, dict):
        return None, (_fault((), "webhook must be a URL, or an object with url and events."),)
    parts = cast("JsonObject", value)
    unknown = [_fault((short(name),), f"Unknown field {short(name)}.") for name in parts if name not in _PARTS]
    events, event_faults = _events(parts.get("events"))
    faults = (*unknown[:10], *_url_faults(parts.get("url"), ("url",)), *event_faults)
    return (None, faults) if faults else (WebhookTarget(cast("str", parts["url"]), events), ())


def check_webhook(target: WebhookTarget | None, rules: WebhookRules) -> None:
    """Refuse a target that this server's settings do not let it call. Raises ``InputInvalid``."""
    if target is None:
        return
    refusal = rules.refusal_of_url(parse_url(target.url))
    if not rules.per_job:
        refusal = "This server takes no webhooks from clients (setting webhook_per_job)."
    if refusal is not None:
        raise InputInvalid(refusal, faults=(_fault((), refusal),))


def _url_faults(url: Any, path: tuple[str, ...]) -> tuple[Fault, ...]:
    try:
        parse_url(url)
    except BadUrl as fault:
        return (_fault(path, str(fault), "For example https://example.com/hooks/comfy."),)
    return ()


def _events(value: Any) -> tuple[tuple[str, ...], tuple[Fault, ...]]:
    if value is None:
        return (), ()
    if not isinstance(value, list) or not all(isinstance(each, str) for each in cast("list[Any]", value)):
        return (), (_fault(("events",), "events must be a list of types of events."),)
    events = cast("list[str]", value)
    wrong = next(((index, each) for index, each in enumerate(events) if each not in EVENT_TYPES), None)
    if wrong is not None:
        near = difflib.get_close_matches(short(wrong[1]), EVENT_TYPES, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(sorted(EVENT_TYPES))}."
        return (), (_fault(("events", str(wrong[0])), f"There is no event {short(wrong[1])}.", hint),)
    return tuple(dict.fromkeys(events)), ()


def _fault(path: tuple[str, ...], message: str, hint: str | None = None) -> Fault:
    return Fault(pointer(FIELD, *path), InputInvalid.code, message, hint=hint, input_name=FIELD)
