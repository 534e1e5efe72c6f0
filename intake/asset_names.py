"""Which names clients may give their uploads. Pure.

A name is a path below ComfyUI's input folder that means the same on every system that ComfyUI runs on, and that a graph can name: it leads
nowhere else, is no device of Windows', and does not end in ComfyUI's own mark of a folder.
"""

from __future__ import annotations

import re

from ..jobs.errors import Fault, InputInvalid

MOST_BYTES = 1_024
MOST_PART_BYTES = 255
MOST_PARTS = 16
OURS = ".expeditor"

_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$", *(f"{d}{n}" for d in ("com", "lpt") for n in "123456789¹²³")}
)
_NEVER = frozenset('\\:*?"<>|')
_FOLDER_MARK = re.compile(r"\[(input|output|temp)\]$")


def checked_name(text: str) -> str:
    """``text``, if it can be the name of an upload. Raises ``InputInvalid`` that says what is wrong with it."""
    why = _fault_of(text)
    if why is not None:
        message = f"file_path {why}."
        raise InputInvalid(message, faults=(Fault("/file_path", InputInvalid.code, message),))
    return text


def _fault_of(text: str) -> str | None:
    try:
        size_bytes = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        return "holds text that no UTF-8 can hold"
    parts, never = text.split("/"), _NEVER.intersection(text)
    rules = (
        (not text, "is empty"),
        (size_bytes > MOST_BYTES, f"is longer than {MOST_BYTES} bytes"),
        (not text.isprintable(), "holds characters that cannot be printed"),
        (bool(never), f"holds {min(never, default='')}, which not every system can have in a file name"),
        (_FOLDER_MARK.search(text) is not None, "ends as ComfyUI marks a folder"),
        (len(parts) > MOST_PARTS, f"has more than {MOST_PARTS} parts"),
    )
    return next((why for broken, why in rules if broken), None) or next(filter(None, map(_fault_of_part, parts)), None)


def _fault_of_part(part: str) -> str | None:
    rules = (
        (part in ("", ".", ".."), "must be a plain path below the input folder, without empty, . or .. parts"),
        (len(part.encode("utf-8")) > MOST_PART_BYTES, f"has a part that is longer than {MOST_PART_BYTES} bytes"),
        (
            part != part.strip(" ") or part.endswith("."),
            "has a part that begins or ends with a space, or ends with a dot",
        ),
        (part.partition(".")[0].rstrip(" ").lower() in _DEVICES, "has a part that is the name of a device"),
        (part.lower().startswith(OURS), f"has a part that begins with {OURS}"),
    )
    return next((why for broken, why in rules if broken), None)
