"""How long files are owed to an instance that nobody knows any more."""

from __future__ import annotations

import os

from expeditor.host.owed import FORGOTTEN_FOR_S, OwedFiles
from expeditor.jobs.leftovers import FileName
from expeditor.jobs.parcels import Offer

JOB = "11111111-2222-4333-8444-555555555555"
FILE = FileName("output", "", "a.png")


def test_what_is_owed_to_one_that_is_forgotten_is_let_go_after_a_week_and_not_before(tmp_path, caplog) -> None:
    made, folder = tmp_path / "a.png", tmp_path / "owed"
    made.write_bytes(b"x")
    owed = OwedFiles(folder)
    offer = Offer("west", JOB, FILE, 1, "0" * 64, 0.0, True)
    for origin in ("lost", "east"):
        one = owed.add(origin, offer, FILE, made)
        os.utime(folder / f"{one.key}.json", (0.0, 0.0))
    later = OwedFiles(folder)  # another life

    def origins() -> list[str]:
        return sorted(one.origin for one in later.all())

    later.let_go({"west", "lost", "east"}, 100.0)
    later.let_go({"west", "east"}, 90.0 + FORGOTTEN_FOR_S)
    later.let_go({"west", "east"}, 99.0 + FORGOTTEN_FOR_S)
    assert origins() == ["east", "lost"]
    OwedFiles(folder).let_go({"west"}, 1e9)  # the first look of a life: the others may be on their way
    assert len(OwedFiles(folder).all()) == 2
    later.let_go({"west", "east"}, 101.0 + FORGOTTEN_FOR_S)
    assert origins() == ["east"]
    assert [line.message for line in caplog.records] == [
        "1 results are not sent any more: there has been no instance lost for a week"
    ]
    assert len(list(folder.iterdir())) == 2
