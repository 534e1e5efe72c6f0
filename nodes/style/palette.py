"""Moving a picture's colours towards a palette by sliced optimal transport in OKLab.

Owns palettes and the move; global statistics come from a thumbnail, so tiles never see a seam.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .color import hex_to_rgb, rgb_to_oklab
from .filters import blur, guided_coefficients, resize, smoothstep
from .frame import Rect, bands
from .noise import generator
from .sampling import sample_grid
from .watch import Watch

_THUMBNAIL = 256
_QUANTILES = 1024
_CLOUD_SIZE = 8192
_ROUNDS = 16
# Pixels moved at a time.
_BAND_PIXELS = 2**19
_MOST_SAMPLES = 16_384
# Side to which a reference picture is reduced, and what its colours are boiled down to.
_REFERENCE_SIDE = 192
_MAIN_COLORS = 16
_CLUSTER_ROUNDS = 8
# Deviation of colours among neighbours: below the first an area is flat, above the second it is not.
_FLAT, _TEXTURED = 0.0005, 0.004
# How near a palette colour must be, in OKLab, to count as the near one.
_NEAR = 0.05


@dataclass(frozen=True, slots=True)
class Colors:
    """What colours are moved to, in OKLab.

    `cloud` `[3, n]` has them as common as they are wanted to be; `main` `[3, m]` are the few that stand
    for all: a flat area takes the nearest of these.
    """

    cloud: Tensor
    main: Tensor


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours as `rrggbb` words and how common each is."""

    colors: str
    weights: tuple[float, ...]
    spread: float = 0.035

    def cloud(self, count: int, rng: torch.Generator) -> Tensor:
        """`[3, count]` OKLab points around the colours, as common as their weights say."""
        picks = torch.multinomial(torch.tensor(self.weights), count, replacement=True, generator=rng)
        return self._lab()[:, picks] + self.spread * torch.randn((3, count), generator=rng)

    def _lab(self) -> Tensor:
        return rgb_to_oklab(hex_to_rgb(self.colors).T.contiguous())

    def colors_on(self, device: torch.device) -> Colors:
        """This palette as something to move colours to; always the same cloud."""
        return Colors(self.cloud(_CLOUD_SIZE, generator(0, 100)).to(device), self._lab().to(device))


def reference_colors(rgb: Tensor) -> Colors:
    """The colours of a picture, sRGB `[3, h, w]` of any size."""
    height, width = rgb.shape[-2:]
    # Area means of a larger picture; a smaller one is as it is.
    small = resize(rgb, min(height, _REFERENCE_SIDE), min(width, _REFERENCE_SIDE))
    cloud = rgb_to_oklab(small).reshape(3, -1)
    return Colors(cloud, main_colors(cloud))


def main_colors(cloud: Tensor, count: int = _MAIN_COLORS) -> Tensor:
    """Cluster means of a cloud `[3, n]`: `[3, count]`, some of them equal where there are few."""
    ordered = cloud[:, cloud[0].argsort()]
    picks = torch.linspace(0, cloud.shape[1] - 1, count, device=cloud.device).long()
    main = ordered[:, picks]
    points = ordered[:, :: max(1, cloud.shape[1] // _CLOUD_SIZE)]
    for _ in range(_CLUSTER_ROUNDS):
        nearest = torch.cdist(points.T.contiguous(), main.T.contiguous()).argmin(dim=1)
        member = torch.nn.functional.one_hot(nearest, count).to(points.dtype)
        size = member.sum(0)
        main = torch.where(size > 0, points @ member / size.clamp_min(1.0), main)
    return main


def _frames(count: int, rng: torch.Generator) -> Tensor:
    """Random orthonormal bases `[count, 3, 3]`."""
    bases, _ = torch.linalg.qr(torch.randn((count, 3, 3), generator=rng))
    return bases


def _levels(device: torch.device) -> Tensor:
    return torch.linspace(0.0, 1.0, _QUANTILES, device=device)


def _quantiles(x: Tensor) -> Tensor:
    """`[3, _QUANTILES]` evenly spaced quantiles of each row of `[3, n]`."""
    ordered = x.sort(dim=1).values
    place = _levels(x.device) * (ordered.shape[1] - 1)
    low = place.floor().long()
    high = (low + 1).clamp(max=ordered.shape[1] - 1)
    return torch.lerp(ordered[:, low], ordered[:, high], (place - low).expand(3, -1))


def _transfer(x: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Map each row of `x` so that quantiles `source` become quantiles `target`."""
    right = torch.searchsorted(source, x).clamp(1, _QUANTILES - 1)
    left = right - 1
    s0, s1 = source.gather(1, left), source.gather(1, right)
    t0, t1 = target.gather(1, left), target.gather(1, right)
    share = ((x - s0) / (s1 - s0).clamp_min(1e-6)).clamp(0.0, 1.0)
    return torch.lerp(t0, t1, share)


def transport(points: Tensor, cloud: Tensor, rounds: int, rng: torch.Generator, watch: Watch | None = None) -> Tensor:
    """Move `[3, n]` points until they are distributed like `cloud` `[3, m]`; same order."""
    every = max(1, points.shape[1] // _MOST_SAMPLES)
    moved, check = points.clone(), (watch or Watch()).check
    for basis in _frames(rounds, rng).to(points.device):
        check()
        turned = (basis @ moved).contiguous()
        source = _quantiles(turned[:, ::every])
        target = _quantiles(basis @ cloud)
        moved = basis.T @ _transfer(turned, source, target)
    return moved


def nearest_color(lab: Tensor, colors: Tensor) -> Tensor:
    """Soft nearest of some colours `[3, m]` for every colour of `[3, H, W]`; lightness counts half."""
    metric = torch.tensor((0.5, 1.0, 1.0), device=lab.device).reshape(3, 1)
    points = lab.reshape(3, -1)
    apart = torch.cdist((points * metric).T.contiguous(), (colors * metric).T.contiguous())
    share = torch.softmax(-((apart / _NEAR) ** 2), dim=1)
    return (colors @ share.T).reshape(lab.shape)


def _displacement(small: Tensor, colors: Colors, rng: torch.Generator, watch: Watch) -> Tensor:
    """Where the colours of a thumbnail are to go, relative to where they are.

    Transport cannot tell equal colours apart: a large flat area would go to the mean of all colours
    it takes up, which is grey. There the nearest palette colour decides instead.
    """
    moved = transport(small.reshape(3, -1), colors.cloud, _ROUNDS, rng, watch).reshape(small.shape) - small
    mean = blur(small, 2.5)
    variance = (blur((small - mean) ** 2, 2.5)).sum(0, keepdim=True)
    belief = smoothstep(_FLAT, _TEXTURED, variance.sqrt())
    return torch.lerp(nearest_color(small, colors.main) - small, moved, belief)


@dataclass(frozen=True, slots=True)
class ColorMove:
    """Where each colour of a picture is to go: added to it is `a * L + b`, both `[3, h, w]` on a thumbnail."""

    a: Tensor
    b: Tensor

    def applied(self, lab: Tensor, rect: Rect, size: tuple[int, int], strength: tuple[float, float]) -> Tensor:
        """Move `lab` `[3, h, w]`, which is `rect` of a picture of `size` (height, width); a new tensor."""
        small_height, small_width = self.a.shape[-2:]
        y = (torch.arange(rect.top, rect.bottom, device=lab.device) + 0.5) * (small_height / size[0]) - 0.5
        x = (torch.arange(rect.left, rect.right, device=lab.device) + 0.5) * (small_width / size[1]) - 0.5
        out = torch.empty_like(lab)
        for i, share in enumerate((strength[0], strength[1], strength[1])):
            shift = sample_grid(self.a[i : i + 1], y, x).mul_(lab[:1]).add_(sample_grid(self.b[i : i + 1], y, x))
            torch.add(lab[i : i + 1], shift, alpha=share, out=out[i : i + 1])
        return out


def thumbnail(x: Tensor) -> Tensor:
    """`[C, H, W]` reduced to the size at which a picture's colours are counted; smaller ones as they are."""
    height, width = x.shape[-2:]
    scale = min(1.0, _THUMBNAIL / max(height, width))
    return resize(x, max(1, round(height * scale)), max(1, round(width * scale)))


def plan_move(lab: Tensor, colors: Colors, watch: Watch) -> ColorMove:
    """How the picture `lab` `[3, H, W]`, which may be a reduced one, comes to have other colours.

    The displacement is smoothed along the picture's own edges: no banding, no halos. The same
    picture is always moved alike, whatever the seed.
    """
    small = thumbnail(lab)
    moved = _displacement(small, colors, generator(0, 101), watch)
    return ColorMove(*guided_coefficients(small[:1], moved, sigma=2.5, eps=1e-3))


def move_colors(lab: Tensor, colors: Colors, strength: tuple[float, float], watch: Watch | None = None) -> Tensor:
    """Move a whole picture `[3, H, W]` towards other colours; `strength` is 0..1 for L and for a, b."""
    if strength == (0.0, 0.0):
        return lab.clone()
    watch = watch or Watch()
    move, out = plan_move(lab, colors, watch), torch.empty_like(lab)
    height, width = lab.shape[-2:]
    for rect in bands(height, width, _BAND_PIXELS):
        watch.check()
        rows, cols = rect.slices
        out[:, rows, cols] = move.applied(lab[:, rows, cols], rect, (height, width), strength)
    return out
