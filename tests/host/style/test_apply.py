"""The contract of `apply_style`: intensity, batches, tiles, odd inputs, progress and interruption."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from expeditor.nodes.style.apply import Options, apply_style, count_steps, with_smaller_tiles
from expeditor.nodes.style.presets import PRESETS
from expeditor.nodes.style.watch import Watch
from tests.host.style.measures import full_strength, photo, rms

STYLES = [preset.name for preset in PRESETS]
each_style = pytest.mark.parametrize("style", STYLES)


class Stopped(Exception):
    """Stands for the host's interruption."""


def _noise(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(3))


@each_style
def test_no_intensity_is_the_input_itself_without_work(style: str) -> None:
    image = _noise(2, 40, 50, 3) * 1.3 - 0.1
    image[0, 0, 0, 0] = torch.nan

    def refuse() -> None:
        raise AssertionError("work was done")

    assert apply_style(image, style, 0.0, Options(), Watch(refuse, refuse)) is image
    assert count_steps(image, style, 0.0, 256) == 0


@each_style
def test_distance_from_the_input_is_linear_in_intensity(style: str) -> None:
    picture, full = photo("astronaut", 128), apply_style(photo("astronaut", 128), style, 1.0, Options())
    whole = rms(picture, full)
    assert whole > 0.05
    for share in (0.25, 0.5, 0.75):
        mixed = apply_style(picture, style, share, Options())
        assert rms(picture, mixed) / whole == pytest.approx(share, abs=1e-5)
        assert torch.equal(mixed, torch.lerp(picture, full, share))


@each_style
def test_seed_decides_and_the_input_is_left_alone(style: str) -> None:
    picture = photo("coffee", 128)
    before = picture.clone()
    first = apply_style(picture, style, 1.0, Options(seed=2**64 - 1))
    assert torch.equal(first, apply_style(picture, style, 1.0, Options(seed=2**64 - 1)))
    assert rms(first, apply_style(picture, style, 1.0, Options(seed=1))) > 0.01
    assert torch.equal(picture, before)


@each_style
def test_global_random_state_is_not_used(style: str) -> None:
    before = torch.random.get_rng_state()
    apply_style(photo("coffee", 64), style, 1.0, Options())
    assert torch.equal(torch.random.get_rng_state(), before)


@each_style
def test_batch_is_exactly_its_pictures_one_by_one(style: str) -> None:
    batch = torch.cat((photo("astronaut", 96), _noise(1, 96, 96, 3), photo("astronaut", 96).flip(2)))
    together = apply_style(batch, style, 0.7, Options())
    for i in range(3):
        assert torch.equal(together[i : i + 1], apply_style(batch[i : i + 1], style, 0.7, Options()))


@each_style
@pytest.mark.parametrize("tile", [200, 96, 4096])
def test_tiles_cannot_be_seen(style: str, tile: int) -> None:
    cut = apply_style(photo("astronaut"), style, 1.0, Options(tile=tile))
    assert float((cut - full_strength("astronaut", style)).abs().max()) < 1e-6


@each_style
def test_tiles_cannot_be_seen_where_maps_are_coarser_than_the_picture(style: str) -> None:
    picture = photo("rocket", 200)
    whole, cut = (apply_style(picture, style, 1.0, Options(tile=tile, stroke_scale=4.0)) for tile in (1024, 77))
    assert float((cut - whole).abs().max()) < 1e-6


@each_style
@pytest.mark.parametrize(
    "shape", [(8, 8), (1, 1), (2, 3), (16, 700), (700, 16), (101, 67)], ids=lambda shape: f"{shape[0]}x{shape[1]}"
)
def test_any_size(style: str, shape: tuple[int, int]) -> None:
    painted = apply_style(_noise(1, *shape, 3), style, 1.0, Options())
    assert painted.shape == (1, *shape, 3)
    assert bool(((painted >= 0) & (painted <= 1)).all())


@each_style
@pytest.mark.parametrize("value", [0.0, 0.37, 1.0])
def test_flat_pictures(style: str, value: float) -> None:
    painted = apply_style(torch.full((1, 64, 90, 3), value), style, 1.0, Options())
    assert bool(((painted >= 0) & (painted <= 1)).all())
    if style == "sketch":
        assert abs(float(painted.mean()) - value) < 0.35


@each_style
def test_smallest_and_largest_strokes(style: str) -> None:
    picture = photo("coffee", 128)
    fine, broad = (apply_style(picture, style, 1.0, Options(stroke_scale=scale)) for scale in (0.25, 4.0))
    assert rms(fine, broad) > 0.03
    assert bool(torch.isfinite(fine).all() and torch.isfinite(broad).all())


@each_style
def test_alpha_is_passed_through(style: str) -> None:
    picture = torch.cat((photo("coffee", 64), _noise(1, 64, photo("coffee", 64).shape[2], 1) * 2), dim=-1)
    painted = apply_style(picture, style, 1.0, Options())
    assert torch.equal(painted[..., 3], picture[..., 3])
    assert torch.equal(painted[..., :3], apply_style(picture[..., :3], style, 1.0, Options()))


@each_style
def test_one_channel_stays_one_channel(style: str) -> None:
    painted = apply_style(_noise(1, 40, 40, 1), style, 1.0, Options())
    assert painted.shape == (1, 40, 40, 1)


@each_style
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtype_comes_back_and_work_is_done_in_float32(style: str, dtype: torch.dtype) -> None:
    picture = photo("coffee", 64).to(dtype)
    painted = apply_style(picture, style, 0.7, Options())
    assert painted.dtype is dtype
    assert torch.equal(painted, apply_style(picture.float(), style, 0.7, Options()).to(dtype))


@each_style
def test_values_that_are_no_colours_do_not_spread(style: str) -> None:
    picture = photo("coffee", 64).clone()
    clean = picture.clone()
    picture[0, 10, 10, 0], clean[0, 10, 10, 0] = torch.nan, 0.0
    picture[0, 20, 20, 1], clean[0, 20, 20, 1] = torch.inf, 1.0
    picture[0, 30, 30, 2], clean[0, 30, 30, 2] = -torch.inf, 0.0
    painted = apply_style(picture, style, 0.5, Options())
    assert torch.equal(painted, apply_style(clean, style, 0.5, Options()))


@each_style
def test_empty_batch_comes_back(style: str) -> None:
    empty = torch.zeros((0, 16, 16, 3))
    assert apply_style(empty, style, 1.0, Options()).shape == (0, 16, 16, 3)


@each_style
@pytest.mark.parametrize("shape", [(2, 100, 130), (1, 64, 64)])
def test_progress_reaches_exactly_its_total(style: str, shape: tuple[int, int, int]) -> None:
    image, done = _noise(*shape, 3), []
    apply_style(image, style, 1.0, Options(tile=40), Watch(tick=lambda: done.append(1)))
    assert len(done) == count_steps(image, style, 1.0, 40) > 0


@each_style
def test_work_can_be_stopped_anywhere(style: str) -> None:
    image, checks = photo("coffee", 96), []
    apply_style(image, style, 1.0, Options(tile=64), Watch(check=lambda: checks.append(1)))
    assert len(checks) > 8
    for stop_at in (1, 3, len(checks) // 2, len(checks)):
        seen = []

        def check(seen: list[int] = seen, stop_at: int = stop_at) -> None:
            seen.append(1)
            if len(seen) == stop_at:
                raise Stopped

        with pytest.raises(Stopped):
            apply_style(image, style, 1.0, Options(tile=64), Watch(check=check))
        assert len(seen) == stop_at


def test_unknown_style_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'cubism'.*vangogh.*sketch"):
        apply_style(_noise(1, 8, 8, 3), "cubism", 1.0, Options())


def test_a_picture_that_is_no_batch_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[B, H, W, C\]"):
        apply_style(_noise(8, 8, 3), "sketch", 1.0, Options())


def test_out_of_memory_halves_the_tile_until_it_fits() -> None:
    tried: list[int] = []

    def render(tile: int) -> Tensor:
        tried.append(tile)
        if tile > 300:
            raise MemoryError
        return torch.zeros(1)

    with_smaller_tiles(render, 2048, 128, MemoryError)
    assert tried == [2048, 1024, 512, 256]


def test_out_of_memory_with_the_smallest_tile_is_told() -> None:
    def render(tile: int) -> Tensor:
        raise MemoryError(tile)

    with pytest.raises(MemoryError, match="128"):
        with_smaller_tiles(render, 512, 128, MemoryError)
