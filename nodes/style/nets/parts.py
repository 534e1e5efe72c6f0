"""Taking the parts of a net out of a file's weights: each by its name, each of a shape that fits the one before it."""

from __future__ import annotations

from torch import Tensor

from .errors import BadModelFile
from .layers import Conv, TableAffine
from .reading import Weights

# What a net of a picture's size is made of: more channels than any of these nets has.
MOST_CHANNELS = 4096


class Parts:
    """The weights of one file while they are fitted together; what does not fit is a `BadModelFile`."""

    def __init__(self, file: str, weights: Weights) -> None:
        self.file, self.weights = file, weights

    def has(self, key: str) -> bool:
        """Whether there is something of that name."""
        return key in self.weights

    def refuse(self, complaint: str) -> BadModelFile:
        """The error to raise."""
        return BadModelFile(f"{self.file}: {complaint}")

    def take(self, key: str, *shape: int | None) -> Tensor:
        """The tensor of that name; None in `shape` is any size from 1 to `MOST_CHANNELS`."""
        found = self.weights.get(key)
        if found is None:
            raise self.refuse(f"{key} is missing.")
        fits = len(found.shape) == len(shape) and all(
            size == wanted if wanted is not None else 0 < size <= MOST_CHANNELS
            for size, wanted in zip(found.shape, shape, strict=True)
        )
        if not fits:
            expected = " x ".join("any" if wanted is None else str(wanted) for wanted in shape)
            raise self.refuse(
                f"{key} is {' x '.join(map(str, found.shape)) or 'a single number'}, expected {expected}."
            )
        return found

    def conv(
        self, weight: str, bias: str, inputs: int, kernel: int, stride: int = 1, outputs: int | None = None
    ) -> Conv:
        """A convolution; without a `bias` in the file it has none."""
        taken = self.take(weight, outputs, inputs, kernel, kernel)
        return Conv(taken, self.take(bias, taken.shape[0]) if self.has(bias) else None, stride)

    def table(self, scale: str, shift: str, channels: int) -> TableAffine:
        """Scales and shifts of one style `[C]` or of several `[styles, C]` or `[styles, C, 1, 1]`."""
        both = [self._rows(key, channels) for key in (scale, shift)]
        if both[0].shape != both[1].shape:
            raise self.refuse(f"{scale} and {shift} are not of as many styles.")
        return TableAffine(*both)

    def _rows(self, key: str, channels: int) -> Tensor:
        found = self.weights.get(key)
        if found is not None and found.dim() == 1:
            return self.take(key, channels).unsqueeze(0)
        if found is not None and found.dim() == 4:
            return self.take(key, None, channels, 1, 1).flatten(1)
        return self.take(key, None, channels)
