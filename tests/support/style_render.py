"""Renders pictures in a style in a process of its own, and tells on standard output what that took, as JSON.

``python style_render.py '{"style": "comic", "sizes": [[512, 512]], "threads": 2, "repeats": 3, "device": "cpu"}'``
gives a list of `Measured`, one for each size (height, width). Memory is that of the whole: input, result and all between.
"""

from __future__ import annotations

import ctypes
import gc
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parent)
import child_imports  # noqa: F401 - makes `expeditor` and `tests` importable
import numpy as np
import torch
from PIL import Image
from skimage import data

from expeditor.nodes.style.apply import Options, apply_style
from expeditor.nodes.style.presets import find_preset
from expeditor.nodes.style.watch import Watch
from tests.support.peak_memory import PeakMemory

CPU_TILE, GPU_TILE = 256, 2048
# A render that takes longer is not repeated.
LONG_S = 8.0


@dataclass(slots=True)
class Measured:
    """Of one size: the best of the repeats, and the most memory and the longest time without a check of any.

    `peak_bytes` is resident memory above what the process held before there was a picture; on a GPU what was
    allocated there.
    """

    height: int
    width: int
    seconds: float
    peak_bytes: int
    longest_silence_s: float
    checks: int


def picture(height: int, width: int) -> torch.Tensor:
    """A photograph stretched to that size, with grain: details of every size, as a large photograph has them."""
    shot = Image.fromarray(data.astronaut()).resize((width, height), Image.Resampling.BICUBIC)
    image = torch.from_numpy(np.array(shot)).unsqueeze(0).to(torch.float32).div_(255)
    grain = torch.randn((1, 512, 512, 1), generator=torch.Generator().manual_seed(1)).mul_(0.02)
    for top in range(0, height, 512):
        for left in range(0, width, 512):
            part = image[:, top : top + 512, left : left + 512]
            part.add_(grain[:, : part.shape[1], : part.shape[2]])
    return image.clamp_(0.0, 1.0)


def give_back_memory() -> None:
    """Hand what was freed back to the system, where the C library can."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):
        return


class Silence:
    """The longest time between two calls."""

    def __init__(self) -> None:
        self.longest_s, self.calls = 0.0, 0
        self._last_s = time.perf_counter()

    def check(self) -> None:
        """Counts as a look at the interruption."""
        now_s = time.perf_counter()
        self.longest_s = max(self.longest_s, now_s - self._last_s)
        self.calls += 1
        self._last_s = now_s


def measure(style: str, height: int, width: int, repeats: int, device: torch.device) -> Measured:
    """Render that often and take the best."""
    on_gpu = device.type == "cuda"
    reference = picture(256, 256) if find_preset(style).needs_reference else None
    options = Options(device=device, tile=GPU_TILE if on_gpu else CPU_TILE, reference=reference)
    found = Measured(height, width, float("inf"), 0, 0.0, 0)
    for again in range(repeats):
        if again and found.seconds > LONG_S:
            break
        give_back_memory()
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        with PeakMemory() as memory:
            image = picture(height, width)
            silence, start = Silence(), time.perf_counter()
            painted = apply_style(image, style, 1.0, options, Watch(check=silence.check))
            if on_gpu:
                torch.cuda.synchronize()
            silence.check()
            found.seconds = min(found.seconds, time.perf_counter() - start)
            del image, painted
        peak = torch.cuda.max_memory_allocated() if on_gpu else memory.above_bytes
        found.peak_bytes = max(found.peak_bytes, peak)
        found.longest_silence_s = max(found.longest_silence_s, silence.longest_s)
        found.checks = silence.calls
    return found


def main() -> None:
    """What the argument asks for."""
    asked: dict[str, Any] = json.loads(sys.argv[1])
    torch.set_num_threads(asked["threads"])
    device = torch.device(asked["device"])
    # What is loaded, compiled and kept with the first call is not a render's.
    measure(asked["style"], 96, 96, 1, device)
    done = [
        measure(asked["style"], *size, asked["repeats"] if size[0] <= 1024 else 1, device) for size in asked["sizes"]
    ]
    sys.stdout.write(json.dumps([asdict(one) for one in done]) + "\n")


if __name__ == "__main__":
    main()
