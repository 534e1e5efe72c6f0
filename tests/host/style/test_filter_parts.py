"""The parts of the filter styles: even patches, smears along curves, cells of a mosaic."""

from __future__ import annotations

import math

import pytest
import torch

from expeditor.nodes.style.filters import kuwahara, lifted, stretched
from expeditor.nodes.style.frame import Frame
from expeditor.nodes.style.lines import Paths, drawn_lines, smear
from expeditor.nodes.style.noise import generator
from expeditor.nodes.style.strips import in_strips
from expeditor.nodes.style.tesserae import Cells, map_pixels, means, plan_cells, quarter, quarter_sums
from expeditor.nodes.style.watch import Watch
from tests.host.style.measures import noise, photo, planes

CPU = torch.device("cpu")
WATCH = Watch()


class Stopped(Exception):
    """Stands for the host's interruption."""


def test_kuwahara_evens_patches_and_keeps_borders_sharp() -> None:
    step = torch.full((3, 80, 80), 0.3)
    step[:, :, 40:] = 0.7
    rough = step + 0.1 * (noise(3, 80, 80) - 0.5)
    even = kuwahara(rough, 5.0, WATCH)
    assert float(even[:, 10:70, 10:30].std()) < 0.4 * float(rough[:, 10:70, 10:30].std())
    assert float((even[:, 10:70, 37] - 0.3).abs().mean()) < 0.05
    assert float((even[:, 10:70, 42] - 0.7).abs().mean()) < 0.05


def test_strips_cannot_be_seen() -> None:
    tall = planes(photo("astronaut"))[:, :, :60].repeat(1, 2, 1)
    assert tall.shape[1] > 400, "several strips"
    done = kuwahara(tall, 4.0, WATCH)
    # Without its first rows the picture is cut elsewhere; what lies far from them stays.
    cut = kuwahara(tall[:, 50:], 4.0, WATCH)
    assert torch.allclose(done[:, 70:], cut[:, 20:], atol=1e-6)
    assert torch.equal(in_strips(tall, 3, lambda part: part * 2, WATCH), tall * 2)


def test_strips_can_be_stopped_between() -> None:
    seen: list[int] = []

    def check() -> None:
        seen.append(1)
        if len(seen) == 2:
            raise Stopped

    with pytest.raises(Stopped):
        in_strips(torch.zeros((1, 600, 4)), 0, lambda part: part, Watch(check=check))


def test_stretching_reaches_black_and_white_but_leaves_flat_pictures() -> None:
    ramp = torch.linspace(0.3, 0.8, 64).expand(1, 64, 64)
    wide = stretched(ramp, 0.0, 1.0)
    assert float(wide.min()) == pytest.approx(0.0, abs=1e-5)
    assert float(wide.max()) == pytest.approx(1.0, abs=1e-5)
    flat = torch.full((1, 30, 30), 0.37)
    assert torch.allclose(stretched(flat, 0.02, 0.98), flat, atol=1e-6)


def test_dark_pictures_are_lifted_and_bright_ones_left() -> None:
    dark, bright = torch.full((1, 9, 9), 0.2), torch.full((1, 9, 9), 0.8)
    assert float(lifted(dark, 0.5, 0.1).mean()) == pytest.approx(0.5, abs=1e-4)
    assert float(lifted(dark, 0.5, 0.7).mean()) == pytest.approx(0.2**0.7, abs=1e-4)
    assert torch.allclose(lifted(bright, 0.5, 0.1), bright)


def test_smearing_follows_a_curve() -> None:
    y, x = torch.meshgrid(torch.arange(121.0) - 60, torch.arange(121.0) - 60, indexing="ij")
    radius, angle = torch.hypot(x, y), torch.atan2(y, x) + math.pi / 2
    rings = torch.sin(radius * 0.7).unsqueeze(0)
    around = Paths.of(torch.stack((torch.cos(2 * angle), torch.sin(2 * angle))))
    inside = (radius > 15) & (radius < 50)
    kept = smear(rings, around, 16.0, 1.0, WATCH)[0][inside]
    assert float((kept * rings[0][inside]).mean() / rings[0][inside].square().mean()) > 0.85


def test_a_smear_reaches_as_far_as_asked() -> None:
    point = torch.zeros((1, 41, 201))
    point[0, 20, 100] = 1.0
    along = torch.stack((torch.ones(41, 201), torch.zeros(41, 201)))
    offset = torch.arange(201.0) - 100
    for reach in (6.0, 20.0):
        spread = smear(point, Paths.of(along), reach, 1.0, WATCH)[0]
        assert float(spread.sum()) == pytest.approx(1.0, abs=1e-4)
        # The reach is two deviations; reading between pixels adds a little.
        assert float((spread.sum(0) * offset**2).sum()) ** 0.5 == pytest.approx(reach / 2, rel=0.12)
        assert float(spread[20].sum()) > 0.99


def test_lines_are_drawn_on_the_dark_side_of_an_edge() -> None:
    step = torch.full((1, 60, 60), 0.8)
    step[:, :, 30:] = 0.2
    paths = Paths.of(torch.stack((-torch.ones(60, 60), torch.zeros(60, 60))))
    drawn = drawn_lines(step, paths, 1.5, 8.0, WATCH)[0, 30]
    assert int(drawn.argmax()) in range(30, 34)
    assert float(drawn[:28].max()) < 0.1 * float(drawn.max())


def _frame() -> Frame:
    return Frame.of(90, 120, 1.0, CPU)


def _cells(frame: Frame, weight: torch.Tensor, size: float = 11.0) -> Cells:
    angle = torch.full((frame.map_height, frame.map_width), 0.8)
    direction = torch.stack((torch.cos(angle), torch.sin(angle)))
    return plan_cells(frame, size, direction, weight, generator(3, 0), WATCH)


def test_the_nearest_cell_is_the_nearest_of_all() -> None:
    frame = _frame()
    cells = _cells(frame, torch.ones((frame.map_height, frame.map_width)))
    rows, cols = torch.arange(90.0), torch.arange(120.0)
    index, gap = cells.nearest(rows, cols)
    x, y, cos, sin = cells.shape.flatten(1).reshape(4, -1, 1, 1).unbind(0)
    dx, dy = cols - x, rows.unsqueeze(1) - y
    u, v = (dx * cos + dy * sin).abs(), (dy * cos - dx * sin).abs()
    far = 0.9 * torch.maximum(u, v) + 0.1 * (u + v)
    two = far.topk(2, dim=0, largest=False)
    assert torch.equal(index, two.indices[0])
    assert torch.allclose(gap, two.values[1] - two.values[0], atol=1e-5)
    assert float(gap.min()) >= 0


def test_quarters_and_cells_have_their_pixels_mean() -> None:
    frame = _frame()
    weight, value = noise(1, frame.map_height, frame.map_width)[0], noise(1, frame.map_height, frame.map_width)
    cells = _cells(frame, weight)
    sums = quarter_sums(cells, frame, weight, value, WATCH)
    rows, cols = map_pixels(frame)
    index, _ = cells.nearest(rows, cols)
    part = quarter(*cells.within(index, rows, cols))
    parts, found = means(sums)
    whole, any_pixel = means(sums.sum(-1))
    for cell in index.unique()[::9].tolist():
        here = index == cell
        assert bool(any_pixel[cell])
        mean = (weight * value[0])[here].sum() / weight[here].sum()
        assert float(whole[0, cell]) == pytest.approx(float(mean), abs=2e-3)
        for i in range(4):
            there = here & (part == i)
            assert bool(found[cell, i]) == bool(there.any())
            if there.any():
                mean = (weight * value[0])[there].sum() / weight[there].sum()
                assert float(parts[0, cell, i]) == pytest.approx(float(mean), abs=3e-3)


def test_cells_settle_so_that_edges_run_between_them() -> None:
    frame = _frame()
    side = (torch.arange(frame.map_width) >= 57).float().expand(frame.map_height, -1)
    weight = torch.ones((frame.map_height, frame.map_width))
    weight[:, 55:60] = 0.02
    direction = torch.stack((torch.ones_like(weight), torch.zeros_like(weight)))
    torn: list[float] = []
    for given in (torch.ones_like(weight), weight):
        cells = plan_cells(frame, 11.0, direction, given, generator(1, 0), WATCH)
        share, found = means(quarter_sums(cells, frame, torch.ones_like(weight), side.unsqueeze(0), WATCH).sum(-1))
        torn.append(float((share * (1 - share))[0][found].sum()))
    assert torn[1] < 0.75 * torn[0]
