"""What a request may weigh: bytes, JSON depth, nodes, nesting and length of values.

Owns reading a body's bytes into JSON without harm, and the limits stage. Never recurses: the depth of what a client
sends must not become the depth of our stack.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

from ..jobs.errors import Fault, InvalidJson, LimitExceeded
from .faults import pointer, short

_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")


def parse_body(raw: bytes, max_bytes: int, max_depth: int) -> Any:
    """The JSON value in ``raw``; ``NaN`` and ``Infinity`` are read, as ComfyUI does.

    Raises ``InvalidJson`` (empty, not UTF-8, not JSON, an integer beyond Python's digits) and
    ``LimitExceeded`` (more than ``max_bytes`` bytes, or nested deeper than ``max_depth`` anywhere in the body).
    """
    if len(raw) > max_bytes:
        raise LimitExceeded(
            f"The body has {len(raw)} bytes; the limit is {max_bytes}.",
            details={"limit_bytes": max_bytes, "bytes": len(raw)},
            too_large=True,
        )
    if not raw.strip():
        raise InvalidJson("The body is empty; it must be a JSON object.")
    try:
        text = raw.decode()
    except UnicodeDecodeError as fault:
        raise InvalidJson(f"The body is not valid UTF-8: byte {fault.start} cannot be read.") from fault
    value = _loads(text, max_depth)
    if _deeper_than(text, max_depth):
        raise _too_deep(max_depth)
    return value


def _loads(text: str, max_depth: int) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise _too_deep(max_depth) from None
    except json.JSONDecodeError as fault:
        raise InvalidJson(
            f"The body is not valid JSON: {fault.msg} at line {fault.lineno} column {fault.colno}."
        ) from fault
    except ValueError as fault:  # Python refuses to read integers of thousands of digits
        raise InvalidJson(f"The body holds a number that cannot be read: {fault}.") from fault


def _deeper_than(text: str, max_depth: int) -> bool:
    # Valid JSON only. All in C: cut the strings out, keep the brackets, and peel innermost pairs one level at a time.
    unescaped = text.replace("\\\\", "").replace('\\"', "")
    bare = "".join(unescaped.split('"')[::2])
    brackets = bare.encode("utf-8", "surrogatepass").translate(_ONE_KIND, _NOT_BRACKETS)
    for _ in range(max_depth):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _too_deep(max_depth: int) -> LimitExceeded:
    return LimitExceeded(f"The body is nested deeper than {max_depth} levels.", details={"limit_depth": max_depth})


def nodes_fault(count: int, max_nodes: int) -> Fault | None:
    """The fault of a prompt with too many nodes."""
    if count <= max_nodes:
        return None
    return Fault("/prompt", "LIMIT_EXCEEDED", f"The prompt has {count} nodes; the limit is {max_nodes}.")


def value_faults(prompt: dict[str, dict[str, Any]], max_depth: int, max_string_bytes: int) -> Iterator[Fault]:
    """Nodes whose values are nested too deep or hold too long a string, one fault per input or node property."""
    surely_short = max_string_bytes // 4  # a character takes one to four bytes
    for node_id, node in prompt.items():
        for name, value in cast("dict[str, Any]", node["inputs"]).items():
            if not _is_plain(value, surely_short) and (why := _excess(value, max_depth, max_string_bytes)) is not None:
                yield _fault(node_id, node, why, "inputs", name)
        if len(node) > 2:
            for name, value in node.items():
                if (
                    name not in {"inputs", "class_type"}
                    and (why := _excess(value, max_depth, max_string_bytes)) is not None
                ):
                    yield _fault(node_id, node, why, name)


def _is_plain(value: Any, surely_short: int) -> bool:
    # Nearly all values: scalars, short texts and links.
    kind = cast("object", type(value))
    if kind is str:
        return len(value) <= surely_short
    if kind is list:
        return len(value) == 2 and type(value[1]) is int and type(value[0]) is str and len(value[0]) <= surely_short
    return kind is not dict


def _fault(node_id: str, node: dict[str, Any], why: str, *path: str) -> Fault:
    where = f"{short(path[-1])} of node {short(node_id)}"
    class_type = node.get("class_type")
    return Fault(
        pointer("prompt", node_id, *path),
        "LIMIT_EXCEEDED",
        f"{where} {why}.",
        node_id=node_id,
        class_type=class_type if isinstance(class_type, str) else None,
        input_name=path[-1],
        core_type="limit_exceeded",
        core_details=short(path[-1]),
    )


def _excess(value: object, max_depth: int, max_string_bytes: int) -> str | None:
    if isinstance(value, str):
        return _too_long(value, max_string_bytes)
    if not isinstance(value, (list, dict)):
        return None
    level: list[Any] = [value]
    for _ in range(max_depth):
        below: list[Any] = []
        for holder in level:
            for part in _parts(holder):
                if isinstance(part, (list, dict)):
                    below.append(part)
                elif isinstance(part, str) and (why := _too_long(part, max_string_bytes)) is not None:
                    return why
        if not below:
            return None
        level = below
    return f"is nested deeper than {max_depth} levels"


def deeper_than(value: object, max_depth: int) -> bool:
    """Whether objects and lists stand in each other more than ``max_depth`` deep; not recursive."""
    level: list[Any] = [value]
    for _ in range(max_depth):
        level = [part for holder in level for part in _parts(holder) if isinstance(part, (list, dict))]
        if not level:
            return False
    return True


def _parts(holder: Any) -> Any:
    return cast("dict[str, Any]", holder).values() if isinstance(holder, dict) else holder


def _too_long(text: str, max_string_bytes: int) -> str | None:
    if len(text) * 4 <= max_string_bytes or len(text.encode("utf-8", "surrogatepass")) <= max_string_bytes:
        return None
    return f"holds a string longer than {max_string_bytes} bytes"
