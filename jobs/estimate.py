"""How long a job will probably run: the signature it is grouped by, the running mean, and how far off estimates are.

Pure. The store keeps the means; the mean is exponentially weighted with ``ALPHA`` for the newest run.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

ALPHA = 0.3
DEFAULT_ESTIMATE_S = 5.0
PACE_ALPHA = 0.05
PACE_MOST = 4.0
"""How far the line's coin may be from a second, either way."""
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


def warm(signature_: str) -> str:
    """The name under which the mean of those runs is kept that found their models in memory."""
    return f"{signature_} warm"


@dataclass(frozen=True, slots=True)
class Pace:
    """What the jobs that run now were estimated at when they arrived, and what they take: both running means, in seconds.

    Fair shares need one measure for all. A long line that was placed on poor estimates (on a new server: 5 seconds each)
    is served by them, so what arrives later, with better estimates, is counted in the same coin (``worth_s``). As that line
    is worked off the two means meet and a second is a second again.
    """

    estimated_s: float = DEFAULT_ESTIMATE_S
    ran_s: float = DEFAULT_ESTIMATE_S

    def after(self, estimated_s: float, ran_s: float) -> Pace:
        """Once one more run is through."""
        return Pace(
            self.estimated_s + PACE_ALPHA * (estimated_s - self.estimated_s),
            self.ran_s + PACE_ALPHA * (ran_s - self.ran_s),
        )

    def worth_s(self, estimated_s: float) -> float:
        """An estimate of today in the coin of the line."""
        rate = self.estimated_s / self.ran_s if self.ran_s > 0 else PACE_MOST
        return estimated_s * min(PACE_MOST, max(1 / PACE_MOST, rate))


def next_mean(mean_s: float | None, observed_s: float) -> float:
    """The mean after one more run; the first run is its own mean."""
    if mean_s is None:
        return observed_s
    return mean_s + ALPHA * (observed_s - mean_s)
