"""A zip as a stream: what any unzip makes of it, how little it holds, and files that are not there."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from expeditor.routes.zipping import CHUNK_BYTES, Member, names_for, zipped


def last(missing: frozenset[str]) -> tuple[str, bytes]:
    return "manifest.txt", ",".join(sorted(missing)).encode()


def read(parts) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(b"".join(parts))) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def test_every_file_and_the_last_one_come_out(tmp_path: Path):
    contents = {"0/a.png": b"a", "1/empty": b"", "2/ä ö.bin": bytes(range(256)) * 5000}
    members = []
    for n, (name, content) in enumerate(contents.items()):
        (tmp_path / str(n)).write_bytes(content)
        members.append(Member(name, lambda n=n: tmp_path / str(n)))
    assert read(zipped(members, last)) == {**contents, "manifest.txt": b""}


def test_what_is_not_there_is_told_and_the_rest_comes(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"a")
    folder = tmp_path / "folder"
    folder.mkdir()
    members = [
        Member("gone", lambda: None),
        Member("vanished", lambda: tmp_path / "nothing"),
        Member("folder", lambda: folder),
        Member("a", lambda: tmp_path / "a"),
    ]
    found = read(zipped(members, last))
    assert (found["a"], found["manifest.txt"]) == (b"a", b"folder,gone,vanished")


def test_a_file_that_shrinks_while_it_is_read_is_told(tmp_path: Path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * CHUNK_BYTES * 3)
    parts = zipped([Member("a", lambda: path)], last)
    first = next(parts)
    path.write_bytes(b"")
    assert read([first, *parts])["manifest.txt"] == b"a"


def test_a_file_that_grows_while_it_is_read_ends_where_it_ended(tmp_path: Path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * CHUNK_BYTES * 2)
    parts = zipped([Member("a", lambda: path)], last)
    first = next(parts)
    with path.open("ab") as more:
        more.write(b"y" * CHUNK_BYTES)
    assert read([first, *parts])["a"] == b"x" * CHUNK_BYTES * 2


def test_little_is_held_however_large_the_files_are(tmp_path: Path):
    path = tmp_path / "large"
    with path.open("wb") as large:
        large.truncate(64 * 1024 * 1024)
    sizes, total = [], 0
    tracemalloc.start()
    for part in zipped([Member(f"{n}", lambda: path) for n in range(2)], last):
        sizes.append(len(part))
        total += len(part)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total > 128 * 1024 * 1024
    assert max(sizes) < 2 * CHUNK_BYTES
    assert peak < 8 * CHUNK_BYTES


def test_whoever_stops_early_leaves_no_file_open(tmp_path: Path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * CHUNK_BYTES * 3)
    with closing(zipped([Member("a", lambda: path)], last)) as parts:
        assert next(parts)
    # An open file that nobody closes is a warning, and warnings are errors here.


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (
            [("0", "a.png"), ("0", "a.png"), ("1", "a.png"), ("0", "A.PNG")],
            ["0/a.png", "0/a (2).png", "1/a.png", "0/A (3).PNG"],
        ),
        ([("0", "../../etc/passwd"), ("0", "a\\b"), ("0", "c:d")], ["0/_.._etc_passwd", "0/a_b", "0/c_d"]),
        ([("0", "..."), ("0", ""), ("0", "\x00\ud800")], ["0/file", "0/file (2)", "0/__"]),
        ([("0", "x" * 300 + ".png")], ["0/" + "x" * 196 + ".png"]),
    ],
)
def test_names_are_safe_and_each_another(wanted, names):
    assert names_for(wanted) == names
