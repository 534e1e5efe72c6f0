"""How long a job will probably run: the signature it is grouped by, and the running mean.

Pure. The store keeps the means; the mean is exponentially weighted with ``ALPHA`` for the newest run.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any, cast

ALPHA = 0.3
DEFAULT_ESTIMATE_S = 5.0
_SIZE_INPUTS = frozenset({"width", "height", "steps", "batch_size", "frames", "length", "upscale_by", "scale_by"})


def signature(prompt: dict[str, Any]) -> str:
    """A short name for all prompts that should take about as long: classes, models, sizes and steps."""
    parts: list[str] = []
    for node in prompt.values():
        if not isinstance(node, dict):
            continue
        fields = cast("dict[str, Any]", node)
        parts.append(f"class={fields.get('class_type')}")
        inputs = fields.get("inputs")
        if isinstance(inputs, dict):
            parts += [
                f"{name}={value}"
                for name, value in cast("dict[str, Any]", inputs).items()
                if _tells(name) and isinstance(value, (int, float, str))
            ]
    parts.sort()
    digest = hashlib.blake2b("\n".join(parts).encode("utf-8", "surrogatepass"), digest_size=8)
    return digest.hexdigest()


@lru_cache(maxsize=4096)
def _tells(name: object) -> bool:
    # str(): prompts put by other packs may have names that are no text. Kept, since every submit asks the same names.
    return name in _SIZE_INPUTS or str(name).endswith("_name")


def next_mean(mean_s: float | None, observed_s: float) -> float:
    """The mean after one more run; the first run is its own mean."""
    if mean_s is None:
        return observed_s
    return mean_s + ALPHA * (observed_s - mean_s)
