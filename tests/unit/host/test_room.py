"""Room for files of others: asked for before they come, told plainly when there is none, and forgotten once there is."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from expeditor.host.room import TOLD_FOR_S, Room
from expeditor.jobs.errors import StoreUnavailable
from tests.support.clocks import HandMonotonic


@pytest.fixture
def clock() -> HandMonotonic:
    return HandMonotonic()


@pytest.fixture
def room(clock: HandMonotonic) -> Room:
    return Room(clock)


def test_what_does_not_fit_is_refused_with_both_numbers(room: Room, tmp_path: Path) -> None:
    room.ask(tmp_path, 1)
    assert room.fault() is None
    with pytest.raises(StoreUnavailable, match=rf"it needs {1 << 60} bytes and \d+ are free") as refused:
        room.ask(tmp_path, 1 << 60)
    assert room.fault() == refused.value.message
    assert refused.value.retry_after_s is not None


def test_a_folder_that_cannot_be_looked_at_is_no_reason(room: Room, tmp_path: Path) -> None:
    room.ask(tmp_path / "is not there", 1 << 60)
    assert room.fault() is None


@pytest.mark.parametrize(("code", "stays"), [(errno.ENOSPC, False), (errno.EDQUOT, False), (errno.EIO, True)])
def test_a_full_disk_is_rid_of_the_part_and_no_other_is(room: Room, tmp_path: Path, code: int, stays: bool) -> None:
    part = tmp_path / "x.part"
    part.write_bytes(b"half")
    with pytest.raises(StoreUnavailable, match="The file cannot be stored here: words of the system"), room.taken(part):
        raise OSError(code, "words of the system")
    assert part.exists() is stays
    assert room.fault() == "The file cannot be stored here: words of the system."


def test_a_fault_is_told_until_a_file_is_stored_or_nobody_tries_any_more(room: Room, clock: HandMonotonic) -> None:
    with pytest.raises(StoreUnavailable), room.taken():
        raise OSError(errno.ENOSPC, "full")
    clock.now_s += TOLD_FOR_S - 1
    assert room.fault() is not None
    clock.now_s += 2
    assert room.fault() is None
    with pytest.raises(StoreUnavailable), room.taken():
        raise OSError(errno.ENOSPC, "full")
    room.was_enough()
    assert room.fault() is None
