"""Planning brush strokes: where each one is, which way it runs, what colour it carries.

Layers of strokes, one per cell of a jittered grid, are planned here once per picture on small
grids. Laying them down pixel by pixel is `painting`. Strokes of one *coset* (every `group`-th cell
both ways) cannot touch each other, so within a coset every pixel has exactly one candidate.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .filters import blur, smoothstep
from .flow import normalized, tangent
from .frame import Frame
from .sampling import sample_points
from .watch import Watch

_SHORTEST_SPACING = 1.0
_FAR = 1e9
# How far the longest, most bent and softest stroke goes from its centre, in lengths.
_REACH = 0.65
# Strokes planned at a time.
_BAND_CELLS = 2**17
# A stroke whose centre lies beyond this does not exist.
STROKES_END = 1e8


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of strokes; lengths are multiples of the frame's unit, jitters are deviations.

    A stroke is drawn only where the picture's detail exceeds `threshold`; None draws all. `body` is
    how thick its paint is: thin paint takes on the height of what lies under it. A `dot` is a plain
    ellipse without the marks of a brush; `hairs` makes those finer. `warm_jitter`, if given, replaces
    `color_jitter` along OKLab's b, from blue to yellow.
    """

    spacing: float
    length: float
    width: float
    opacity: float = 1.0
    light_jitter: float = 0.0
    color_jitter: float = 0.0
    angle_jitter: float = 0.0
    threshold: float | None = None
    bristle: float = 1.0
    edge: float = 0.12
    body: float = 1.0
    dot: bool = False
    hairs: float = 1.0
    warm_jitter: float | None = None

    @property
    def jitter(self) -> tuple[float, float, float]:
        """Deviations of L, a and b."""
        warm = self.color_jitter if self.warm_jitter is None else self.warm_jitter
        return self.light_jitter, self.color_jitter, warm


@dataclass(frozen=True, slots=True)
class Maps:
    """What strokes are planned from, all on the map grid.

    `target` OKLab `[3, h, w]`, `direction` unit double angle `[2, h, w]`, `detail` `[1, h, w]`.
    """

    target: Tensor
    direction: Tensor
    detail: Tensor


@dataclass(frozen=True, slots=True)
class PlannedLayer:
    """Strokes ready to paint, as grids `[n, rows, cols]` whose first cell is `-pad`.

    `shape`: centre x and y; cos and sin over half length; cos and sin over half width; the bend,
    which is how far the middle line strays at the tips, in half widths. `paint`: L, a, b, bristle
    phase. A stroke that does not exist is far away. No stroke goes further than `reach` pixels from its
    centre along an axis, and those of one coset lie at least twice that apart along one.
    """

    spacing: float
    reach: float
    group: int
    pad: int
    cosets: tuple[tuple[int, int], ...]
    shape: Tensor
    paint: Tensor
    opacity: float
    bristle: float
    edge: float
    body: float
    hairs: float = 1.0
    dot: bool = False


def detail_map(lightness: Tensor, unit: float) -> Tensor:
    """How much is going on: about 1/3 where it is as much as is usual in this picture.

    The usual is the squared mean of roots: a few hard edges do not make a soft face look empty.
    """
    busy = blur((lightness - blur(lightness, 3 * unit)).abs(), 2.5 * unit)
    return busy / (3 * busy.clamp_min(0.0).sqrt().mean() ** 2 + 1e-3)


@dataclass(frozen=True, slots=True)
class _Fields:
    """What the strokes of one layer read at their places: the maps, blurred as far as a stroke is wide."""

    direction: Tensor
    target: Tensor
    detail: Tensor

    @classmethod
    def of(cls, layer: Layer, maps: Maps, map_unit: float, check: Callable[[], None]) -> _Fields:
        check()
        direction = blur(maps.direction, 0.4 * layer.width * map_unit)
        check()
        return cls(direction, blur(maps.target, 0.35 * layer.width * map_unit), maps.detail)


@dataclass(frozen=True, slots=True)
class _Planner:
    """Plans the strokes of one layer, some rows of its grid at a time; lengths in pixels."""

    layer: Layer
    frame: Frame
    fields: _Fields
    spacing: float
    pad: int
    rng: torch.Generator

    def _draw(self, channels: int, rows: int, cols: int, *, normal: bool) -> Tensor:
        # Drawn on the CPU, so that every device paints the same picture.
        draw = torch.randn if normal else torch.rand
        return draw((channels, rows, cols), generator=self.rng).to(self.frame.device)

    def _angles(self, map_y: Tensor, map_x: Tensor, turn: Tensor) -> tuple[Tensor, Tensor]:
        """Unit direction (x, y) of every stroke and its curvature in 1/pixels."""
        direction, map_unit = self.fields.direction, self.frame.map_unit
        heading = tangent(sample_points(direction, map_y, map_x))
        reach = 0.35 * self.layer.length * map_unit
        ends = [
            normalized(sample_points(direction, map_y + sign * reach * heading[1], map_x + sign * reach * heading[0]))
            for sign in (-1.0, 1.0)
        ]
        # Difference of the doubled angles, halved: the turn between the stroke's two ends.
        sine = ends[1][1] * ends[0][0] - ends[1][0] * ends[0][1]
        cosine = ends[1][0] * ends[0][0] + ends[1][1] * ends[0][1]
        curvature = 0.5 * torch.atan2(sine, cosine) / (2 * reach) * (map_unit / self.frame.unit)
        cos, sin = torch.cos(turn), torch.sin(turn)
        turned = torch.stack((heading[0] * cos - heading[1] * sin, heading[1] * cos + heading[0] * sin))
        return turned, curvature

    def plan(self, top: int, shape: Tensor, paint: Tensor) -> None:
        """Fill in the rows from `top` on of a planned layer's grids."""
        layer, frame = self.layer, self.frame
        length, width = layer.length * frame.unit, layer.width * frame.unit
        rows, cols = shape.shape[-2:]
        even = self._draw(6, rows, cols, normal=False)
        normal = self._draw(4, rows, cols, normal=True)
        first = torch.arange(top, top + rows, device=frame.device).unsqueeze(1)
        y = (first - self.pad + even[0]) * self.spacing
        x = (torch.arange(cols, device=frame.device) - self.pad + even[1]) * self.spacing
        map_y, map_x = frame.map_rows(y), frame.map_cols(x)
        heading, curvature = self._angles(map_y, map_x, layer.angle_jitter * normal[3])
        half_length = length / 2 * (0.75 + 0.4 * even[2])
        half_width = width / 2 * (0.8 + 0.4 * even[3])
        jitter = torch.tensor(layer.jitter, device=frame.device).reshape(3, 1, 1)
        paint[:3] = sample_points(self.fields.target, map_y, map_x) + jitter * normal[:3]
        paint[3] = even[4]
        if layer.threshold is not None:
            detail = sample_points(self.fields.detail, map_y, map_x)[0]
            x = torch.where(detail + 0.25 * (even[5] - 0.5) > layer.threshold, x, torch.full_like(x, _FAR))
        shape[0], shape[1] = x, y
        shape[2:4] = heading / half_length
        shape[4:6] = heading / half_width
        shape[6] = curvature.clamp(-1 / length, 1 / length) / 2 * half_length * half_length / half_width


def plan_layer(
    layer: Layer, frame: Frame, maps: Maps, rng: torch.Generator, watch: Watch | None = None
) -> PlannedLayer | None:
    """Plan every stroke of a layer; None where the strokes would be finer than pixels."""
    spacing = layer.spacing * frame.unit
    if spacing < _SHORTEST_SPACING and layer.threshold is not None:
        return None
    check = (watch or Watch()).check
    spacing = max(spacing, _SHORTEST_SPACING)
    longest = max(layer.length, layer.width) * frame.unit
    group = math.ceil(2 * _REACH * longest / spacing) + 1
    order = torch.randperm(group * group, generator=rng).tolist()
    rows = math.ceil(frame.height / spacing) + 2 * group
    cols = math.ceil(frame.width / spacing) + 2 * group
    shape = torch.empty((7, rows, cols), device=frame.device)
    paint = torch.empty((4, rows, cols), device=frame.device)
    planner = _Planner(layer, frame, _Fields.of(layer, maps, frame.map_unit, check), spacing, group, rng)
    deep = max(1, _BAND_CELLS // cols)
    for top in range(0, rows, deep):
        check()
        planner.plan(top, shape[:, top : top + deep], paint[:, top : top + deep])
    return PlannedLayer(
        spacing=spacing,
        # Rounding must not make two boxes of this size meet.
        reach=min(_REACH * longest, (group - 1) * spacing / 2) - 1e-3,
        group=group,
        pad=group,
        cosets=tuple((index // group, index % group) for index in order),
        shape=shape,
        paint=paint,
        opacity=layer.opacity,
        bristle=layer.bristle,
        edge=layer.edge,
        body=layer.body,
        hairs=layer.hairs,
        dot=layer.dot,
    )


@dataclass(frozen=True, slots=True)
class Dab:
    """What strokes leave at some pixels: coverage of colour and of height 0..1, height, OKLab."""

    alpha: Tensor
    build: Tensor
    height: Tensor
    color: Tensor


def _cover(edge: Tensor, layer: PlannedLayer) -> Tensor:
    """Opacity at pixels whose place is `edge`: below 1 inside the outline."""
    soft = layer.edge
    return layer.opacity * smoothstep(0.0, 1.0, (1 + soft - edge) / (2 * soft))


def _dot(edge: Tensor, paint: Tensor, layer: PlannedLayer) -> Dab:
    """A round touch, domed like a drop."""
    alpha = _cover(edge, layer)
    return Dab(alpha, layer.body * alpha, (0.9 - 0.5 * edge).clamp(0.0, 1.0), paint[:3].clone())


def dab(u: Tensor, v: Tensor, paint: Tensor, layer: PlannedLayer) -> Dab:
    """Shade pixels at (u, v) along and across their stroke, both -1..1 inside it."""
    if layer.dot:
        return _dot(u * u + v * v, paint, layer)
    # Two triangle waves across the stroke: the hairs of the brush.
    coarse = ((1.35 * layer.hairs * v + paint[3]).frac().abs() * 2 - 1).abs()
    fine = ((2.9 * layer.hairs * v + 1.7 * paint[3]).frac().abs() * 2 - 1).abs()
    hairs = 0.6 * coarse + 0.4 * fine
    across, along = v * v, u * u
    # |x|**2.5 by multiplication and sqrt, which round alike wherever a tile ends.
    edge = along * u.abs().sqrt() + across * v.abs().sqrt()
    tail = u.clamp_min(0.0)
    edge = edge + 0.7 * layer.bristle * tail * tail * (1 - hairs)
    alpha = _cover(edge, layer)
    height = (1 - 0.6 * across) * (0.45 + 0.55 * hairs) * (0.8 + 0.2 * u)
    color = paint[:3].clone()
    color[0] += 0.07 * layer.bristle * (hairs - 0.5)
    return Dab(alpha, layer.body * alpha, height.clamp(0.0, 1.0), color)
