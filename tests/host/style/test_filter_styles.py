"""The look of the filter styles in numbers: drawings, washes, prints and mosaic. No golden pictures."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from expeditor.nodes.style.apply import Options, apply_style
from expeditor.nodes.style.color import chroma, luma, rgb_to_oklab
from expeditor.nodes.style.filters import blur
from expeditor.nodes.style.noise import generator
from expeditor.nodes.style.presets.comic import INK
from expeditor.nodes.style.presets.ukiyoe import PALETTE
from tests.host.style.measures import (
    PHOTOS,
    edge_correlation,
    fine_contrast,
    full_strength,
    mean_chroma,
    noise,
    palette_distance,
    photo,
    planes,
    rms,
)

DRAWN = ("sketch", "charcoal")
COLORED = ("watercolor", "comic", "ukiyoe", "mosaic")
each_photo = pytest.mark.parametrize("name", PHOTOS)
each_colored = pytest.mark.parametrize("style", COLORED)


def _grey(image: Tensor) -> Tensor:
    return luma(planes(image))


def _ramp(count: int = 6, side: int = 64) -> Tensor:
    """Grey squares from black to white in a row."""
    shades = torch.linspace(0, 1, count).repeat_interleave(side)
    return shades.reshape(1, 1, -1, 1).expand(1, 2 * side, -1, 3).contiguous()


@each_photo
@pytest.mark.parametrize("style", DRAWN)
def test_drawings_are_almost_without_colour(name: str, style: str) -> None:
    assert mean_chroma(full_strength(name, style)) < 0.2 * mean_chroma(photo(name))


@each_photo
@pytest.mark.parametrize("style", [*DRAWN, "comic", "mosaic"])
def test_full_of_fine_marks(name: str, style: str) -> None:
    assert fine_contrast(full_strength(name, style)) > 1.5 * fine_contrast(photo(name))


@pytest.mark.parametrize("style", DRAWN)
def test_drawings_ignore_reference_and_palette_strength(style: str) -> None:
    picture = photo("coffee", 64)
    plain = apply_style(picture, style, 1.0, Options())
    assert torch.equal(
        plain, apply_style(picture, style, 1.0, Options(palette_strength=0.0, reference=noise(1, 9, 9, 3)))
    )


@pytest.mark.parametrize("style", ["charcoal", "watercolor", "comic", "ukiyoe", "mosaic"])
def test_light_stays_light_and_dark_dark(style: str) -> None:
    drawn = _grey(apply_style(_ramp(), style, 1.0, Options(palette_strength=0.0)))
    means = [float(drawn[32:96, i * 64 + 16 : i * 64 + 48].mean()) for i in range(6)]
    assert means == sorted(means), means
    assert means[-1] - means[0] > 0.4
    assert means[-1] > 0.7


@each_colored
def test_without_palette_strength_hues_stay(style: str) -> None:
    before, after = (
        blur(rgb_to_oklab(planes(image)), 4.0)[1:]
        for image in (photo("coffee"), apply_style(photo("coffee"), style, 1.0, Options(palette_strength=0.0)))
    )
    strong = chroma(torch.cat((before[:1], before))) > 0.08
    alike = torch.cosine_similarity(before, after, dim=0)[strong]
    assert float(alike.mean()) > 0.93
    assert 0.6 < float(after.norm() / before.norm()) < 1.15


@each_colored
def test_reference_gives_its_colours(style: str) -> None:
    picture, reference = photo("coffee", 128), photo("rocket", 128)
    cloud = rgb_to_oklab(planes(reference)).reshape(3, -1)
    own, taken = (apply_style(picture, style, 1.0, Options(reference=given)) for given in (None, reference))

    def distance(image: Tensor) -> float:
        """Of hue and chroma alone: how light the picture is, its drawing says."""
        lab = rgb_to_oklab(planes(image)) * torch.tensor((0.0, 1.0, 1.0)).reshape(3, 1, 1)
        return palette_distance(lab, cloud * torch.tensor((0.0, 1.0, 1.0)).unsqueeze(1), generator(0, 7))

    assert distance(taken) < 0.6 * distance(own)


@each_colored
def test_colours_taken_from_a_reference_do_not_change_the_drawing(style: str) -> None:
    picture = photo("astronaut", 128)
    taken = apply_style(picture, style, 1.0, Options(reference=photo("rocket", 64)))
    assert edge_correlation(picture, taken) > 0.6


@each_photo
def test_ukiyoe_comes_to_its_pigments(name: str) -> None:
    cloud = PALETTE.cloud(8192, generator(0, 0))
    before, after = (
        palette_distance(rgb_to_oklab(planes(image)), cloud, generator(0, 7))
        for image in (photo(name), full_strength(name, "ukiyoe"))
    )
    assert after < 0.85 * before


@each_photo
@pytest.mark.parametrize(("style", "share"), [("watercolor", 0.9), ("comic", 1.1), ("mosaic", 1.0)])
def test_colours_are_strong(name: str, style: str, share: float) -> None:
    assert mean_chroma(full_strength(name, style)) > share * mean_chroma(photo(name))


def test_watercolor_has_white_paper_and_no_black() -> None:
    painted = _grey(apply_style(_ramp(), "watercolor", 1.0, Options()))
    assert float(painted[32:96, :32].mean()) > 0.08
    assert float(painted[32:96, -48:-16].mean()) > 0.9


def test_watercolor_gathers_at_the_rim_of_a_wash() -> None:
    spot = torch.full((1, 240, 240, 3), 0.9)
    spot[:, 60:180, 60:180] = torch.tensor((0.3, 0.4, 0.8))
    painted = [_grey(apply_style(spot, "watercolor", 1.0, Options(seed=seed))) for seed in range(3)]
    across = torch.stack(painted)[:, 90:150].mean((0, 1))
    assert float(across[56:68].min()) < float(across[80:160].min()) - 0.05


def test_comic_prints_blacks_solid_and_dots_into_shades() -> None:
    painted = apply_style(_ramp(), "comic", 1.0, Options())
    printed = _grey(painted)
    assert float((painted[0, 32:96, 16:48] - torch.tensor(INK)).abs().max()) < 0.005
    assert float(printed[32:96, 2 * 64 + 16 : 2 * 64 + 48].std()) > 0.03
    assert float(printed[32:96, -48:-16].std()) < 0.01


def test_ukiyoe_prints_flat_areas() -> None:
    """Fine texture goes, edges between blocks stay."""
    step = torch.full((1, 128, 128, 3), 0.35)
    step[:, :, 64:] = 0.75
    rough = (step + 0.05 * (noise(1, 128, 128, 3) - 0.5)).clamp(0, 1)
    printed = _grey(apply_style(rough, "ukiyoe", 1.0, Options()))
    across = printed[:, 56:72].mean(0)
    assert float(across.diff().abs().max()) > 0.1
    assert float(printed[16:112, 90:120].std(0).mean()) < 0.05


def test_mosaic_is_of_tiles_in_dark_grout() -> None:
    laid = _grey(apply_style(torch.full((1, 160, 160, 3), 0.7), "mosaic", 1.0, Options()))
    grout = float((laid < 0.4).float().mean())
    assert 0.05 < grout < 0.35
    tile = laid[laid > 0.5]
    assert float(tile.std()) < 0.08


def test_mosaic_lays_smaller_tiles_where_there_is_detail() -> None:
    picture = torch.full((1, 200, 400, 3), 0.6)
    picture[:, :, 200:] = 0.35 + 0.5 * noise(1, 50, 50, 3).mean(-1, keepdim=True).repeat_interleave(
        4, 1
    ).repeat_interleave(4, 2)
    laid = _grey(apply_style(picture, "mosaic", 1.0, Options(stroke_scale=2.0)))
    calm, busy = (float((part < 0.3).float().mean()) for part in (laid[:, 20:180], laid[:, 220:380]))
    assert busy > 1.3 * calm


@pytest.mark.parametrize("style", ["comic", "mosaic", "ukiyoe", "watercolor"])
def test_another_seed_changes_the_hand_not_the_picture(style: str) -> None:
    first, other = (apply_style(photo("coffee", 128), style, 1.0, Options(seed=seed)) for seed in (1, 2))
    soft = [blur(planes(image), 8.0) for image in (first, other)]
    assert rms(first, other) > 0.005
    # The washes of watercolour are darker here and lighter there, as the water ran.
    assert rms(soft[0], soft[1]) < (0.10 if style == "watercolor" else 0.05)
