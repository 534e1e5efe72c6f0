"""What every style keeps to, whoever wrote it: a preset that joins `PRESETS` is tested here by itself."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from expeditor.nodes.style.apply import Options, apply_style, count_steps
from expeditor.nodes.style.presets import PRESETS, REFERENCE_PRESETS
from expeditor.nodes.style.watch import Watch
from tests.host.style.measures import full_strength, noise, options, photo, rms

STYLES = [preset.name for preset in PRESETS + REFERENCE_PRESETS]
# Where nothing is strewn: another seed paints the same picture.
UNSEEDED: frozenset[str] = frozenset({"color_match"})
each_style = pytest.mark.parametrize("style", STYLES)


class Stopped(Exception):
    """Stands for the host's interruption."""


def _sane(painted: Tensor, shape: tuple[int, ...]) -> bool:
    return painted.shape == shape and bool(((painted >= 0) & (painted <= 1)).all())


@each_style
def test_no_intensity_is_the_input_itself_without_work(style: str) -> None:
    image = noise(2, 40, 50, 3) * 1.3 - 0.1
    image[0, 0, 0, 0] = torch.nan

    def refuse() -> None:
        raise AssertionError("work was done")

    assert apply_style(image, style, 0.0, options(style), Watch(refuse, refuse)) is image
    assert count_steps(image, style, 0.0, options(style)) == 0


@each_style
def test_distance_from_the_input_is_linear_in_intensity(style: str) -> None:
    picture, full = photo("coffee", 64), full_strength("coffee", style, 64)
    whole = rms(picture, full)
    assert whole > 0.03
    for share in (0.25, 0.5, 0.75):
        mixed = apply_style(picture, style, share, options(style))
        assert rms(picture, mixed) / whole == pytest.approx(share, abs=1e-5)
        assert torch.equal(mixed, torch.lerp(picture, full, share))


@each_style
def test_seed_decides_and_all_else_is_left_alone(style: str) -> None:
    """Neither the input is written to, nor torch's own random state used."""
    picture, random_state = photo("coffee", 64), torch.random.get_rng_state()
    before = picture.clone()
    first = apply_style(picture, style, 1.0, options(style, seed=2**64 - 1))
    assert torch.equal(first, apply_style(picture, style, 1.0, options(style, seed=2**64 - 1)))
    apart = rms(first, full_strength("coffee", style, 64))
    assert apart == 0 if style in UNSEEDED else apart > 0.002
    assert torch.equal(picture, before)
    assert torch.equal(torch.random.get_rng_state(), random_state)


@each_style
def test_batch_is_exactly_its_pictures_one_by_one(style: str) -> None:
    batch = torch.cat((photo("astronaut", 64), noise(1, 64, 64, 3)))
    together = apply_style(batch, style, 0.7, options(style))
    for i in range(2):
        assert torch.equal(together[i : i + 1], apply_style(batch[i : i + 1], style, 0.7, options(style)))


@each_style
def test_tiles_cannot_be_seen(style: str) -> None:
    cut = apply_style(photo("astronaut"), style, 1.0, options(style, tile=200))
    assert float((cut - full_strength("astronaut", style)).abs().max()) < 1e-6


@each_style
def test_tiles_cannot_be_seen_where_maps_are_coarser_than_the_picture(style: str) -> None:
    picture = photo("rocket", 130)
    whole, cut = (apply_style(picture, style, 1.0, options(style, tile=tile, stroke_scale=4.0)) for tile in (256, 77))
    assert float((cut - whole).abs().max()) < 1e-6


@each_style
@pytest.mark.parametrize(
    "shape", [(8, 8), (1, 1), (2, 3), (16, 700), (700, 16), (101, 67)], ids=lambda shape: f"{shape[0]}x{shape[1]}"
)
def test_any_size(style: str, shape: tuple[int, int]) -> None:
    assert _sane(apply_style(noise(1, *shape, 3), style, 1.0, options(style)), (1, *shape, 3))


@each_style
@pytest.mark.parametrize("value", [0.0, 0.37, 1.0])
def test_flat_pictures(style: str, value: float) -> None:
    assert _sane(apply_style(torch.full((1, 64, 90, 3), value), style, 1.0, options(style)), (1, 64, 90, 3))


@each_style
@pytest.mark.parametrize("scale", [0.25, 4.0])
def test_smallest_and_largest_strokes(style: str, scale: float) -> None:
    picture = photo("coffee", 64)
    assert _sane(apply_style(picture, style, 1.0, options(style, stroke_scale=scale)), tuple(picture.shape))


@each_style
@pytest.mark.parametrize("strength", [0.0, 2.0])
def test_weakest_and_strongest_palette(style: str, strength: float) -> None:
    picture = photo("coffee", 64)
    assert _sane(apply_style(picture, style, 1.0, options(style, palette_strength=strength)), tuple(picture.shape))


@each_style
@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (60, 40)], ids=lambda shape: f"{shape[0]}x{shape[1]}")
def test_reference_of_any_size(style: str, shape: tuple[int, int]) -> None:
    picture = photo("coffee", 64)
    painted = apply_style(picture, style, 1.0, Options(reference=noise(1, *shape, 3)))
    assert _sane(painted, tuple(picture.shape))


@each_style
def test_alpha_is_passed_through(style: str) -> None:
    picture = torch.cat((photo("coffee", 64), noise(1, 64, photo("coffee", 64).shape[2], 1) * 2), dim=-1)
    painted = apply_style(picture, style, 1.0, options(style))
    assert torch.equal(painted[..., 3], picture[..., 3])
    assert torch.equal(painted[..., :3], full_strength("coffee", style, 64))


@each_style
def test_dtype_comes_back_and_work_is_done_in_float32(style: str) -> None:
    picture = (photo("coffee", 64) * 64).round() / 64  # exact in each of the types
    wanted = apply_style(picture, style, 0.7, options(style))
    for dtype in (torch.float16, torch.bfloat16):
        painted = apply_style(picture.to(dtype), style, 0.7, options(style))
        assert painted.dtype is dtype
        assert torch.equal(painted, wanted.to(dtype))


@each_style
def test_nothing_is_painted_where_the_mask_is_black(style: str) -> None:
    picture, full = photo("coffee", 64), full_strength("coffee", style, 64)
    mask = torch.zeros(picture.shape[1:3])
    mask[:, :30], mask[:, 30:40] = 1.0, 0.5
    painted = apply_style(picture, style, 1.0, options(style, mask=mask))
    assert torch.equal(painted[:, :, 40:], picture[:, :, 40:])
    assert torch.equal(painted[:, :, :30], full[:, :, :30])
    half = torch.lerp(picture, full, 0.5)[:, :, 30:40]
    assert torch.allclose(painted[:, :, 30:40], half, atol=1e-6)


@each_style
def test_progress_reaches_exactly_its_total_and_is_checked_between_any_two_steps(style: str) -> None:
    image, told = noise(2, 50, 70, 3), []
    watch = Watch(lambda: told.append("tick"), lambda: told.append("check"))
    apply_style(image, style, 1.0, options(style, tile=32), watch)
    assert told.count("tick") == count_steps(image, style, 1.0, options(style, tile=32)) > 12
    assert all("check" in pair for pair in pairwise(told))
    assert told[0] == told[-1] == "check"


@each_style
@pytest.mark.parametrize("stop_at", [1, 4, 12])
def test_stopping_stops_at_once(style: str, stop_at: int) -> None:
    seen: list[int] = []

    def check() -> None:
        seen.append(1)
        if len(seen) == stop_at:
            raise Stopped

    with pytest.raises(Stopped):
        apply_style(photo("coffee", 64), style, 1.0, options(style, tile=32), Watch(check=check))
    assert len(seen) == stop_at


@each_style
def test_every_pixel_is_shown_while_it_is_painted(style: str) -> None:
    """The last that a preview saw of each pixel is the result."""
    picture = photo("coffee", 64)
    seen = torch.full((3, *picture.shape[1:3]), -1.0)

    def show(rect: object, pixels: Tensor) -> None:
        seen[(slice(None), *rect.slices)] = pixels  # type: ignore[attr-defined]

    painted = apply_style(picture, style, 1.0, options(style, tile=32), Watch(show=show))
    assert torch.equal(seen.permute(1, 2, 0), painted[0])


def test_styles_differ_from_each_other_and_from_the_input() -> None:
    pictures = {name: full_strength("coffee", name, 64) for name in STYLES} | {"input": photo("coffee", 64)}
    names = list(pictures)
    alike = {
        (a, b): rms(pictures[a], pictures[b])
        for i, a in enumerate(names)
        for b in names[i + 1 :]
        if "color_match" not in (a, b)
    }
    assert min(alike.values()) > 0.03, {pair: apart for pair, apart in alike.items() if apart <= 0.03}
