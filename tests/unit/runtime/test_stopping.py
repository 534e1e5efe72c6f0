"""Planned stops: the runs are marked first, the signal then does what it always did, and nothing can keep it from that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from expeditor.runtime.stopping import PlannedStop
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[3]
pytestmark = [pytest.mark.long, pytest.mark.skipif(sys.platform == "win32", reason="sends signals of POSIX to itself")]


@pytest.fixture
def heard():
    """What the handler that was there before ours hears; put back afterwards."""
    numbers: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _frame: numbers.append(number))
    yield numbers
    signal.signal(signal.SIGUSR1, before)


def stop_of(mark, spared=lambda: None, still_here_s=0.0):
    return PlannedStop(mark, spared, [signal.SIGUSR1], still_here_s)


def test_the_mark_comes_first_and_then_the_handler_of_before(heard):
    order: list[str] = []
    assert stop_of(lambda: order.append(f"marked, {len(heard)} heard")).install() is None
    os.kill(os.getpid(), signal.SIGUSR1)
    wait_until(lambda: heard)
    assert (order, heard) == (["marked, 0 heard"], [signal.SIGUSR1])


def test_a_mark_that_fails_stops_nothing(heard, caplog):
    def fails() -> None:
        raise OSError("the disk is gone")

    stop_of(fails).install()
    os.kill(os.getpid(), signal.SIGUSR1)
    wait_until(lambda: heard)
    assert "the disk is gone" in caplog.text


def test_a_second_signal_goes_through_at_once_and_is_not_sent_again(heard):
    marking, go_on, spared = threading.Event(), threading.Event(), threading.Event()

    def hangs() -> None:
        marking.set()
        go_on.wait(20)

    stop_of(hangs, spared.set).install()
    os.kill(os.getpid(), signal.SIGUSR1)
    wait_until(marking.is_set)
    assert heard == []
    os.kill(os.getpid(), signal.SIGUSR1)
    wait_until(lambda: heard)
    go_on.set()
    wait_until(spared.is_set)
    assert heard == [signal.SIGUSR1]


def test_a_mark_that_hangs_holds_the_stop_up_for_a_bounded_time(heard):
    never = threading.Event()
    stop_of(lambda: never.wait(60)).install()
    os.kill(os.getpid(), signal.SIGUSR1)
    wait_until(lambda: heard, 20)
    never.set()


def test_a_process_that_lives_on_says_so_and_can_be_stopped_again(heard):
    spared: list[int] = []
    marks: list[int] = []
    stop_of(lambda: marks.append(1), lambda: spared.append(1)).install()
    for times in (1, 2):
        os.kill(os.getpid(), signal.SIGUSR1)
        wait_until(lambda: len(spared) == times)  # noqa: B023 - asked within the round
        assert (len(marks), len(heard)) == (times, times)


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        assert "ignored" in str(stop_of(lambda: None).install())
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGUSR1, before)


CHILD = """
import signal, sys, time, types
package = types.ModuleType("expeditor")
package.__path__ = [sys.argv[1]]
sys.modules["expeditor"] = package
from expeditor.runtime.stopping import PlannedStop
signal.signal(signal.SIGINT, signal.default_int_handler)
PlannedStop(lambda: print("marked", flush=True), lambda: None).install()
print("ready", flush=True)
try:
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [(signal.SIGTERM, -signal.SIGTERM, ["marked"]), (signal.SIGINT, 0, ["marked", "interrupted"])],
)
def test_a_real_process_ends_as_it_would_without_us(number, code, said):
    with subprocess.Popen([sys.executable, "-c", CHILD, str(ROOT)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(number)
        assert child.stdout.read().splitlines() == said
        assert child.wait(20) == code
