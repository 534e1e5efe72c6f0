"""Which hooks into ComfyUI are in place: written once at start, read by health. Thread-safe by being replaced, not changed."""

from __future__ import annotations

import logging

log = logging.getLogger("expeditor.host")

ON = "on"
OFF = "off"


class HookBoard:
    """State of every hook: ``on``, ``off`` (by settings), or a sentence that says why it stands down."""

    def __init__(self) -> None:
        """Empty: a hook that was never mentioned is not there."""
        self._states: dict[str, str] = {}

    def set(self, hook: str, state: str) -> None:
        """Note a hook's state; a sentence is logged once."""
        if state not in (ON, OFF) and self._states.get(hook) != state:
            log.warning("Hook %s stands down: %s", hook, state, extra={"event": "hook.stands_down"})
        self._states = {**self._states, hook: state}

    def is_on(self, hook: str) -> bool:
        """Whether the hook works."""
        return self._states.get(hook) == ON

    def states(self) -> dict[str, str]:
        """All hooks, for health."""
        return dict(self._states)
