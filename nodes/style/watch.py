"""What a long render tells its caller: that work was done, what it looks like, and that it may be stopped now.

Owns three callbacks; knows nothing of ComfyUI's progress bar, its previews or its interruption.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from .frame import Rect


def _nothing() -> None:
    """The default callback."""


def _unseen(rect: Rect, pixels: Tensor) -> None:
    """The default viewer."""


@dataclass(frozen=True, slots=True)
class Watch:
    """`tick` is called once per finished step, `check` often; `check` stops the work by raising.

    `show` is given a rectangle of the picture and its pixels so far, sRGB `[3, h, w]`; it copies what
    it keeps.
    """

    tick: Callable[[], None] = _nothing
    check: Callable[[], None] = _nothing
    show: Callable[[Rect, Tensor], None] = _unseen

    def done(self, rect: Rect, pixels: Tensor) -> None:
        """A step that painted `rect` is finished: show it, tick, and let the work be stopped."""
        self.show(rect, pixels)
        self.tick()
        self.check()
