"""Pictures of a batch as a person is shown them: bounded in size, JPEG, or PNG where something is transparent.

Plain functions of tensors; need torch and Pillow, not ComfyUI.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from ..jobs.waits import Picture

SIDE = 1024
SIDE_OF_MANY = 512
MANY = 16
JPEG_QUALITY = 88


def previews(images: Any, count: int) -> Iterator[Picture]:
    """The first ``count`` of ``[B, H, W, C]`` in 0 to 1, one after the other; the longest side has at most ``SIDE`` pixels, with more
    than ``MANY`` pictures ``SIDE_OF_MANY``. Values outside are clipped, NaN is black."""
    side = SIDE if count <= MANY else SIDE_OF_MANY
    for number in range(count):
        yield _encoded(_pixels(images[number]), side)


def _pixels(image: Any) -> Any:
    """``[H, W, C]`` as 8 bit: 3 channels, or 4 where something is transparent."""
    import torch

    if image.ndim == 2:
        image = image.unsqueeze(-1)
    channels = image.shape[-1]
    kept = 4 if channels >= 4 else 3 if channels == 3 else 1
    whole = torch.nan_to_num(image[..., :kept].detach().cpu().float(), nan=0.0, posinf=1.0, neginf=0.0)
    pixels = whole.clamp(0, 1).mul(255).round().to(torch.uint8)
    if kept == 1:
        pixels = pixels.expand(-1, -1, 3)
    if kept == 4 and bool((pixels[..., 3] == 255).all()):
        pixels = pixels[..., :3]
    return pixels.contiguous().numpy()


def _encoded(pixels: Any, side: int) -> Picture:
    from PIL import Image

    picture = Image.fromarray(pixels)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    if picture.mode == "RGBA":
        picture.save(data, "PNG")
        return Picture("image/png", data.getvalue())
    picture.save(data, "JPEG", quality=JPEG_QUALITY)
    return Picture("image/jpeg", data.getvalue())
