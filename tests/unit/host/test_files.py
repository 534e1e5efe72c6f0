"""Files of jobs: what may be removed, and copies of what ComfyUI throws away at every start."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from expeditor.host.files import Leftovers, TempCopies
from expeditor.jobs.leftovers import FileName

LATER_S = time.time() + 3600


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for kind in ("output", "temp", "input"):
        (tmp_path / kind / "sub").mkdir(parents=True)
    return tmp_path


def leftovers(base: Path) -> Leftovers:
    return Leftovers(lambda kind: str(base / kind) if kind in ("output", "temp", "input") else None)


def copies(base: Path) -> TempCopies:
    return TempCopies(lambda kind: str(base / kind), base / "data" / "temp_outputs")


@pytest.mark.parametrize(("subfolder", "name"), [("", "a.png"), ("sub", "a.png"), ("", "sub/a.png")])
def test_a_file_inside_comfyuis_folders_is_removed(base: Path, subfolder: str, name: str):
    file = base / "output" / subfolder / name
    file.write_text("x")
    assert leftovers(base).remove(FileName("output", subfolder, name), LATER_S) is True
    assert not file.exists()
    assert leftovers(base).remove(FileName("output", subfolder, name), LATER_S) is False


@pytest.mark.parametrize(
    ("folder", "subfolder", "name"),
    [
        ("output", "..", "secret"),
        ("output", "", "../secret"),
        ("output", "sub/../..", "secret"),
        ("output", "/", "secret"),
        ("output", "out", "secret"),
        ("output", "", "link"),
        ("output", "", "sub"),
        ("output", "", ".."),
        ("output", "", ""),
        ("output", "", "a\0b"),
        ("output", "loop", "a"),
        ("models", "", "secret"),
    ],
)
def test_nothing_else_is_touched(base: Path, folder: str, subfolder: str, name: str):
    (base / "secret").write_text("x")
    (base / "output" / "out").symlink_to(base, target_is_directory=True)
    (base / "output" / "link").symlink_to(base / "secret")
    (base / "output" / "loop").symlink_to("loop")
    before = sorted(base.rglob("*"))
    assert leftovers(base).remove(FileName(folder, subfolder, name), LATER_S) is False
    copies(base).forget(FileName("temp", subfolder, name))
    assert sorted(base.rglob("*")) == before


def test_an_absolute_name_is_not_followed(base: Path):
    (base / "secret").write_text("x")
    assert leftovers(base).remove(FileName("output", "", str(base / "secret")), LATER_S) is False
    assert leftovers(base).remove(FileName("output", str(base), "secret"), LATER_S) is False
    assert (base / "secret").exists()


def test_a_file_written_after_the_jobs_end_is_somebody_elses(base: Path):
    file = base / "output" / "a.png"
    file.write_text("the next one of this name")
    os.utime(file, (1000.0, 1000.0))
    assert leftovers(base).remove(FileName("output", "", "a.png"), 900.0) is False
    assert leftovers(base).remove(FileName("output", "", "a.png"), 999.0) is True


def test_what_lies_in_temp_comes_back_after_comfyui_has_emptied_it(base: Path):
    file = base / "temp" / "sub" / "p.png"
    file.write_text("a preview")
    (base / "output" / "a.png").write_text("stays anyway")
    made = copies(base)
    made.keep(FileName("temp", "sub", "p.png"))
    made.keep(FileName("temp", "sub", "p.png"))
    made.keep(FileName("temp", "", "missing.png"))
    made.keep(FileName("output", "", "a.png"))
    shutil.rmtree(base / "temp")
    assert copies(base).restore() == 1
    assert file.read_text() == "a preview"
    assert copies(base).restore() == 0
    assert [path.name for path in (base / "data" / "temp_outputs").rglob("*.*")] == ["p.png"]

    made.forget(FileName("temp", "sub", "p.png"))
    assert file.exists()
    shutil.rmtree(base / "temp")
    assert made.restore() == 0


def test_a_name_that_is_used_again_is_kept_as_it_is_now(base: Path):
    file = base / "temp" / "p.png"
    made = copies(base)
    for text in ("first", "second"):
        file.unlink(missing_ok=True)
        file.write_text(text)
        made.keep(FileName("temp", "", "p.png"))
    shutil.rmtree(base / "temp")
    made.restore()
    assert file.read_text() == "second"
