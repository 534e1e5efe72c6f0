"""The contract of `apply_style`, tried with a style that is easy to foretell: masks, references, refusals, memory."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from expeditor.nodes.style.apply import Options, apply_style, count_steps, with_smaller_tiles
from expeditor.nodes.style.frame import count_tiles, tiles
from expeditor.nodes.style.presets import Preset, Render
from expeditor.nodes.style.preview import Viewer
from expeditor.nodes.style.steps import StepBar
from expeditor.nodes.style.watch import Watch
from tests.host.style.measures import noise


def _invert(job: Render) -> Tensor:
    """The negative, tile by tile; the reference's mean where there is one."""
    out = torch.empty_like(job.rgb)
    for rect in tiles(job.frame.height, job.frame.width, job.tile):
        rows, cols = rect.slices
        out[:, rows, cols] = 1 - job.rgb[:, rows, cols]
        if job.reference is not None:
            out[:, rows, cols] = job.reference.mean((1, 2)).reshape(3, 1, 1)
        job.watch.done(rect, out[:, rows, cols])
    return out


NEGATIVE = Preset("negative", _invert, count_tiles)
MEAN = Preset("mean", _invert, count_tiles, needs_reference=True)


def test_one_mask_serves_the_whole_batch() -> None:
    image = noise(3, 20, 30, 3)
    mask = torch.zeros(20, 30)
    mask[:10] = 1.0
    for given in (mask, mask.unsqueeze(0)):
        painted = apply_style(image, NEGATIVE, 1.0, Options(mask=given))
        assert torch.equal(painted[:, 10:], image[:, 10:])
        assert torch.allclose(painted[:, :10], 1 - image[:, :10])


def test_picture_i_takes_mask_i_and_masks_are_counted_round() -> None:
    image, masks = noise(3, 8, 8, 3), torch.stack((torch.ones(8, 8), torch.zeros(8, 8)))
    painted = apply_style(image, NEGATIVE, 1.0, Options(mask=masks))
    assert torch.equal(painted[1], image[1])
    assert torch.allclose(painted[::2], 1 - image[::2])


def test_untouched_means_bit_for_bit_whatever_the_values_are() -> None:
    image = noise(1, 8, 8, 3).to(torch.float16)
    image[0, 0, 0], image[0, 1, 1], image[0, 2, 2] = torch.nan, -0.0, 3.0
    mask = torch.zeros(8, 8)
    mask[7] = 1.0
    painted = apply_style(image, NEGATIVE, 1.0, Options(mask=mask))
    assert torch.equal(painted[:, :7].view(torch.int16), image[:, :7].view(torch.int16))


def test_a_mask_of_another_size_is_scaled() -> None:
    image, mask = noise(1, 40, 60, 3), torch.zeros(1, 4, 6)
    mask[:, :, :3] = 1.0
    painted = apply_style(image, NEGATIVE, 1.0, Options(mask=mask))
    assert torch.allclose(painted[:, :, :20], 1 - image[:, :, :20], atol=1e-6)
    assert torch.equal(painted[:, :, 40:], image[:, :, 40:])
    large = torch.zeros(1, 400, 600)
    large[:, :, :300] = 1.0
    painted = apply_style(image, NEGATIVE, 1.0, Options(mask=large))
    assert torch.allclose(painted[:, :, :30], 1 - image[:, :, :30], atol=1e-6)
    assert torch.equal(painted[:, :, 30:], image[:, :, 30:])


def test_a_soft_mask_mixes_and_one_out_of_range_is_clamped() -> None:
    image = torch.full((1, 4, 4, 3), 0.2)
    mask = torch.tensor((0.25, 7.0, -3.0, torch.nan)).expand(4, 4)
    painted = apply_style(image, NEGATIVE, 0.5, Options(mask=mask))[0, 0, :, 0]
    assert torch.allclose(painted, torch.tensor((0.2 + 0.125 * 0.6, 0.5, 0.2, 0.2)))


def test_pictures_under_a_black_mask_cost_no_work() -> None:
    image, ticks = noise(2, 8, 8, 3), []
    options = Options(mask=torch.stack((torch.zeros(5, 5), torch.ones(5, 5))), tile=4)
    assert count_steps(image, NEGATIVE, 1.0, options) == 4
    apply_style(image, NEGATIVE, 1.0, options, Watch(tick=lambda: ticks.append(1)))
    assert len(ticks) == 4


def test_picture_i_takes_reference_i() -> None:
    image, references = noise(3, 8, 8, 3), torch.stack((torch.full((2, 5, 3), 0.3), torch.full((2, 5, 3), 0.9)))
    painted = apply_style(image, MEAN, 1.0, Options(reference=references))
    assert [round(float(picture.mean()), 5) for picture in painted] == [0.3, 0.9, 0.3]


def test_a_reference_is_made_fit_to_take_colours_from() -> None:
    reference = torch.tensor((torch.nan, torch.inf, -torch.inf, 5.0)).expand(1, 2, 2, 4).to(torch.float16)
    painted = apply_style(noise(1, 4, 4, 3), MEAN, 1.0, Options(reference=reference))
    assert torch.equal(painted[0, 0, 0], torch.tensor((0.0, 1.0, 0.0)))
    grey = apply_style(noise(1, 4, 4, 3), MEAN, 1.0, Options(reference=torch.full((1, 3, 3, 1), 0.25)))
    assert torch.allclose(grey, torch.tensor(0.25))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Options(), r"'mean'.*style_image"),
        (Options(reference=torch.zeros(4, 4, 3)), r"style_image.*\(4, 4, 3\)"),
        (Options(reference=torch.zeros(0, 4, 4, 3)), r"style_image.*\(0, 4, 4, 3\)"),
        (Options(reference=torch.zeros(1, 4, 4, 3), mask=torch.zeros(4)), r"mask.*\(4,\)"),
        (Options(reference=torch.zeros(1, 4, 4, 3), mask=torch.zeros(0, 4, 4)), r"mask.*\(0, 4, 4\)"),
        (Options(reference=torch.zeros(1, 4, 4, 3), stroke_scale=torch.nan), r"stroke_scale.*0.25 to 4, got nan"),
        (Options(reference=torch.zeros(1, 4, 4, 3), stroke_scale=5.0), r"stroke_scale.*got 5"),
        (Options(reference=torch.zeros(1, 4, 4, 3), palette_strength=-0.1), r"palette_strength.*0 to 2, got -0.1"),
    ],
)
def test_what_cannot_be_used_is_named_before_any_work(options: Options, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        apply_style(noise(1, 8, 8, 3), MEAN, 1.0, options)
    with pytest.raises(ValueError, match=words):  # who paints asks for the steps first
        count_steps(noise(1, 8, 8, 3), MEAN, 1.0, options)


def test_unknown_style_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'cubism'.*vangogh.*sketch"):
        apply_style(noise(1, 8, 8, 3), "cubism", 1.0, Options())


def test_a_picture_that_is_no_batch_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[B, H, W, C\]"):
        apply_style(noise(8, 8, 3), "sketch", 1.0, Options())
    with pytest.raises(ValueError, match=r"\[B, H, W, C\]"):
        count_steps(noise(8, 8, 3), "sketch", 1.0, Options())


@pytest.mark.parametrize("shape", [(0, 16, 16, 3), (1, 0, 16, 3), (2, 16, 0, 3), (1, 8, 8, 0)])
def test_empty_batch_comes_back(shape: tuple[int, ...]) -> None:
    assert apply_style(torch.zeros(shape), NEGATIVE, 1.0, Options()).shape == shape


def test_grey_stays_grey_and_double_stays_double() -> None:
    for channels in (1, 2):
        image = noise(1, 9, 7, channels)
        painted = apply_style(image, NEGATIVE, 1.0, Options())
        assert torch.allclose(painted[..., :1], 1 - image[..., :1])
        assert torch.equal(painted[..., 1:], image[..., 1:])
    double = noise(1, 9, 7, 3).double()
    assert apply_style(double, NEGATIVE, 0.5, Options()).dtype is torch.float64


def test_values_that_are_no_colours_do_not_spread() -> None:
    picture = noise(1, 30, 40, 3)
    clean = picture.clone()
    picture[0, 10, 10, 0], clean[0, 10, 10, 0] = torch.nan, 0.0
    picture[0, 20, 20, 1], clean[0, 20, 20, 1] = torch.inf, 1.0
    picture[0, 25, 30, 2], clean[0, 25, 30, 2] = -torch.inf, 0.0
    painted = apply_style(picture, "vangogh", 0.5, Options())
    assert torch.equal(painted, apply_style(clean, "vangogh", 0.5, Options()))


def test_a_preview_is_small_and_ends_as_the_result() -> None:
    image, mask, seen = noise(1, 90, 131, 3), torch.ones(90, 131), []
    mask[:, 70:] = 0.0
    viewer = Viewer(33, lambda picture: seen.append(picture.clone()))
    painted = apply_style(image, NEGATIVE, 0.5, Options(mask=mask, tile=30, viewer=viewer))
    assert len(seen) == count_tiles(90, 131, 30)
    assert tuple(seen[0].shape) == (23, 33, 3)
    assert torch.allclose(seen[-1], painted[0, ::4, ::4])
    assert not torch.allclose(seen[0], seen[-1])
    assert torch.equal(seen[0][8:], image[0, ::4, ::4][8:]), "what is not painted yet shows the input"


def test_every_step_is_told_and_a_picture_only_when_half_a_second_has_passed() -> None:
    now, told = [0.0], []
    bar = StepBar(6, lambda *step: told.append(step), clock=lambda: now[0])
    for now[0] in (0.4, 0.5, 0.6, 1.0, 1.5):
        bar.look(torch.full((2, 3, 3), now[0]))
        bar.tick()
    bar.tick()
    assert [step[:2] for step in told] == [(i, 6) for i in range(1, 7)]
    shown = [None if picture is None else picture.getpixel((2, 1)) for _, _, picture in told]
    assert shown == [None, (127,) * 3, None, (255,) * 3, (255,) * 3, None]


def test_out_of_memory_halves_the_tile_until_it_fits() -> None:
    tried: list[int] = []

    def render(tile: int) -> Tensor:
        tried.append(tile)
        if tile > 300:
            raise MemoryError
        return torch.zeros(1)

    with_smaller_tiles(render, 2048, 128, lambda fault: isinstance(fault, MemoryError))
    assert tried == [2048, 1024, 512, 256]


def test_out_of_memory_with_the_smallest_tile_is_told() -> None:
    def render(tile: int) -> Tensor:
        raise MemoryError(tile)

    with pytest.raises(MemoryError, match="128"):
        with_smaller_tiles(render, 512, 128, lambda fault: isinstance(fault, MemoryError))


def test_another_fault_is_not_tried_again() -> None:
    tried: list[int] = []

    def render(tile: int) -> Tensor:
        tried.append(tile)
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        with_smaller_tiles(render, 512, 128, lambda fault: isinstance(fault, MemoryError))
    assert tried == [512]
