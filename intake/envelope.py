"""What stands around the prompt in a body for stock ``/prompt``: the fields that could hurt ComfyUI.

Owns ``client_id``, ``extra_data``, ``number``, ``prompt_id`` and ``partial_execution_targets``. What ComfyUI takes in its
stride stays legal (``client_id: null``, ``number: "3"``, any ``front``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, cast

from ..jobs.errors import Fault
from .extra_data import misfits
from .faults import pointer, shown

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)


def envelope_faults(body: dict[str, Any]) -> Iterator[Fault]:
    """All faults of the body's own fields; pointers start at the body's root."""
    if (fault := _prompt_id_fault(body)) is not None:
        yield fault
    if isinstance(body.get("client_id"), (list, dict)):
        yield _fault(f"client_id must be a string, not {shown(body['client_id'])}", "client_id")
    if "number" in body and not _is_finite(body["number"]):
        yield _fault(f"number must be a finite number, not {shown(body['number'])}", "number")
    yield from _extra_data_faults(body)
    yield from _target_faults(body.get("partial_execution_targets"))


def known_targets(targets: list[str], prompt: dict[str, Any]) -> list[str]:
    """The targets that the prompt has, each once. Core looks every output up in the list: a long one would stop its loop."""
    return [target for target in dict.fromkeys(targets) if target in prompt]


def is_prompt_id(text: object) -> bool:
    """Whether ``text`` is a canonical lower-case UUID."""
    return isinstance(text, str) and _UUID.fullmatch(text) is not None


def _prompt_id_fault(body: dict[str, Any]) -> Fault | None:
    prompt_id = body.get("prompt_id")
    if prompt_id is None or is_prompt_id(prompt_id):
        return None
    text = f"prompt_id must be a canonical lower-case UUID, or absent so that the server makes one, not {shown(prompt_id)}."
    return Fault("/prompt_id", "INVALID_PROMPT_ID", text, core_type="invalid_prompt_id")


def _is_finite(number: Any) -> bool:
    try:
        return math.isfinite(float(number))
    except (TypeError, ValueError, OverflowError):
        return False


def _extra_data_faults(body: dict[str, Any]) -> Iterator[Fault]:
    if "extra_data" not in body:
        return
    extra_data: Any = body["extra_data"]
    if not isinstance(extra_data, dict):
        yield _fault(f"extra_data must be an object, not {shown(extra_data)}", "extra_data")
        return
    for path, rule, value in misfits(cast("dict[str, Any]", extra_data)):
        yield _fault(f"{'.'.join(path)} must be {rule}, not {shown(value)}", *path)


def _target_faults(targets: object) -> Iterator[Fault]:
    if targets is None:
        return
    if not isinstance(targets, list):
        yield _fault(
            f"partial_execution_targets must be a list of node ids, not {shown(targets)}", "partial_execution_targets"
        )
        return
    for place, target in enumerate(cast("list[object]", targets)):
        if not isinstance(target, str):
            text = f"partial_execution_targets must hold node ids as strings, not {shown(target)}"
            yield _fault(text, "partial_execution_targets", str(place))


def _fault(text: str, *path: str) -> Fault:
    return Fault(pointer(*path), "INVALID_PROMPT", text + ".", core_type="invalid_prompt")
