"""Applying a preset to a batch: one picture at a time, blended with the input by intensity.

The contract of the whole package towards its callers. Owns dtype, channels, devices and bad
values (NaN); owns no style.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .frame import Frame
from .presets import Preset, Render, find_preset
from .watch import Watch


@dataclass(frozen=True, slots=True)
class Options:
    """How to render. `tile` is a side in pixels and changes memory and speed, not the picture."""

    seed: int = 0
    stroke_scale: float = 1.0
    tile: int = 256
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    output_device: torch.device = field(default_factory=lambda: torch.device("cpu"))


def count_steps(image: Tensor, style: str, intensity: float, tile: int) -> int:
    """How often `apply_style` will tick for this `[B, H, W, C]` image."""
    if not _has_work(image, intensity):
        return 0
    batch, height, width, _ = image.shape
    return batch * find_preset(style).steps(height, width, tile)


def _has_work(image: Tensor, intensity: float) -> bool:
    return intensity > 0 and image.numel() > 0


def _as_rgb(picture: Tensor) -> Tensor:
    """`[H, W, C]` to contiguous sRGB `[3, H, W]`; grey is tripled."""
    color = picture[..., :3] if picture.shape[-1] >= 3 else picture[..., :1].expand(-1, -1, 3)
    return color.permute(2, 0, 1).contiguous().clamp(0.0, 1.0)


def _styled(picture: Tensor, preset: Preset, options: Options, watch: Watch) -> Tensor:
    """Full-strength rendering of a float32 `[H, W, C]` picture, with its own extra channels."""
    frame = Frame.of(picture.shape[0], picture.shape[1], options.stroke_scale, options.device)
    done = preset.render(Render(_as_rgb(picture), frame, options.seed, options.tile, watch))
    done = done.permute(1, 2, 0)
    if picture.shape[-1] >= 3:
        return torch.cat((done, picture[..., 3:]), dim=-1)
    return torch.cat((done.mean(-1, keepdim=True), picture[..., 1:]), dim=-1)


@torch.no_grad()
def apply_style(image: Tensor, style: str, intensity: float, options: Options, watch: Watch | None = None) -> Tensor:
    """Paint a `[B, H, W, C]` image of 0..1 in a style; same shape and dtype comes back.

    Intensity 0 (or NaN) returns `image` itself; between, the result is the straight blend of input
    and full-strength style; 1 is the style alone. The 4th channel is passed through. Pixels that
    are NaN count as black, infinite ones as the nearest of 0 and 1. ValueError for an unknown
    style or a tensor that is not `[B, H, W, C]`.
    """
    preset = find_preset(style)
    if image.dim() != 4:
        raise ValueError(f"expected an image batch [B, H, W, C], got {tuple(image.shape)}")
    if not _has_work(image, intensity):
        return image
    share = min(1.0, float(intensity))
    watch = watch or Watch()
    out = torch.empty(image.shape, dtype=image.dtype, device=options.output_device)
    for i in range(image.shape[0]):
        watch.check()
        picture = image[i].to(options.device, torch.float32)
        picture = torch.nan_to_num(picture, nan=0.0, posinf=1.0, neginf=0.0)
        out[i] = torch.lerp(picture, _styled(picture, preset, options, watch), share)
    return out


def with_smaller_tiles(
    render: Callable[[int], Tensor], tile: int, smallest: int, out_of_memory: type[BaseException]
) -> Tensor:
    """Call `render(tile)`, halving the tile each time it runs out of memory, down to `smallest`."""
    while tile > smallest:
        try:
            return render(tile)
        except out_of_memory:
            tile //= 2
    return render(smallest)
