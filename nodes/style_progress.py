"""ComfyUI's progress bar of one render, with a picture of it where ComfyUI shows previews.

Owns how often a preview is sent. Asks ComfyUI's own preview option each time: later versions set it
per prompt.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import comfy.cli_args
import comfy.utils

PREVIEW_EVERY_S = 0.5


def previews_wanted() -> bool:
    """Whether ComfyUI's preview method is another than none."""
    method = getattr(comfy.cli_args.args, "preview_method", None)
    return method is not None and method != comfy.cli_args.LatentPreviewMethod.NoPreviews


def preview_side() -> int:
    """The longest side of a preview that ComfyUI is set to send, in pixels."""
    return int(getattr(comfy.cli_args.args, "preview_size", 512))


class StepBar:
    """Counts steps up to `total`; every now and then a step takes the picture along."""

    def __init__(self, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._bar = comfy.utils.ProgressBar(total)
        self._clock = clock
        self._done, self._total = 0, total
        self._sent_s = clock()
        self._picture: Any = None

    def look(self, picture: Any) -> None:
        """Take note of the picture so far, `[h, w, 3]` 0..1 on the CPU; costs nothing until it is sent."""
        self._picture = picture

    def tick(self) -> None:
        """One step more."""
        self._done += 1
        self._bar.update_absolute(self._done, self._total, self._due())

    def _due(self) -> tuple[str, Any, int] | None:
        now_s = self._clock()
        if self._picture is None or now_s - self._sent_s < PREVIEW_EVERY_S:
            return None
        from PIL import Image

        self._sent_s = now_s
        levels = self._picture.clamp(0.0, 1.0).mul(255).byte().numpy()
        self._picture = None
        return ("JPEG", Image.fromarray(levels), preview_side())
