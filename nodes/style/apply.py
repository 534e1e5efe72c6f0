"""Applying a style to a batch: one picture at a time, blended with the input by intensity and mask.

The contract of the whole package towards its callers. Owns what belongs to which picture of a batch,
and what is refused; owns no style.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from .blend import as_rgb, blend, fitted_mask
from .frame import Frame
from .presets import Render, find_preset
from .preview import Preview, Viewer
from .watch import Watch

CPU = torch.device("cpu")
STROKE_SCALES = (0.25, 4.0)
PALETTE_STRENGTHS = (0.0, 2.0)


class Style(Protocol):
    """What can be applied: a preset, or anything that keeps the same promises (a net from a file).

    `render` turns one picture into a new sRGB `[3, H, W]` 0..1 on the same device, at full strength and
    without knowing of batches, masks, alpha or intensity. It works in tiles of `job.tile`, calls
    `job.watch.check()` at least twice a second and before every tile, and ticks exactly
    `steps(height, width, tile)` times. The picture may not depend on the tile (beyond rounding).
    """

    @property
    def name(self) -> str:
        """What users choose it by."""
        ...

    @property
    def needs_reference(self) -> bool:
        """Whether it is made of `style_image` and refused without one."""
        ...

    @property
    def render(self) -> Callable[[Render], Tensor]:
        """Paint one picture."""
        ...

    @property
    def steps(self) -> Callable[[int, int, int], int]:
        """How often `render` ticks for a height, width and tile."""
        ...


@dataclass(frozen=True, slots=True)
class Options:
    """How to render. `tile` is a side in pixels and changes memory and speed, not the picture.

    `reference` `[R, h, w, C]` are pictures to take colours from, `mask` (`[M, h, w]` or `[h, w]`, of any
    size: it is scaled) says where to paint: 1 all, 0 nothing. Picture i of the batch takes number i of
    each, counted round when there are fewer. `palette_strength` is 0 to 2, `stroke_scale` 0.25 to 4.
    """

    seed: int = 0
    stroke_scale: float = 1.0
    palette_strength: float = 1.0
    reference: Tensor | None = None
    mask: Tensor | None = None
    tile: int = 256
    device: torch.device = field(default=CPU)
    output_device: torch.device = field(default=CPU)
    viewer: Viewer | None = None

    def mask_of(self, index: int) -> Tensor | None:
        """The mask `[h, w]` of one picture of the batch."""
        if self.mask is None:
            return None
        masks = self.mask if self.mask.dim() == 3 else self.mask.unsqueeze(0)
        return masks[index % masks.shape[0]]

    def reference_of(self, index: int) -> Tensor | None:
        """The reference `[3, h, w]` of one picture of the batch."""
        if self.reference is None:
            return None
        return as_rgb(self.reference[index % self.reference.shape[0]], self.device)


def count_steps(image: Tensor, style: str | Style, intensity: float, options: Options) -> int:
    """How often `apply_style` will tick for this `[B, H, W, C]` image. ValueError where that would raise it."""
    style = _found(style)
    _refuse_nonsense(image, style, options)
    if not _has_work(image, intensity):
        return 0
    batch, height, width, _ = image.shape
    painted = sum(_is_painted(options.mask_of(i)) for i in range(batch))
    return painted * style.steps(height, width, options.tile)


def _found(style: str | Style) -> Style:
    return find_preset(style) if isinstance(style, str) else style


def _has_work(image: Tensor, intensity: float) -> bool:
    return intensity > 0 and image.numel() > 0


def _is_painted(mask: Tensor | None) -> bool:
    """Whether a mask lets anything through at all; NaN does not."""
    return mask is None or bool((mask > 0).any())


def _refuse_nonsense(image: Tensor, style: Style, options: Options) -> None:
    """ValueError that names the first argument that cannot be used."""
    if image.dim() != 4:
        raise ValueError(f"image: expected a batch [B, H, W, C], got {tuple(image.shape)}")
    reference, mask = options.reference, options.mask
    if reference is None and style.needs_reference:
        raise ValueError(f"style {style.name!r} is made of a reference picture: connect style_image")
    if reference is not None and (reference.dim() != 4 or reference.numel() == 0):
        raise ValueError(f"style_image: expected one or more pictures [B, H, W, C], got {tuple(reference.shape)}")
    if mask is not None and (mask.dim() not in (2, 3) or mask.numel() == 0):
        raise ValueError(f"mask: expected [B, H, W] or [H, W], got {tuple(mask.shape)}")
    for name, value, (low, high) in (
        ("stroke_scale", options.stroke_scale, STROKE_SCALES),
        ("palette_strength", options.palette_strength, PALETTE_STRENGTHS),
    ):
        if not low <= value <= high:  # nor NaN
            raise ValueError(f"{name}: expected {low:g} to {high:g}, got {value:g}")


def _full_strength(picture: Tensor, index: int, style: Style, options: Options, watch: Watch) -> Tensor:
    """The style alone, sRGB `[3, H, W]`. What it was made from is freed on return."""
    frame = Frame.of(picture.shape[0], picture.shape[1], options.stroke_scale, options.device)
    return style.render(
        Render(
            as_rgb(picture, options.device),
            frame,
            options.seed,
            options.tile,
            watch,
            options.palette_strength,
            options.reference_of(index),
        )
    )


def _paint(
    out: Tensor, picture: Tensor, index: int, style: Style, share: float, options: Options, watch: Watch
) -> None:
    """One picture `[H, W, C]` into `out`."""
    height, width = picture.shape[:2]
    mask = options.mask_of(index)
    if not _is_painted(mask):
        out.copy_(picture)
        return
    if options.viewer is not None:
        preview = Preview(picture, share, mask, options.viewer)
        watch = Watch(watch.tick, watch.check, preview.show)
    painted = _full_strength(picture, index, style, options, watch)
    fitted = None if mask is None else fitted_mask(mask, height, width, options.device)
    blend(out, picture, painted, share, fitted, watch)


@torch.no_grad()
def apply_style(
    image: Tensor, style: str | Style, intensity: float, options: Options, watch: Watch | None = None
) -> Tensor:
    """Paint a `[B, H, W, C]` image of 0..1 in a style; same shape and dtype comes back.

    Intensity 0 (or NaN) returns `image` itself; between, the result is the straight blend of input
    and full-strength style; 1 is the style alone. Where the mask is 0 the input's values come back
    untouched. The 4th channel is passed through. Pixels that are NaN count as black, infinite ones as
    the nearest of 0 and 1. Any size from 1x1 is painted; an empty batch comes back. ValueError for an
    unknown style, tensors of another shape than said, and numbers out of range.
    """
    style = _found(style)
    _refuse_nonsense(image, style, options)
    if not _has_work(image, intensity):
        return image
    share = min(1.0, float(intensity))
    watch = watch or Watch()
    out = torch.empty(image.shape, dtype=image.dtype, device=options.output_device)
    for i in range(image.shape[0]):
        watch.check()
        _paint(out[i], image[i], i, style, share, options, watch)
    return out


def with_smaller_tiles(
    render: Callable[[int], Tensor], tile: int, smallest: int, is_out_of_memory: Callable[[BaseException], bool]
) -> Tensor:
    """Call `render(tile)`, halving the tile each time it runs out of memory, down to `smallest`."""
    while tile > smallest:
        try:
            return render(tile)
        except Exception as fault:
            if not is_out_of_memory(fault):
                raise
            tile //= 2
    return render(max(tile, smallest))
