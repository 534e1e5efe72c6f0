"""Uploads in the input folder: whole or not at all, never outside of it, never over another file."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from expeditor.host.hashing import available
from expeditor.host.input_files import UPLOADS, InputFiles
from expeditor.jobs.errors import InputInvalid, StoreUnavailable
from expeditor.jobs.leftovers import INPUT

DATA = b"some bytes"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "input").mkdir()
    return tmp_path / "input"


def files_in(root: Path | None, *, hashes: bool = True) -> InputFiles:
    numbers = itertools.count(1)
    return InputFiles(
        lambda kind: str(root) if kind == INPUT and root is not None else None,
        lambda: f"{next(numbers):032d}",
        available() if hashes else None,
    )


def placed(files: InputFiles, name: str, data: bytes = DATA):
    received = files.begin()
    received.write(data[:3])
    received.write(data[3:])
    received.close()
    return files.place(received, name)


def names(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file() or path.is_symlink()}


def test_a_file_arrives_whole_and_its_own_name_goes(root):
    files = files_in(root)
    blob = placed(files, "a/b.png")
    assert (blob.place, blob.size_bytes, blob.ours) == ("a/b.png", len(DATA), True)
    assert names(root) == {"a/b.png"}
    assert files.find(blob) == (root / "a/b.png").resolve()
    assert files.digest(root / "a/b.png") == blob.hash


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
@pytest.mark.parametrize("name", ["out/x.png", "out/deep/x.png"])
def test_a_link_that_leads_out_is_not_followed(root, tmp_path, name):
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / "out").symlink_to(outside)
    with pytest.raises(InputInvalid, match="leads out"):
        placed(files_in(root), name)
    assert not list(outside.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_is_never_taken_for_the_file_nor_written_through(root, tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(DATA)
    (root / "x.png").symlink_to(secret)
    blob = placed(files_in(root), "x.png")
    assert blob.place != "x.png"
    placed(files_in(root), "x.png", b"other bytes")
    assert secret.read_bytes() == DATA


def test_a_folder_that_is_a_file_is_refused(root):
    (root / "a").write_bytes(b"")
    with pytest.raises(InputInvalid, match="is a file"):
        placed(files_in(root), "a/b.png")


def test_a_name_that_is_a_folder_is_taken(root):
    (root / "x.png").mkdir()
    blob = placed(files_in(root), "x.png")
    assert blob.place.startswith("x-")
    assert (root / "x.png").is_dir()


def test_bytes_under_a_second_name_and_the_first_one_removed(root):
    files = files_in(root)
    first = placed(files, "a.png")
    second = files.also_at(first, "b.png")
    assert second is not None
    files.remove(first)
    assert names(root) == {"b.png"}
    assert files.find(second) is not None
    assert files.also_at(first, "c.png") is None


def test_what_is_not_ours_or_was_changed_is_not_removed(root):
    files = files_in(root)
    (root / "hand.png").write_bytes(DATA)
    files.remove(placed(files, "hand.png"))
    changed = placed(files, "changed.png")
    (root / "changed.png").write_bytes(b"x" * len(DATA))
    files.remove(changed)
    assert names(root) == {"hand.png", "changed.png"}


def test_without_hashes_a_file_that_was_touched_is_not_known_to_be_ours(root):
    files = files_in(root, hashes=False)
    blob = placed(files, "a.png")
    (root / "a.png").write_bytes(b"x" * len(DATA))
    os.utime(root / "a.png", ns=(0, blob.mtime_ns + 1))
    assert files.find(blob) is not None, "it serves"
    files.remove(blob)
    assert names(root) == {"a.png"}, "but it may be somebody else's"


def test_without_the_library_there_are_no_hashes_and_all_else_works(root):
    files = files_in(root, hashes=False)
    first, other = placed(files, "a.png"), placed(files, "a.png", b"others")
    assert (first.hash, other.hash) == (None, None)
    assert other.place != "a.png"
    assert placed(files, "a.png").place == "a.png", "the same bytes serve"
    assert files.find(first) is not None


def test_what_was_left_half_is_swept_and_nothing_else(root):
    files = files_in(root)
    placed(files, "kept.png")
    left = files.begin()
    left.write(b"half")
    left.close()
    assert files.sweep() == 1
    assert names(root) == {"kept.png"}
    assert (root / UPLOADS).is_dir()


def test_a_folder_that_cannot_be_written_says_so(root):
    (root / UPLOADS).write_bytes(b"in the way")
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        files_in(root).begin()
    with pytest.raises(StoreUnavailable, match="no input folder"):
        files_in(None).begin()
