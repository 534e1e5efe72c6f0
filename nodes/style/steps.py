"""Counting the steps of a render for its caller's progress bar; every now and then one takes a picture along.

Owns how often that is. Whether pictures are wanted, and how they travel, is the caller's.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from PIL import Image
from torch import Tensor

PREVIEW_EVERY_S = 0.5


class StepBar:
    """Tells `send` of each step (done, total, picture or None); done reaches total with the last one."""

    def __init__(
        self,
        total: int,
        send: Callable[[int, int, Image.Image | None], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total, self._done = total, 0
        self._send = send
        self._clock = clock
        self._sent_s = clock()
        self._seen: Tensor | None = None

    def look(self, picture: Tensor) -> None:
        """Take note of the picture so far, `[h, w, 3]` 0..1 on the CPU; costs nothing until it is sent."""
        self._seen = picture

    def tick(self) -> None:
        """One step more."""
        self._done += 1
        self._send(self._done, self._total, self._due())

    def _due(self) -> Image.Image | None:
        now_s = self._clock()
        if self._seen is None or now_s - self._sent_s < PREVIEW_EVERY_S:
            return None
        self._sent_s = now_s
        levels = self._seen.clamp(0.0, 1.0).mul(255).byte().numpy()
        self._seen = None
        return Image.fromarray(levels)
