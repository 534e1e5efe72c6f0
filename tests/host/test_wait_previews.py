"""Pictures as a waiting node shows them: bounded, right way up, alpha kept, whatever the tensor holds."""

from __future__ import annotations

import io

import pytest
import torch
from PIL import Image

from expeditor.nodes.previews import MANY, SIDE, SIDE_OF_MANY, previews


def shown(images, count=None):
    made = list(previews(images, images.shape[0] if count is None else count))
    return [(one.content_type, Image.open(io.BytesIO(one.data))) for one in made]


@pytest.mark.parametrize(
    ("height", "width", "expected"), [(8, 16, (16, 8)), (3000, 1500, (512, 1024)), (1, 5000, (1024, 1))]
)
def test_small_ones_keep_their_size_and_large_ones_are_bounded(height, width, expected):
    ((kind, picture),) = shown(torch.rand(1, height, width, 3))
    assert (kind, picture.format, picture.size) == ("image/jpeg", "JPEG", expected)
    assert max(expected) <= SIDE


def test_of_many_each_is_smaller_and_no_more_are_made_than_asked_for():
    many = shown(torch.rand(MANY + 4, 700, 600, 3), MANY + 1)
    assert len(many) == MANY + 1
    assert {max(picture.size) for _, picture in many} == {SIDE_OF_MANY}


def test_colours_and_order_are_right():
    batch = torch.zeros(2, 16, 32, 3)
    batch[0, :, :16, 0] = 1.0  # red on the left
    batch[1, ..., 2] = 1.0
    (_, first), (_, second) = shown(batch)
    assert [close(first.getpixel(at), colour) for at, colour in (((4, 8), (255, 0, 0)), ((28, 8), (0, 0, 0)))] == [
        True,
        True,
    ]
    assert close(second.getpixel((8, 8)), (0, 0, 255))


def close(pixel, colour):
    return all(abs(one - other) < 24 for one, other in zip(pixel, colour, strict=True))


def test_what_is_transparent_stays_so_and_what_is_not_is_no_png():
    clear = torch.rand(1, 8, 8, 4)
    clear[..., 3] = 0.5
    ((kind, picture),) = shown(clear)
    assert (kind, picture.mode, picture.getpixel((0, 0))[3]) == ("image/png", "RGBA", 128)
    clear[..., 3] = 1.0
    assert shown(clear)[0][0] == "image/jpeg"


@pytest.mark.parametrize("shape", [(1, 8, 8, 1), (1, 8, 8, 2), (1, 8, 8, 5), (1, 8, 8), (1, 1, 1, 3)])
def test_any_number_of_channels_can_be_shown(shape):
    assert len(shown(torch.rand(*shape))) == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_type_of_numbers_and_values_out_of_range(dtype):
    image = torch.tensor([float("nan"), float("inf"), float("-inf"), 7.0, -3.0, 0.0]).to(dtype)
    ((_, picture),) = shown(image.reshape(1, 1, 6, 1).expand(1, 8, 6, 3).repeat_interleave(8, dim=2))
    assert [picture.getpixel((8 * n + 4, 4))[0] > 127 for n in range(6)] == [False, True, False, True, False, False]
