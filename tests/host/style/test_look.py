"""What the styles look like, in numbers: form kept, palette reached, strokes along edges. No golden pictures."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from expeditor.nodes.style.apply import Options, apply_style
from expeditor.nodes.style.color import rgb_to_oklab
from expeditor.nodes.style.noise import generator
from expeditor.nodes.style.palette import Palette
from expeditor.nodes.style.presets import monet, vangogh
from tests.host.style.measures import (
    PHOTOS,
    edge_correlation,
    fine_contrast,
    full_strength,
    mean_chroma,
    orientation_agreement,
    palette_distance,
    photo,
    planes,
    rms,
)


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize(
    ("style", "floor"),
    [
        ("vangogh", 0.74),
        ("monet", 0.74),
        ("oil", 0.75),
        ("pointillism", 0.67),
        ("watercolor", 0.5),
        ("sketch", 0.60),
        ("charcoal", 0.45),
        ("comic", 0.7),
        ("ukiyoe", 0.8),
        ("mosaic", 0.75),
    ],
)
def test_edges_of_the_picture_are_kept(name: str, style: str, floor: float) -> None:
    assert edge_correlation(photo(name), full_strength(name, style)) > floor


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize(
    ("style", "floor"),
    [("vangogh", 0.7), ("monet", 0.7), ("oil", 0.7), ("charcoal", 0.8), ("comic", 0.7), ("ukiyoe", 0.55)],
)
def test_marks_run_with_the_form(name: str, style: str, floor: float) -> None:
    assert orientation_agreement(photo(name), full_strength(name, style)) > floor


@pytest.mark.parametrize(("style", "palette"), [("vangogh", vangogh.PALETTE), ("monet", monet.PALETTE)])
@pytest.mark.parametrize("name", PHOTOS)
def test_more_intensity_comes_closer_to_the_palette(name: str, style: str, palette: Palette) -> None:
    cloud = palette.cloud(8192, generator(0, 0))
    distances = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        mixed = torch.lerp(photo(name), full_strength(name, style), share)
        distances.append(palette_distance(rgb_to_oklab(planes(mixed)), cloud, generator(0, 7)))
    assert all(later < earlier for earlier, later in pairwise(distances)), distances


@pytest.mark.parametrize("name", PHOTOS)
def test_sketch_is_almost_without_colour_and_full_of_fine_marks(name: str) -> None:
    before, after = photo(name), full_strength(name, "sketch")
    assert mean_chroma(after) < 0.2 * mean_chroma(before)
    assert fine_contrast(after) > 1.5 * fine_contrast(before)


def test_sketch_keeps_light_light_and_dark_dark() -> None:
    shades = torch.linspace(0, 1, 5).reshape(1, 1, 5, 1).repeat_interleave(80, 2).expand(1, 120, 400, 3)
    drawn = apply_style(shades.contiguous(), "sketch", 1.0, Options())
    means = [float(drawn[:, :, i * 80 + 20 : i * 80 + 60].mean()) for i in range(5)]
    assert means == sorted(means)
    assert means[-1] > 0.9
    assert means[0] < 0.45


def test_swirling_strokes_turn_in_a_flat_sky() -> None:
    flat = torch.full((1, 256, 256, 3), 0.5)
    painted = apply_style(flat, "vangogh", 1.0, Options())
    grey = painted[0].mean(-1)
    assert float(grey.std()) > 0.02
    vertical, horizontal = grey.diff(dim=0).abs().mean(), grey.diff(dim=1).abs().mean()
    assert 0.5 < float(vertical / horizontal) < 2.0, "strokes of a flat picture must not all lie one way"


def test_styles_differ_from_each_other_and_from_the_input() -> None:
    picture, painted, drawn = photo("coffee"), full_strength("coffee", "vangogh"), full_strength("coffee", "sketch")
    assert min(rms(picture, painted), rms(picture, drawn), rms(painted, drawn)) > 0.08


def test_flat_areas_keep_their_hue() -> None:
    """A poster of few colours must not be greyed by a palette that is spread evenly over it."""
    poster = torch.tensor((0.18, 0.39, 0.72)).expand(1, 160, 200, 3).clone()
    poster[:, 110:] = torch.tensor((0.36, 0.44, 0.16))
    painted = apply_style(poster, "vangogh", 1.0, Options())
    for rows in (slice(10, 90), slice(125, 150)):
        before = rgb_to_oklab(planes(poster))[1:, rows].mean((1, 2))
        after = rgb_to_oklab(planes(painted))[1:, rows].mean((1, 2))
        assert float(torch.cosine_similarity(before, after, dim=0)) > 0.95
        assert float(after.norm()) > 0.8 * float(before.norm())
