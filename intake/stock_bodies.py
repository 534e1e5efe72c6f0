"""Bodies for ComfyUI's ``/queue``, ``/history``, ``/interrupt`` and ``/free`` that it answers with 500.

Owns exactly those: whatever ComfyUI takes, however odd, passes. Every refusal is a ``Refused``.
"""

from __future__ import annotations

import json
from typing import Any, cast

from ..jobs.errors import Fault, InputInvalid, InvalidJson
from .faults import pointer, shown


def check_queue(body: object) -> None:
    """``{"clear"?: any, "delete"?: iterable}``."""
    _deletions(body)


def check_history(body: object) -> None:
    """As ``check_queue``; the ids to delete are looked up, so lists and objects among them fail."""
    for place, named in enumerate(_deletions(body)):
        if isinstance(named, (list, dict)):
            text = f"delete must hold prompt ids, not {shown(cast('object', named))}"
            raise _refused(text, "delete", str(place))


def check_interrupt(raw: bytes) -> None:
    """Nothing, something that is no JSON (both: interrupt whatever runs), or an object."""
    try:
        body: object = json.loads(raw.decode("utf-8"))
    except json.JSONDecodeError:
        return
    except UnicodeDecodeError as fault:
        raise InvalidJson("The body is not valid utf-8.") from fault
    except (ValueError, RecursionError) as fault:
        raise InvalidJson("The body holds a value that cannot be read.") from fault
    _object(body)


def check_free(body: object) -> None:
    """``{"unload_models"?: any, "free_memory"?: any}``."""
    _object(body)


def check_max_items(text: str, name: str = "max_items") -> None:
    """The query parameters ``max_items`` and ``offset`` of ``/history``."""
    try:
        int(text)
    except ValueError:
        raise _refused(f"{name} must be an integer, not {shown(text)}", name) from None


def _deletions(body: object) -> list[Any]:
    if isinstance(body, (list, str)):
        # ComfyUI asks whether the words are in it; harmless unless they are.
        holder = cast("list[object] | str", body)
        if "clear" in holder or "delete" in holder:
            raise _refused(f"the body must be an object, not {shown(holder)}")
        return []
    deletions: Any = _object(body).get("delete", [])
    if not isinstance(deletions, (list, str, dict)):
        raise _refused(f"delete must be a list of prompt ids, not {shown(deletions)}", "delete")
    return list(cast("list[Any]", deletions))


def _object(body: object) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise _refused(f"the body must be an object, not {shown(body)}")
    return cast("dict[str, Any]", body)


def _refused(text: str, *path: str) -> InputInvalid:
    message = text[0].upper() + text[1:] + "."
    return InputInvalid(message, faults=(Fault(pointer(*path), "INPUT_INVALID", message),))
