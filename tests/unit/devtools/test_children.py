"""Several programs in the foreground: prefixes, order, deaths, signals, the exit code. The programs are real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from expeditor.devtools.children import Patience
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]

pytestmark = [pytest.mark.long, pytest.mark.skipif(sys.platform == "win32", reason="signals")]

# Says its number of life; is up when it says so; ends on SIGTERM with 7 after a word.
MEMBER = textwrap.dedent("""
    import os, pathlib, signal, sys, time
    name = sys.argv[1]
    def end(number, frame):
        print("told to end", flush=True)
        pathlib.Path("ends").open("a").write(name + "\\n")
        os._exit(7)
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, (lambda *_: print("not for that", flush=True)) if "deaf" in sys.argv else end)
    lives = pathlib.Path(name + ".lives")
    lives.write_text(str(int(lives.read_text()) + 1) if lives.exists() else "1")
    pathlib.Path(name + ".pid").write_text(str(os.getpid()))
    print("life", lives.read_text(), flush=True)
    if "stillborn" in sys.argv:
        sys.exit(3)
    pathlib.Path(name + ".up").touch()
    while True:
        time.sleep(0.05)
""")

FAMILY = textwrap.dedent("""
    import sys
    sys.path.insert(0, sys.argv[1])
    from pathlib import Path
    from devtools.children import Family, Program
    from devtools.console import say
    here = Path.cwd()
    def program(name, *words):
        up = here / (name + ".up")
        return Program(name, [sys.executable, "member.py", name, *words], here, up.exists)
    words = sys.argv[2:]
    sys.exit(Family(program("first"), [program("one"), program("two", *words)], lambda: say("all are up")).run())
""")


class Running:
    """The family in a process of its own, its output in a file."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder, self.out = folder, folder / "out"
        (folder / "member.py").write_text(MEMBER, encoding="utf-8")
        with self.out.open("w", encoding="utf-8") as file:
            command = [sys.executable, "-c", FAMILY, str(ROOT), *words]
            self.tool = subprocess.Popen(command, cwd=folder, stdout=file, stderr=subprocess.STDOUT)

    @property
    def said(self) -> str:
        return self.out.read_text(encoding="utf-8")

    def pid(self, name: str) -> int:
        return int((self.folder / f"{name}.pid").read_text())

    def until_said(self, text: str) -> None:
        wait_until(lambda: text in self.said, what=f"{text!r} in\n{self.said}")

    def until_dead(self, name: str) -> None:
        def gone() -> bool:
            try:
                os.kill(self.pid(name), 0)
            except ProcessLookupError:
                return True
            return False

        wait_until(gone, what=f"{name} to be gone")


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    """Families of a test, which are gone after it."""
    started: list[Running] = []

    def one(folder: Path, *words: str) -> Running:
        started.append(Running(folder, *words))
        return started[-1]

    yield one
    for each in started:
        each.tool.terminate()
        each.tool.wait(20)


def test_the_first_is_up_before_the_others_and_ends_after_them(start: Callable[..., Running], tmp_path: Path) -> None:
    running = start(tmp_path)
    running.until_said("all are up")
    running.tool.send_signal(signal.SIGTERM)
    assert running.tool.wait(20) == 7
    lines = running.said.splitlines()
    assert lines[0] == "first | life 1"
    assert {"one   | life 1", "two   | life 1"} < set(lines)
    assert (tmp_path / "ends").read_text().split()[-1] == "first"
    assert running.said.count("told to end") == 3


def test_one_that_dies_is_started_again_and_the_others_go_on(start: Callable[..., Running], tmp_path: Path) -> None:
    running = start(tmp_path)
    running.until_said("all are up")
    os.kill(running.pid("two"), signal.SIGKILL)
    running.until_said("two   | ended (exit -9); it is started again in 1 s")
    running.until_said("two   | life 2")
    running.tool.send_signal(signal.SIGTERM)
    assert running.tool.wait(20) == 7
    assert "one   | life 2" not in running.said
    assert "first | life 2" not in running.said


def test_one_that_never_came_up_ends_all_with_its_code(start: Callable[..., Running], tmp_path: Path) -> None:
    running = start(tmp_path, "stillborn")
    assert running.tool.wait(20) == 3
    assert "two   | ended (exit 3) and is not started again" in running.said
    assert "all are up" not in running.said
    for name in ("first", "one"):
        running.until_dead(name)


def test_a_second_signal_is_passed_on_too(start: Callable[..., Running], tmp_path: Path) -> None:
    """SIGINT, which the last of them does not take for its end, and then SIGTERM, which it does."""
    running = start(tmp_path, "deaf")
    running.until_said("all are up")
    running.tool.send_signal(signal.SIGINT)
    running.until_said("two   | not for that")
    running.tool.send_signal(signal.SIGTERM)
    assert running.tool.wait(20) == 7


def test_patience_grows_and_ends() -> None:
    patience = Patience(deaths_max=4, window_s=100.0, first_s=1.0, most_s=3.0)
    assert [patience.after_death(at_s) for at_s in (0.0, 10.0, 20.0, 30.0)] == [1.0, 2.0, 3.0, None]
    rested = Patience(deaths_max=2, window_s=100.0)
    assert [rested.after_death(at_s) for at_s in (0.0, 100.0, 200.0)] == [1.0, 1.0, 1.0]
