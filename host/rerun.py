"""Runs a prompt again in place: a retry of level 1, while ComfyUI's worker thread is still in ``execute``.

Owns freeing memory and making the pristine arguments; whether there is another attempt is ``dispatch``'s to say. Nodes that
have run stay in ComfyUI's cache. Never raises.
"""

from __future__ import annotations

import copy
import gc
import logging
from collections.abc import Callable
from typing import Any, cast

from ..jobs.model import JsonObject
from .endings import Endings
from .native import NativeItem
from .ports import Dispatch
from .sanitise import json_safe

log = logging.getLogger("expeditor.host")

Call = tuple[tuple[Any, ...], dict[str, Any]]
"""Positional arguments and those by name."""


class Rerun:
    """Fits ``guards.Again``."""

    def __init__(
        self,
        *,
        dispatch: Dispatch,
        endings: Endings,
        running: Callable[[str], NativeItem | None],
        free_memory: Callable[[], None],
    ) -> None:
        """``running`` gives the untouched queue item of a job that our queue runs now; ``free_memory`` unloads all models."""
        self._dispatch = dispatch
        self._endings = endings
        self._running = running
        self._free_memory = free_memory

    def __call__(self, executor: Any, call: Call) -> Call | None:
        """After an execution: the arguments of the next one, or None when that was it."""
        try:
            return self._next(executor, call)
        except Exception:  # noqa: BLE001 - a fault of ours must leave the run as it ended
            log.exception("Whether a run is repeated could not be decided", extra={"event": "rerun.failed"})
            return None

    def _next(self, executor: Any, call: Call) -> Call | None:
        messages = list(getattr(executor, "status_messages", None) or ())
        succeeded = bool(getattr(executor, "success", False))
        if succeeded and not any(message[0] == "execution_error" for message in messages):
            return None
        job_id = str(_argument(call, 1, "prompt_id"))
        item = self._running(job_id)
        if item is None:
            return None
        result = json_safe(getattr(executor, "history_result", None) or {})
        if not self._dispatch.again_now(job_id, succeeded, messages, result.get("outputs") or {}):
            return None
        self._endings.again_now(job_id)
        executor.status_messages = []  # they hold what the failed node was given
        self._free()
        return pristine(call, item)

    def _free(self) -> None:
        try:
            self._free_memory()
            gc.collect()
        except Exception:  # noqa: BLE001 - drivers fail in every way, and the attempt is open already
            log.warning("Memory could not be freed", exc_info=True, extra={"event": "rerun.not_freed"})


def pristine(call: Call, item: NativeItem) -> Call:
    """The same call with prompt and extra data as they were queued: an execution changes them. Partner keys stay."""
    args, kwargs = list(call[0]), dict(call[1])
    prompt = copy.deepcopy(item[2])
    extra = _merged(_argument(call, 2, "extra_data"), copy.deepcopy(item[3]))
    for index, name, value in ((0, "prompt", prompt), (2, "extra_data", extra)):
        if index < len(args):
            args[index] = value
        elif name in kwargs:
            kwargs[name] = value
    return tuple(args), kwargs


def _merged(given: object, queued: object) -> object:
    if isinstance(given, dict) and isinstance(queued, dict):
        return {**cast("JsonObject", given), **cast("JsonObject", queued)}
    return cast("object", given)


def _argument(call: Call, index: int, name: str) -> Any:
    return call[0][index] if index < len(call[0]) else call[1].get(name)
