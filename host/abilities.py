"""What this ComfyUI can run: its node classes, and the model files on its disk by the names that prompts use.

Reads only; blocks on folders that have changed since they were last looked at. Not owned: what follows from it (``jobs.fitness``).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from ..jobs.instances import Capabilities
from .definitions import comfy_mappings

log = logging.getLogger("expeditor.host")

_NO_MODELS = frozenset({"custom_nodes", "configs"})
"""Folders of ComfyUI's that hold no models."""


def comfy_capabilities() -> Capabilities:
    """As it is now. Never raises: a folder that cannot be read counts as empty."""
    classes = frozenset(name for name in list(comfy_mappings()) if isinstance(name, str))  # pyright: ignore[reportUnnecessaryIsInstance]
    return Capabilities(classes, frozenset(_model_files()))


def _model_files() -> Iterable[str]:
    try:
        import folder_paths
    except ImportError:
        return
    kinds: list[str] = list(folder_paths.folder_names_and_paths)
    for kind in kinds:
        if kind not in _NO_MODELS:
            yield from (str(name).replace("\\", "/") for name in _listed(folder_paths, kind))


def _listed(folder_paths: Any, kind: str) -> list[Any]:
    try:
        return list(folder_paths.get_filename_list(kind))
    except Exception as error:  # noqa: BLE001 - other packs add folders of their own, and a disk may be away
        log.debug("The models of the kind %s cannot be listed: %s", kind, error)
        return []
