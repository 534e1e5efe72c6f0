"""What ComfyUI reads of a job's ``extra_data`` when it lists or runs it: a wrong type there breaks the list for everybody. Pure.

Owns which fields these are, for both doors. Does not own how a refusal reads (``envelope``, ``submission``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from ..jobs.model import JsonObject

Misfit = tuple[tuple[str, ...], str, object]
"""Where it stands (from ``extra_data`` on), what must stand there, and what does."""


def misfits(extra_data: JsonObject) -> Iterator[Misfit]:
    """Every field that would hurt ComfyUI."""
    client_id: object = extra_data.get("client_id")
    if isinstance(client_id, (list, dict)):  # core takes the client's id from here when the body has none of its own
        yield ("extra_data", "client_id"), "a string", cast("object", client_id)
    holder, path = extra_data, ("extra_data",)
    for name in ("extra_pnginfo", "workflow"):  # newer servers read the workflow of every job they list
        if name not in holder:
            return
        inner: Any = holder[name]
        path = (*path, name)
        if not isinstance(inner, dict):
            yield path, "an object", inner
            return
        holder = cast("JsonObject", inner)
