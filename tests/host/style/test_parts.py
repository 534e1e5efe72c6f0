"""The parts that styles are made of: colour, noise, flow, palette moves, and all ways to lay strokes."""

from __future__ import annotations

import math

import pytest
import torch

from expeditor.nodes.style import painting
from expeditor.nodes.style.color import linear_to_srgb, oklab_to_rgb, rgb_to_oklab, srgb_to_linear
from expeditor.nodes.style.filters import blur, gradients
from expeditor.nodes.style.flow import structure_flow, tangent
from expeditor.nodes.style.frame import Frame, Rect, tiles
from expeditor.nodes.style.lines import Paths, smear
from expeditor.nodes.style.noise import generator, grain, stretched_noise, value_noise
from expeditor.nodes.style.painting import Wet
from expeditor.nodes.style.palette import transport
from expeditor.nodes.style.presets.vangogh import PALETTE
from expeditor.nodes.style.sampling import sample_grid
from expeditor.nodes.style.strokes import Layer, Maps, plan_layer
from expeditor.nodes.style.watch import Watch
from tests.host.style.measures import palette_distance, photo, planes

CPU = torch.device("cpu")


def _uniform(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(5))


def test_colours_survive_the_round_trip() -> None:
    rgb = _uniform(3, 1000)
    assert torch.allclose(oklab_to_rgb(rgb_to_oklab(rgb)), rgb, atol=2e-4)
    assert torch.allclose(linear_to_srgb(srgb_to_linear(rgb)), rgb, atol=1e-5)


def test_oklab_of_known_colours() -> None:
    # Reference values published with the colour space.
    lab = rgb_to_oklab(torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 1.0]]))
    expected = torch.tensor([[1.0, 0.628, 0.452], [0.0, 0.225, -0.032], [0.0, 0.126, -0.312]])
    assert torch.allclose(lab, expected, atol=2e-3)


@pytest.mark.parametrize("sigma", [0.5, 2.0, 5.9, 6.1, 20.0])
def test_blur_keeps_the_mean_and_has_the_asked_width(sigma: float) -> None:
    point = torch.zeros((1, 257, 257))
    point[0, 128, 128] = 1.0
    spread = blur(point, sigma)[0]
    offset = torch.arange(257.0) - 128
    assert float(spread.sum()) == pytest.approx(1.0, abs=1e-3)
    assert float((spread.sum(0) * offset**2).sum()) ** 0.5 == pytest.approx(sigma, rel=0.12)


def test_gradient_of_a_ramp_is_its_slope() -> None:
    ramp = (torch.arange(20.0).unsqueeze(1) * 0.5 + torch.arange(30.0) * 0.25).unsqueeze(0)
    across, down = gradients(ramp)
    assert torch.allclose(across[0, 2:-2, 2:-2], torch.tensor(0.25))
    assert torch.allclose(down[0, 2:-2, 2:-2], torch.tensor(0.5))


@pytest.mark.parametrize("angle", [0.0, 0.5, 1.2, 2.0, 2.9])
def test_flow_runs_along_stripes(angle: float) -> None:
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    stripes = torch.sin((y * math.cos(angle) - x * math.sin(angle)) * 0.6).expand(3, 64, 64)
    heading = tangent(structure_flow(stripes, 3.0).direction)[:, 32, 32]
    assert abs(float(heading[0]) * math.cos(angle) + float(heading[1]) * math.sin(angle)) > 0.99


def test_smearing_along_stripes_keeps_them_and_across_removes_them() -> None:
    x = torch.sin(torch.arange(80.0) * 0.8).expand(1, 80, 80)
    along, across = torch.zeros((2, 80, 80)), torch.zeros((2, 80, 80))
    along[0], across[0] = -1.0, 1.0
    assert float(smear(x, Paths.of(along), 8, 1, Watch()).std()) > 0.95 * float(x.std())
    assert float(smear(x, Paths.of(across), 8, 1, Watch())[:, :, 10:-10].std()) < 0.3 * float(x.std())


def test_transport_reaches_the_palette() -> None:
    points, cloud = rgb_to_oklab(planes(photo("chelsea"))).reshape(3, -1), PALETTE.cloud(8192, generator(0, 0))
    moved = transport(points, cloud, 16, generator(0, 1))
    before = palette_distance(points, cloud, generator(0, 2))
    assert palette_distance(moved, cloud, generator(0, 2)) < 0.15 * before


def test_bicubic_reading_meets_the_grid_and_smooth_functions() -> None:
    grid = _uniform(2, 7, 9)
    assert torch.equal(sample_grid(grid, torch.arange(7.0), torch.arange(9.0)), grid)
    slope = torch.arange(12.0).expand(1, 12, 12)
    between = torch.arange(2, 9) + 0.3
    assert torch.allclose(sample_grid(slope, between, between)[0, 0], between, atol=1e-4)


def test_noise_does_not_depend_on_the_tile_it_is_read_for() -> None:
    noise = value_noise(90, 70, 13.0, 3, generator(4, 0), CPU)
    rows, cols = torch.arange(90.0), torch.arange(70.0)
    whole = noise.dense(rows, cols)
    assert torch.equal(noise.dense(rows[31:60], cols[7:33]), whole[:, 31:60, 7:33])
    assert torch.equal(grain(rows[5:9], cols[60:], 3), grain(rows, cols, 3)[5:9, 60:])
    assert not torch.equal(grain(rows, cols, 3), grain(rows, cols, 4))


def test_grain_is_white() -> None:
    white = grain(torch.arange(256.0), torch.arange(256.0), 0)
    assert float(white.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(white.std()) == pytest.approx(12**-0.5, abs=0.01)
    for shifted in (white.roll(1, 0), white.roll(1, 1), white.roll((1, 1), (0, 1))):
        assert abs(float(torch.corrcoef(torch.stack((white.flatten(), shifted.flatten())))[0, 1])) < 0.02


def test_streaks_wrap_without_a_seam() -> None:
    streaks = stretched_noise(0.0, 10.0, 2.0, generator(0, 0), CPU)
    period = streaks.length * (streaks.lattice.shape[-1] - 3)
    y = torch.zeros(401)
    line = streaks.at(y + 5.0, torch.linspace(period - 20, period + 20, 401))
    assert float(line.diff().abs().max()) < 0.05


def test_tiles_cover_every_pixel_once() -> None:
    count = torch.zeros((50, 71), dtype=torch.int32)
    for rect in tiles(50, 71, 16):
        rows, cols = rect.slices
        count[rows, cols] += 1
    assert bool((count == 1).all())


def _planned(scale: float) -> tuple[Frame, list[object]]:
    frame = Frame.of(120, 150, scale, CPU)
    grid = (frame.map_height, frame.map_width)
    direction = torch.stack((torch.full(grid, 0.6), torch.full(grid, 0.8)))
    maps = Maps(_uniform(3, *grid), direction, _uniform(1, *grid))
    layers = (
        Layer(6, 21, 7, light_jitter=0.1, angle_jitter=0.5),
        Layer(4, 9, 4, 0.8, threshold=0.5),
        Layer(5, 5, 5, 0.9, light_jitter=0.1, threshold=0.6, dot=True),
    )
    return frame, [plan_layer(layer, frame, maps, generator(1, i)) for i, layer in enumerate(layers)]


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_all_ways_to_lay_strokes_paint_the_same(scale: float) -> None:
    frame, layers = _planned(scale)
    rect = Rect(10, 20, 90, 140)
    rows, cols = frame.rows(rect), frame.cols(rect)
    results = [Wet.empty(80, 120, CPU) for _ in range(3)]
    for layer in layers:
        owners = painting._Owners.of(layer, rows, cols)
        for coset in layer.cosets:
            painting._lay_coset(results[0], layer, coset, rect)
            painting._lay_coset_dense(results[1], owners, coset)
            painting._lay_coset_sparse(results[2], owners, coset, torch.arange(80 * 120))
    # The dense way also paints what is all but covered.
    for other, tolerance in ((results[1], 2e-3), (results[2], 1e-6)):
        assert torch.allclose(results[0].color, other.color, atol=tolerance)
        assert torch.allclose(results[0].height, other.height, atol=tolerance)
        assert torch.allclose(results[0].clear, other.clear, atol=tolerance)
    assert float(results[0].color.std()) > 0.04


def test_no_stroke_reaches_where_another_of_its_coset_is_asked_about() -> None:
    frame, layers = _planned(1.0)
    layer = layers[0]
    rows, cols = frame.rows(Rect(0, 0, 120, 150)), frame.cols(Rect(0, 0, 120, 150))
    asked = painting._candidates(rows, 0, layer, layer.shape.shape[1] - 1)
    met = 0
    for i in range(0, layer.shape.shape[1], layer.group):
        for j in range(layer.shape.shape[2]):
            shape = layer.shape[:, i : i + 1, j : j + 1]
            u, v = painting._place(shape, rows.unsqueeze(1) - shape[1], cols - shape[0])
            covered = ((u.abs() < 1.05) & (v.abs() < 1.05)).any(dim=1)
            met += int(covered.sum())
            assert bool((asked[covered] == i).all())
    assert met > 1000
