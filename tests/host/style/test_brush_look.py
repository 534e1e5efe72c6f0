"""What the brush styles and the styles made of a reference picture look like, in numbers."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from expeditor.nodes.style.apply import Options, apply_style
from expeditor.nodes.style.color import rgb_to_oklab
from expeditor.nodes.style.noise import generator
from expeditor.nodes.style.palette import Palette, reference_colors
from expeditor.nodes.style.presets import find_preset
from expeditor.nodes.style.presets import monet as monet_preset
from expeditor.nodes.style.presets import vangogh as vangogh_preset
from expeditor.nodes.style.reference import measure_hand
from tests.host.style.measures import (
    PHOTOS,
    edge_correlation,
    fine_contrast,
    full_strength,
    mean_chroma,
    palette_distance,
    photo,
    planes,
    rms,
)

SMALL = 160


def _distance(image: Tensor, cloud: Tensor) -> float:
    return palette_distance(rgb_to_oklab(planes(image)), cloud, generator(0, 7))


def _falls(values: list[float]) -> bool:
    return all(later < earlier for earlier, later in pairwise(values))


@pytest.mark.parametrize(("style", "palette"), [("vangogh", vangogh_preset.PALETTE), ("monet", monet_preset.PALETTE)])
@pytest.mark.parametrize("name", PHOTOS[:2])
def test_palette_comes_closer_with_palette_strength(name: str, style: str, palette: Palette) -> None:
    cloud, picture = palette.cloud(8192, generator(0, 0)), photo(name, SMALL)
    strengths = (0.0, 0.5, 1.0, 1.5)
    painted = [apply_style(picture, style, 1.0, Options(palette_strength=strength)) for strength in strengths]
    assert _falls([_distance(image, cloud) for image in painted])


@pytest.mark.parametrize("style", ["vangogh", "monet", "oil", "pointillism"])
def test_without_palette_strength_hue_and_chroma_stay(style: str) -> None:
    picture = photo("coffee", SMALL)
    painted = apply_style(picture, style, 1.0, Options(palette_strength=0.0))
    before, after = (rgb_to_oklab(planes(image))[1:].mean((1, 2)) for image in (picture, painted))
    assert float((before - after).norm()) < 0.02
    assert 0.8 < mean_chroma(painted) / mean_chroma(picture) < 1.25


@pytest.mark.parametrize("name", PHOTOS)
def test_dots_are_colourful_and_shadows_turn_blue(name: str) -> None:
    before, after = photo(name), full_strength(name, "pointillism")
    assert mean_chroma(after) > 1.2 * mean_chroma(before)
    shadow = rgb_to_oklab(planes(apply_style(torch.full((1, 96, 96, 3), 0.12), "pointillism", 1.0, Options())))
    light = rgb_to_oklab(planes(apply_style(torch.full((1, 96, 96, 3), 0.95), "pointillism", 1.0, Options())))
    assert float(shadow[2].mean()) < -0.02 < 0.02 < float(light[2].mean())


@pytest.mark.parametrize("name", PHOTOS)
def test_oil_changes_the_picture(name: str) -> None:
    assert rms(photo(name), full_strength(name, "oil")) > 0.035


@pytest.mark.parametrize("style", ["color_match", "reference", "vangogh", "oil"])
@pytest.mark.parametrize(("name", "like"), [("coffee", "rocket"), ("astronaut", "chelsea")])
def test_reference_comes_closer_with_palette_strength(style: str, name: str, like: str) -> None:
    reference = photo(like, 128)
    cloud = reference_colors(planes(reference)).cloud
    picture = photo(name, SMALL)
    distances = [
        _distance(apply_style(picture, style, 1.0, Options(palette_strength=strength, reference=reference)), cloud)
        for strength in (0.0, 0.5, 1.0)
    ]
    assert _falls(distances), distances
    assert distances[-1] < 0.5 * _distance(picture, cloud)


def test_colours_of_a_picture_matched_with_itself_stay() -> None:
    picture = photo("chelsea", SMALL)
    matched = apply_style(picture, "color_match", 1.0, Options(reference=picture))
    assert rms(picture, matched) < 0.03


def test_colour_alone_keeps_every_edge() -> None:
    matched = apply_style(photo("coffee"), "color_match", 1.0, Options(reference=photo("rocket")))
    assert edge_correlation(photo("coffee"), matched) > 0.85


def test_a_flat_picture_takes_a_colour_that_the_reference_has() -> None:
    halves = torch.tensor((0.1, 0.2, 0.8)).expand(1, 60, 90, 3).clone()
    halves[:, :, 30:] = torch.tensor((0.9, 0.8, 0.2))
    matched = apply_style(torch.full((1, 40, 40, 3), 0.85), "color_match", 1.0, Options(reference=halves))
    assert torch.allclose(matched[0, 20, 20], torch.tensor((0.9, 0.8, 0.2)), atol=0.03)


@pytest.mark.parametrize("style", ["color_match", "reference"])
def test_a_style_made_of_a_reference_is_refused_without_one(style: str) -> None:
    assert find_preset(style).needs_reference
    with pytest.raises(ValueError, match="style_image"):
        apply_style(photo("coffee", 64), style, 1.0, Options())


@pytest.mark.parametrize("name", PHOTOS[2:])
def test_the_size_of_a_references_strokes_is_measured(name: str) -> None:
    painted = [
        planes(apply_style(photo(name), "pointillism", 1.0, Options(stroke_scale=scale))) for scale in (0.5, 1.5, 4.0)
    ]
    scales = [measure_hand(picture).scale for picture in painted]
    assert scales == sorted(scales)
    assert scales[-1] > 1.1 * scales[0]
    assert all(0.7 <= scale <= 1.5 for scale in scales)


def test_a_coarser_reference_makes_coarser_strokes() -> None:
    picture = torch.full((1, 256, 256, 3), 0.5)
    blobs = torch.rand((1, 12, 12, 3), generator=torch.Generator().manual_seed(1))
    coarse = torch.nn.functional.interpolate(blobs.movedim(-1, 1), size=(512, 512), mode="bicubic").movedim(1, -1)
    fine = torch.rand((1, 512, 512, 3), generator=torch.Generator().manual_seed(1))
    by_fine, by_coarse = (
        apply_style(picture, "oil", 1.0, Options(palette_strength=0.0, reference=reference.clamp(0, 1)))
        for reference in (fine, coarse)
    )
    assert fine_contrast(by_coarse) < 0.95 * fine_contrast(by_fine)
