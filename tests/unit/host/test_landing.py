"""Files that others send: which names are taken, and that those who send at once do not wait for each other."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

from expeditor.host.landing import LandingGround, is_plain
from expeditor.jobs.errors import Conflict
from expeditor.jobs.leftovers import FileName
from expeditor.jobs.parcels import Offer

DEVICES = ["NUL", "con", "Aux.png", "prn.tar.gz", "COM1", "lpt9.txt", "COM\u00b9", "NUL .png", "CONOUT$", "con.\n"]


@pytest.mark.parametrize("name", [*DEVICES, "a.png.", "a.png ", "a:b", "a*", "a|b"])
def test_what_windows_takes_for_another_name_or_a_device_is_refused_there(name) -> None:
    assert not is_plain(name, windows=True)


@pytest.mark.parametrize("name", ["CON", "NUL.png", "a.png.", "a:b"])
def test_elsewhere_it_is_a_name_like_any_other(name) -> None:
    assert is_plain(name, windows=False)


@pytest.mark.parametrize("windows", [True, False])
def test_usual_names_are_taken_and_ways_out_are_not(windows) -> None:
    for name in ("CONSOLE.png", "com10.png", "nul_1.png", "a b.png", "\u00fc.png", "x" * 255):
        assert is_plain(name, windows=windows)
    for name in ("", ".", "..", "a/b", "a\\b", "a\0", "\ud800", "x" * 256):
        assert not is_plain(name, windows=windows)


JOB = "11111111-2222-4333-8444-555555555555"


class FakeCopies:
    """In `TempCopies`' place: keeps nothing, and lets nobody go on before it is told to."""

    def __init__(self) -> None:
        self.asked, self.gate = threading.Event(), threading.Event()

    def keep(self, file: FileName) -> None:
        self.asked.set()
        self.gate.wait(20)


def offer_of(name: str, content: bytes) -> Offer:
    digest = hashlib.blake2b(content, digest_size=32).hexdigest()
    return Offer("b", JOB, FileName("output", "", name), len(content), digest, 1_700_000_000.0, False)


@pytest.fixture
def folders(tmp_path: Path) -> Callable[[str], str]:
    (tmp_path / "output").mkdir()
    return lambda kind: str(tmp_path / kind)


def test_who_names_a_file_keeps_nobody_else_waiting(folders) -> None:
    copies = FakeCopies()
    ground = LandingGround(folders, cast("Any", copies))
    slow, quick = ground.receive(offer_of("slow.png", b"slow"), 0), ground.receive(offer_of("quick.png", b"quick"), 0)
    slow.write(b"slow")
    with ThreadPoolExecutor(2) as threads:
        naming = threads.submit(slow.end)
        assert copies.asked.wait(20)
        try:
            threads.submit(quick.write, b"quick").result(5)
            assert not naming.done()
        finally:
            copies.gate.set()
        assert naming.result(20).done
    assert quick.end().done
    for one in (slow, quick):
        one.close()


def test_who_received_before_receives_no_more_whoever_has_closed(folders) -> None:
    ground, offer = LandingGround(folders), offer_of("x.png", b"abc")
    first = ground.receive(offer, 0)
    second = ground.receive(offer, 0)
    first.close()
    second.write(b"abc")
    second.close()
    third = ground.receive(offer, 3)
    with pytest.raises(Conflict):
        second.write(b"")
    assert third.end().done
    third.close()


def test_two_with_other_bytes_under_one_name_get_two(folders) -> None:
    ground = LandingGround(folders)
    receptions = [ground.receive(offer_of("x.png", content), 0) for content in (b"abc", b"def")]
    for reception, content in zip(receptions, (b"abc", b"def"), strict=True):
        reception.write(content)
    places = [reception.end().file for reception in receptions]
    assert [place.subfolder for place in places] == ["b", f"b/{JOB}"]
    assert [Path(folders("output"), place.subfolder, "x.png").read_bytes() for place in places] == [b"abc", b"def"]
    for reception in receptions:
        reception.close()
