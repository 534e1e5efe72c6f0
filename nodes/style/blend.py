"""Between a picture and its style: channels, bad values, masks and the share of each.

Works band by band, so that nothing but the result is as large as the picture. Owns no style.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .filters import resize
from .watch import Watch

_BAND = 256


def color_channels(picture: Tensor) -> int:
    """How many leading channels of `[..., C]` are colour: 3, or 1 for grey. The rest is passed through."""
    return 3 if picture.shape[-1] >= 3 else 1


def as_rgb(picture: Tensor, device: torch.device) -> Tensor:
    """`[H, W, C]` to a new contiguous sRGB `[3, H, W]`, 0..1 float32; grey is tripled.

    NaN counts as black, infinite values as the nearest of 0 and 1.
    """
    planes = picture[..., : color_channels(picture)].permute(2, 0, 1)
    rgb = torch.empty((3, *picture.shape[:2]), dtype=torch.float32, device=device)
    rgb.copy_(planes.expand(3, -1, -1))
    return rgb.nan_to_num_(nan=0.0, posinf=1.0, neginf=0.0).clamp_(0.0, 1.0)


def fitted_mask(mask: Tensor, height: int, width: int, device: torch.device) -> Tensor:
    """A mask `[h, w]` as `[height, width]`, 0..1 float32; NaN counts as 0."""
    plane = torch.nan_to_num(mask.to(device, torch.float32), nan=0.0, posinf=1.0, neginf=0.0)
    return resize(plane.unsqueeze(0), height, width)[0].clamp_(0.0, 1.0)


def blend(out: Tensor, picture: Tensor, painted: Tensor, share: float, mask: Tensor | None, watch: Watch) -> None:
    """Write into `out` `[H, W, C]` the straight blend of `picture` and `painted` sRGB `[3, H, W]`.

    `share` 0..1, times `mask` `[H, W]` where there is one, is the weight of what is painted. Where
    that is 0, and in channels that are not colour, `out` gets the very values of `picture`.
    """
    colors = color_channels(picture)
    out[..., colors:].copy_(picture[..., colors:])
    for top in range(0, picture.shape[0], _BAND):
        watch.check()
        rows = slice(top, top + _BAND)
        before = picture[rows, :, :colors].to(painted.device)
        start = torch.nan_to_num(before.to(torch.float32), nan=0.0, posinf=1.0, neginf=0.0)
        end = painted[:, rows].permute(1, 2, 0).contiguous()
        if colors == 1:
            end = end.mean(-1, keepdim=True)
        if mask is None:
            out[rows, :, :colors].copy_(torch.lerp(start, end, share))
            continue
        weight = (share * mask[rows]).unsqueeze(-1)
        mixed = torch.lerp(start, end, weight).to(before.dtype)
        out[rows, :, :colors].copy_(torch.where(weight > 0, mixed, before))
