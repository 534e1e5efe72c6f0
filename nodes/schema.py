"""Node schemas on every ComfyUI that we run on: older ones know fewer words."""

from __future__ import annotations

import dataclasses
from typing import Any

from comfy_api.latest import io


def schema(**declared: Any) -> Any:
    """The `io.Schema` of what is declared; words that this ComfyUI does not know are left out."""
    known = {field.name for field in dataclasses.fields(io.Schema)}
    return io.Schema(**{name: value for name, value in declared.items() if name in known})
