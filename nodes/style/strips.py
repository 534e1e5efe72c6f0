"""Work on a whole picture in strips of rows: what a processor's cache holds, with a look at the watch between.

Whole-picture temporaries are slow (each is fresh memory) and many; strips cannot be seen in the result.
Owns no filter. On a GPU the whole picture is one strip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from .watch import Watch

_ROWS = 128


def strips(height: int, device: torch.device) -> Iterator[slice]:
    """Rows to work on at once, whatever the caller's tiles are."""
    rows = _ROWS if device.type == "cpu" else max(1, height)
    for top in range(0, height, rows):
        yield slice(top, min(height, top + rows))


def in_strips(x: Tensor, halo: int, work: Callable[[Tensor], Tensor], watch: Watch) -> Tensor:
    """`work(x)` for a local operation on `[C, H, W]` that looks at most `halo` rows away.

    `work` may change the number of channels; it keeps height (at least 1) and width.
    """
    height = x.shape[-2]
    parts: list[Tensor] = []
    for rows in strips(height, x.device):
        watch.check()
        first = max(0, rows.start - halo)
        got = work(x[:, first : min(height, rows.stop + halo)])
        parts.append(got[:, rows.start - first : rows.stop - first])
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
