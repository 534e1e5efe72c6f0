"""The cache folder of dev.py: where it is, when an installation counts as whole, and one set-up at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from expeditor.devtools.cache import Cache, Stamp, digest, user_cache_dir
from expeditor.devtools.console import SetupError
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("environ", "platform", "place"),
    [
        ({"EXPEDITOR_CACHE_DIR": "/elsewhere/x", "XDG_CACHE_HOME": "/xdg"}, "linux", "/elsewhere/x"),
        ({"XDG_CACHE_HOME": "/xdg"}, "linux", "/xdg/expeditor"),
        ({}, "linux", "/home/me/.cache/expeditor"),
        ({}, "darwin", "/home/me/Library/Caches/expeditor"),
        ({"LOCALAPPDATA": "/local"}, "win32", "/local/expeditor"),
    ],
)
def test_the_cache_is_where_the_system_keeps_caches(environ: dict[str, str], platform: str, place: str) -> None:
    assert user_cache_dir(environ, platform, Path("/home/me")) == Path(place)


def test_a_stamp_is_valid_only_when_written_last_and_for_the_same_wish(tmp_path: Path) -> None:
    stamp = Stamp(tmp_path, digest("torch==1", "numpy"))
    assert not stamp.valid()
    stamp.write()
    assert stamp.valid()
    assert not Stamp(tmp_path, digest("torch==2", "numpy")).valid()
    stamp.remove()
    assert not stamp.valid()


def test_a_digest_tells_where_one_part_ends() -> None:
    assert digest("ab", "c") != digest("a", "bc")


def test_a_cache_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(SetupError, match="EXPEDITOR_CACHE_DIR can name another"):
        Cache(tmp_path / "file" / "cache").folder("venv")


HOLD_THE_LOCK = textwrap.dedent("""
    import sys, pathlib, threading
    sys.path.insert(0, sys.argv[1])
    from devtools.cache import Cache
    with Cache(pathlib.Path(sys.argv[2])).lock():
        print("held", flush=True)
        if len(sys.argv) > 3:
            threading.Event().wait()
""")


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_two_set_ups_take_turns_and_a_killed_one_lets_go(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD_THE_LOCK, str(ROOT), str(tmp_path)]
    with subprocess.Popen([*command, "forever"], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout
        assert first.stdout.readline() == "held\n"
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as second:
            assert second.stdout
            assert f"(process {first.pid}); waiting" in second.stdout.readline()
            os.kill(first.pid, signal.SIGKILL)
            assert second.stdout.read() == "held\n"
            assert second.wait() == 0


INSTALL_UNDER_THE_LOCK = textwrap.dedent("""
    import sys, pathlib
    sys.path.insert(0, sys.argv[1])
    from devtools.cache import Cache
    from devtools.process import run_step
    root = pathlib.Path(sys.argv[2])
    endless = "import os, threading; print(os.getpid(), flush=True); threading.Event().wait()"
    with Cache(root).lock():
        run_step("installing", [sys.executable, "-c", endless], root / "step.log")
""")


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_an_installer_that_outlives_its_set_up_keeps_the_lock(tmp_path: Path) -> None:
    """Else a second set-up would write into the same environment at the same time."""
    log = tmp_path / "step.log"
    with subprocess.Popen([sys.executable, "-c", INSTALL_UNDER_THE_LOCK, str(ROOT), str(tmp_path)]) as first:
        wait_until(lambda: log.exists() and log.read_text(encoding="utf-8").endswith("\n"), what="the installer")
        first.kill()
    installer = int(log.read_text(encoding="utf-8"))
    command = [sys.executable, "-c", HOLD_THE_LOCK, str(ROOT), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as second:
        assert second.stdout
        assert "waiting" in second.stdout.readline()
        os.kill(installer, signal.SIGKILL)
        assert second.stdout.read() == "held\n"
