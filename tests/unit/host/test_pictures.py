"""Previews as ComfyUI and packs hand them over, and what is told of them."""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image

from expeditor.host.pictures import BARE, ENCODED, MOST_BYTES, WITH_METADATA, Picture, picture_of, preview_facts

RED = Image.new("RGB", (64, 32), (255, 0, 0))
META = {"prompt_id": "job", "node_id": "7"}


def shown(facts) -> Image.Image:
    assert facts is not None
    return Image.open(io.BytesIO(base64.b64decode(facts["data_base64"])))


def test_a_picture_that_says_whose_it_is():
    picture = picture_of(WITH_METADATA, (("JPEG", RED, 16), META))
    assert picture is not None
    assert (picture.job_id, picture.node_id) == ("job", "7")
    facts = preview_facts(picture, "9")
    assert (facts["node_id"], facts["content_type"], shown(facts).size) == ("7", "image/jpeg", (16, 8))
    assert RED.size == (64, 32)


def test_a_bare_picture_is_of_the_node_that_runs():
    facts = preview_facts(picture_of(BARE, ("PNG", RED, None)), "9")
    assert (facts["node_id"], facts["content_type"], shown(facts).size) == ("9", "image/png", (64, 32))


def test_bytes_begin_with_their_format():
    written = io.BytesIO()
    RED.save(written, "PNG")
    facts = preview_facts(picture_of(ENCODED, b"\0\0\0\2" + written.getvalue()), None)
    assert (facts["node_id"], facts["content_type"], shown(facts).format) == (None, "image/png", "PNG")


@pytest.mark.parametrize(
    ("event", "data"),
    [(3, b"text"), (WITH_METADATA, b"x"), (WITH_METADATA, (1, 2, 3)), (WITH_METADATA, (1, None)), ("x", {})],
)
def test_what_is_no_picture(event, data):
    assert picture_of(event, data) is None


@pytest.mark.parametrize(
    "data",
    [None, (), ("JPEG", "no image", 16), ("NOPE", RED, 16), b"", b"\0\0\0\x09abc", b"\0\0\0\1" + bytes(MOST_BYTES + 1)],
)
def test_what_cannot_be_shown_is_left_out(data):
    assert preview_facts(Picture(data), "1") is None
