"""What every net of a model file can do, whatever its layout."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from .layers import Style
from .passes import Pass

# A net looks no further than this many pixels, and what it halves comes out even at multiples of this many: parts that
# overlap by the one and begin at the other fit together.
HALO = 64
ALIGNMENT = 8


class StyleNet(nn.Module):
    """`forward` takes `[1, 3, H, W]` of 0..1 and gives the same shape, any values, at full strength."""

    needs_reference = False

    def style(self, seed: int, reference: Tensor | None, check: Callable[[], None]) -> Style:
        """What to paint with: worked out once for a picture.

        `reference` is sRGB `[3, h, w]`, and there for a net that `needs_reference`; `check` as a pass has it.
        """
        raise NotImplementedError

    def forward(self, rgb: Tensor, style: Style, run: Pass) -> Tensor:
        """One pass."""
        raise NotImplementedError
