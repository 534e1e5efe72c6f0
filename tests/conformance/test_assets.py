"""The asset records keep what `store.assets` promises, in memory and on disk, also across a restart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from expeditor.jobs.assets import Asset, Blob, OutputNote
from expeditor.jobs.model import Principal
from expeditor.store.assets import AssetStore
from expeditor.store.sqlite.assets import SqliteAssets
from tests.conformance.harness import HandClock, done

DIGEST = "blake3:" + "ab" * 32
ADA = Principal("ada", trusted=True)


def blob(place: str = "photo.png", digest: str | None = DIGEST, **fields) -> Blob:
    return Blob(place, 3, 1_700_000_000_000_000_007, digest, **fields)


def asset(asset_id: str, file_path: str = "photo.png", **fields) -> Asset:
    given = {
        "principal": ADA,
        "blob": blob(),
        "content_type": "image/png",
        "created_at_s": 1_700_000_000.0,
        "used_at_s": 1_700_000_000.0,
        "tags": ("input", "ü"),
    }
    return Asset(id=asset_id, file_path=file_path, **{**given, **fields})


class Shelf:
    """Opens stores on one file, or one that is gone with its process."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.store: SqliteAssets | None = None

    def start(self) -> AssetStore:
        self.stop()
        self.store = SqliteAssets(path=self.path, clock=HandClock())
        self.store.open()
        return self.store

    def stop(self) -> None:
        if self.store is not None:
            self.store.close()


@pytest.fixture(params=["memory", "sqlite"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shelf]:
    made = Shelf(None if request.param == "memory" else tmp_path / "deep" / "assets.sqlite3")
    yield made
    made.stop()


@pytest.fixture
def store(shelf: Shelf) -> AssetStore:
    return shelf.start()


def again(shelf: Shelf, store: AssetStore) -> AssetStore:
    """The next process's store where there is a file; the same one in memory."""
    return store if shelf.path is None else shelf.start()


def test_a_record_comes_back_whole(shelf, store) -> None:
    first = asset("a1", expires_at_s=1_700_000_100.5)
    assert done(store.mint(first)).created
    assert done(again(shelf, store).found(["a1", "nowhere"])) == {"a1": first}


def test_an_equal_record_is_answered_in_place_of_a_second_one(store) -> None:
    done(store.mint(asset("a1", expires_at_s=1_700_000_100.0)))
    later = asset("a2", used_at_s=1_700_000_050.0, expires_at_s=1_700_000_200.0)
    minted = done(store.mint(later))
    assert not minted.created
    assert minted.asset == asset("a1", used_at_s=1_700_000_050.0, expires_at_s=1_700_000_200.0)
    assert done(store.mint(asset("a3", expires_at_s=1.0))).asset.expires_at_s == 1_700_000_200.0, "never shortened"
    assert done(store.mint(asset("a3"))).asset.expires_at_s is None
    assert done(store.mint(asset("a3", expires_at_s=9e9))).asset.expires_at_s is None, "none is the latest end of all"


@pytest.mark.parametrize(
    "other",
    [{"principal": Principal("bob")}, {"content_type": "image/jpeg"}, {"blob": blob("b.png")}, {"file_path": "b.png"}],
)
def test_records_that_differ_are_two(store, other) -> None:
    done(store.mint(asset("a1")))
    assert done(store.mint(asset("a2", **{"file_path": "photo.png", **other}))).created


def test_the_bytes_of_a_hash_are_found_by_their_principal_alone(store) -> None:
    done(store.mint(asset("a1")))
    done(store.mint(asset("a2", "copy.png", blob=blob("copy.png"), used_at_s=1_700_000_001.0)))
    done(store.mint(asset("b1", principal=Principal("bob"))))
    assert [found.id for found in done(store.by_hash("ada", DIGEST))] == ["a2", "a1"]
    assert [found.id for found in done(store.by_hash("bob", DIGEST))] == ["b1"]
    assert not done(store.by_hash("eve", DIGEST))


def test_a_name_stands_for_the_record_used_last(store) -> None:
    done(store.mint(asset("a1")))
    newer = asset("a2", blob=blob("photo-1.png", "blake3:" + "00" * 32), used_at_s=1_700_000_001.0)
    done(store.mint(newer))
    done(store.mint(asset("b1", principal=Principal("bob"), used_at_s=1_700_000_009.0)))
    assert done(store.named("ada", ["photo.png", "other.png"])) == {"photo.png": newer}
    done(store.mint(asset("a9", used_at_s=1_700_000_002.0)))
    assert done(store.named("ada", ["photo.png"]))["photo.png"].id == "a1"


def test_whether_there_is_any_record_is_known_after_a_restart(shelf, store) -> None:
    assert not store.any_named()
    done(store.mint(asset("a1")))
    assert again(shelf, store).any_named()


def test_a_blob_lives_while_a_record_uses_it(shelf, store) -> None:
    for asset_id, file_path in (("a1", "photo.png"), ("a2", "again.png")):
        done(store.mint(asset(asset_id, file_path)))
    assert done(store.delete("a1"))
    assert not done(store.delete("a1"))
    assert not done(store.orphans(10))
    assert done(store.kept_places(["photo.png", "else.png"])) == {"photo.png"}
    assert done(store.delete("a2"))
    store = again(shelf, store)
    assert done(store.orphans(10)) == (blob(),)
    assert not done(store.kept_places(["photo.png"]))
    done(store.forget_blobs(["photo.png"]))
    assert not done(store.orphans(10))


def test_a_blob_that_a_record_has_again_is_not_forgotten(store) -> None:
    done(store.mint(asset("a1")))
    done(store.delete("a1"))
    done(store.mint(asset("a2")))
    done(store.forget_blobs(["photo.png"]))
    assert done(store.found(["a2"]))["a2"].blob == blob()


def test_a_file_that_was_ours_once_stays_ours(store) -> None:
    done(store.mint(asset("a1")))
    done(store.mint(asset("a2", "b.png", blob=blob(ours=False))))
    assert done(store.found(["a2"]))["a2"].blob.ours


def test_what_is_due_is_what_has_ended_or_was_not_used_for_long(store) -> None:
    done(store.mint(asset("ended", "1", expires_at_s=1_700_000_010.0)))
    done(store.mint(asset("ends later", "2", expires_at_s=1_700_000_030.0)))
    done(store.mint(asset("old", "3")))
    done(store.mint(asset("used", "4", used_at_s=1_700_000_015.0)))
    assert [one.id for one in done(store.due(1_700_000_020.0, None, 10))] == ["ended"]
    assert {one.id for one in done(store.due(1_700_000_020.0, 1_700_000_012.0, 10))} == {"ended", "old"}
    assert len(done(store.due(1_700_000_020.0, 1_700_000_012.0, 1))) == 1


def test_holds_outlive_a_restart_and_note_the_use(shelf, store) -> None:
    done(store.mint(asset("a1")))
    done(store.hold("job-2", ["a1", "an output"], 1_700_000_005.0))
    done(store.hold("job-1", ["a1"], 1_700_000_004.0))
    store = again(shelf, store)
    assert [hold.job_id for hold in done(store.holds("a1", 10))] == ["job-1", "job-2"]
    assert [hold.held_at_s for hold in done(store.holds("an output", 10))] == [1_700_000_005.0]
    assert done(store.found(["a1"]))["a1"].used_at_s == 1_700_000_005.0
    done(store.release("a1", ["job-1"]))
    assert [hold.job_id for hold in done(store.holds("a1", 10))] == ["job-2"]


def test_a_deleted_record_is_held_no_more(store) -> None:
    done(store.mint(asset("a1")))
    done(store.hold("job-1", ["a1"], 1.0))
    done(store.delete("a1"))
    assert not done(store.holds("a1", 10))


def test_a_key_is_taken_once_until_it_is_old_or_given_back(shelf, store) -> None:
    assert done(store.claim_key("ada", "k", 100.0, 0.0))
    store = again(shelf, store)
    assert not done(store.claim_key("ada", "k", 150.0, 100.0))
    assert done(store.claim_key("bob", "k", 150.0, 100.0))
    assert done(store.claim_key("ada", "k", 150.0, 100.1)), "taken before the time that counts"
    done(store.free_key("ada", "k"))
    assert done(store.claim_key("ada", "k", 160.0, 0.0))
    done(store.forget_keys(160.1))
    assert done(store.claim_key("ada", "k", 161.0, 0.0))


def test_a_note_replaces_an_earlier_one_and_deleted_stays_deleted(shelf, store) -> None:
    done(store.note(OutputNote("o1", "job-1", deleted=True)))
    note = OutputNote("o1", "job-1", DIGEST, 3, 7)
    done(store.note(note))
    assert done(again(shelf, store).notes(["o1", "o2"])) == {"o1": replace(note, deleted=True)}


def test_what_jobs_left_is_found_and_forgotten_by_job(store) -> None:
    done(store.note(OutputNote("o1", "job-1")))
    done(store.hold("job-3", ["a"], 1.0))
    done(store.hold("job-2", ["a", "b"], 1.0))
    assert done(store.jobs_named("", 2)) == ("job-1", "job-2")
    assert done(store.jobs_named("job-2", 2)) == ("job-3",)
    done(store.forget_jobs(["job-1", "job-2"]))
    assert done(store.jobs_named("", 9)) == ("job-3",)
    assert not done(store.notes(["o1"]))


def test_names_that_no_utf8_can_hold_do_no_harm(store) -> None:
    odd = Principal("a\udcff")
    done(store.mint(asset("a1", principal=odd)))
    assert [found.id for found in done(store.by_hash(odd.name, DIGEST))] == ["a1"]
