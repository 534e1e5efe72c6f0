"""Files that come with a submit, in ComfyUI's folder: whole or not there, over no other, and found again when nobody needs them."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from expeditor.host.uploads import InputUploads, StagedFile
from expeditor.intake.upload_names import STORED, stored_name
from expeditor.jobs.errors import StoreUnavailable

NAME = stored_name("a.png", "0" * 64)


def folder(base: Path, **parts) -> InputUploads:
    return InputUploads({"input": str(base / "input")}.get, base / "staging", STORED, **parts)


def staged(made: InputUploads, content: bytes) -> StagedFile:
    file = made.stage()
    file.write(content)
    file.digest()
    return file


def test_a_whole_file_gets_its_name_and_stays_when_the_staged_one_goes(tmp_path):
    made = folder(tmp_path)
    file = staged(made, b"bytes")
    placed = made.place(file, NAME)
    file.discard()
    assert (placed.name, placed.fresh) == (NAME, True)
    assert (tmp_path / "input" / NAME).read_bytes() == b"bytes"
    assert list((tmp_path / "staging").iterdir()) == []


def test_the_same_again_is_used_and_made_young(tmp_path):
    made = folder(tmp_path)
    made.place(staged(made, b"bytes"), NAME)
    os.utime(tmp_path / "input" / NAME, (1, 1))
    placed = made.place(staged(made, b"bytes"), NAME)
    assert (placed.name, placed.fresh) == (NAME, False)
    assert (tmp_path / "input" / NAME).stat().st_mtime > 1


@pytest.mark.parametrize("taken", ["other bytes", "other length", "folder", "link", "dangling link"])
def test_what_else_has_the_name_is_left_alone(tmp_path, taken):
    made, place = folder(tmp_path), tmp_path / "input" / NAME
    place.parent.mkdir()
    if taken == "folder":
        place.mkdir()
    elif "link" in taken:
        elsewhere = tmp_path / "elsewhere"
        if taken == "link":
            elsewhere.write_bytes(b"bytes")
        place.symlink_to(elsewhere)
    else:
        place.write_bytes(b"BYTES" if taken == "other bytes" else b"more bytes")
    before = sorted(path.name for path in tmp_path.iterdir())
    placed = made.place(staged(made, b"bytes"), NAME)
    assert (placed.name, placed.fresh) == (NAME.replace(".png", "-1.png"), True)
    assert STORED.fullmatch(placed.name)
    assert (place.parent / placed.name).read_bytes() == b"bytes"
    assert {*before, "staging"} == {path.name for path in tmp_path.iterdir()}


def no_link(source: Path, target: Path) -> None:
    """Stands in for two disks, which a test has not."""
    raise OSError(errno.EXDEV, "Invalid cross-device link")


def test_on_another_disk_it_is_copied_whole(tmp_path):
    made = folder(tmp_path, link=no_link)
    assert made.place(staged(made, b"bytes"), NAME).fresh is True
    assert made.place(staged(made, b"bytes"), NAME).fresh is False
    assert made.place(staged(made, b"other"), NAME).name != NAME
    assert (tmp_path / "input" / NAME).read_bytes() == b"bytes"
    assert len(list((tmp_path / "input").iterdir())) == 2, "no part of a copy is left"


def test_a_copy_that_fails_leaves_nothing(tmp_path):
    made = folder(tmp_path, link=no_link)
    file = staged(made, b"bytes")
    file.path.unlink()
    with pytest.raises(StoreUnavailable, match="cannot be stored"):
        made.place(file, NAME)
    assert list((tmp_path / "input").iterdir()) == []


def test_uploads_that_were_not_sent_for_long_are_found_and_others_are_nobodys(tmp_path):
    now_s = time.time()
    made = folder(tmp_path, clock=lambda: now_s)
    for content, name in ((b"old", NAME), (b"young", stored_name("b.png", "1" * 64))):
        received = staged(made, content)
        made.place(received, name)
        received.discard()
    remains = [staged(made, b"half").path for _ in range(2)]
    (tmp_path / "input/by hand.png").write_bytes(b"x")
    (tmp_path / "input/expeditor-mine.png").write_bytes(b"x")
    for old in (NAME, "by hand.png", "expeditor-mine.png"):
        os.utime(tmp_path / "input" / old, (now_s - 100, now_s - 100))
    os.utime(remains[0], (now_s - 100, now_s - 100))
    assert made.unused_since(50) == {NAME}
    assert list((tmp_path / "staging").iterdir()) == remains[1:], "what was left half received goes with its age"
    os.utime(tmp_path / "input" / NAME)
    made.remove_unused({NAME}, 50)
    assert (tmp_path / "input" / NAME).exists(), "sent again meanwhile"
    os.utime(tmp_path / "input" / NAME, (now_s - 100, now_s - 100))
    made.remove_unused({NAME}, 50)
    assert not (tmp_path / "input" / NAME).exists()
    assert len(list((tmp_path / "input").iterdir())) == 3


def test_without_an_input_folder_nothing_is_found_and_nothing_is_taken(tmp_path):
    made = InputUploads({}.get, tmp_path / "staging", STORED)
    assert made.unused_since(0) == frozenset()
    with pytest.raises(StoreUnavailable):
        made.place(staged(made, b"x"), NAME)


def test_a_folder_that_cannot_be_made_is_said_so(tmp_path):
    (tmp_path / "staging").write_text("a file")
    with pytest.raises(StoreUnavailable, match="cannot be stored"):
        folder(tmp_path).stage()
