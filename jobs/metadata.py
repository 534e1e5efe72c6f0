"""What a job's metadata may be: a few short texts by name, given at the submit or set by the job itself while it runs. Pure.

Owns the bounds of what is set. The Comfy API v2 has tighter rules of its own for what its clients send (``intake.v2.labels``).
"""

from __future__ import annotations

from collections.abc import Mapping

from .errors import InputInvalid
from .model import JsonObject

MAX_METADATA_PAIRS = 16
MAX_METADATA_LENGTH = 256
"""Of a key and of a value, in characters."""


def joined(before: JsonObject, pairs: Mapping[str, str]) -> JsonObject:
    """The metadata with ``pairs`` in it, in place of values of the same keys. ``InputInvalid`` when that is not allowed."""
    for key, value in pairs.items():
        if not 0 < len(key) <= MAX_METADATA_LENGTH:
            raise InputInvalid(
                f"A key of metadata has 1 to {MAX_METADATA_LENGTH} characters; '{key[:40]}' has {len(key)}."
            )
        if len(value) > MAX_METADATA_LENGTH:
            raise InputInvalid(
                f"A value of metadata has at most {MAX_METADATA_LENGTH} characters; that of '{key[:40]}' has {len(value)}."
            )
    after = {**before, **pairs}
    if len(after) > max(MAX_METADATA_PAIRS, len(before)):
        raise InputInvalid(
            f"A job has at most {MAX_METADATA_PAIRS} pairs of metadata; this would be number {len(after)}."
        )
    return after
