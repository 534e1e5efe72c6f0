"""What a long render tells its caller: that work was done, and that it may be stopped now.

Owns two callbacks; knows nothing of ComfyUI's progress bar or its interruption.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


def _nothing() -> None:
    """The default callback."""


@dataclass(frozen=True, slots=True)
class Watch:
    """`tick` is called once per finished step, `check` often; `check` stops the work by raising."""

    tick: Callable[[], None] = _nothing
    check: Callable[[], None] = _nothing
