"""One run of a net over a picture or a part of it: what its norms measured, and whether to go on.

A picture that is worked on in parts must be normed as a whole, else each part gets a contrast of its own. So a first pass
over a thumbnail measures, and the passes over the parts use what it measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

# Mean and variance of each channel, `[1, C, 1, 1]` both.
Moments = tuple[Tensor, Tensor]


class Pass:
    """`seen` has the moments that the norms of a net asked for, in their order; with `known` they are given these.

    `check` is called before every layer and stops the work by raising.
    """

    def __init__(self, check: Callable[[], None], known: Sequence[Moments] | None = None) -> None:
        self.check = check
        self.seen: list[Moments] = []
        self._known = known

    def moments(self, x: Tensor, correction: int = 0) -> Moments:
        """Those of `[1, C, H, W]`; `correction` is what the variance's divisor is less than the number of pixels."""
        found = moments_of(x, correction) if self._known is None else self._known[len(self.seen)]
        self.seen.append(found)
        return found


def moments_of(x: Tensor, correction: int = 0) -> Moments:
    """Mean and variance of each channel of `[1, C, H, W]`; the variance of a single pixel is 0."""
    pixels = x.shape[-2] * x.shape[-1]
    variance = torch.var(x, dim=(2, 3), correction=min(correction, pixels - 1), keepdim=True)
    return x.mean(dim=(2, 3), keepdim=True), variance
