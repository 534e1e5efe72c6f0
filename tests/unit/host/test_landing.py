"""Which names of files that others send are taken."""

from __future__ import annotations

import pytest

from expeditor.host.landing import is_plain

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
