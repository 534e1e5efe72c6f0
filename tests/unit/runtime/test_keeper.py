"""The background loop: what comes due, what is forgotten and which files go with it, and that nothing ends it."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from expeditor.host.files import Leftovers, TempCopies
from expeditor.host.uploads import InputUploads
from expeditor.intake.upload_names import STORED, stored_name
from expeditor.jobs.errors import StoreUnavailable
from expeditor.jobs.instances import Instance
from expeditor.jobs.leftovers import FileName
from expeditor.jobs.model import JobStatus, Output, Payload, RequestKey
from expeditor.runtime.keeper import BATCH_JOBS, KEY_LIFE_S, UPLOAD_LIFE_S, Keeper, SharedQueue
from expeditor.runtime.retention import Retention, retention
from expeditor.runtime.settings import Settings
from expeditor.store.base import KeptFor
from expeditor.store.instances import FORGOTTEN_AFTER_S
from expeditor.store.records import JobQuery
from tests.conformance.harness import SqliteStorage, claim, done, ending, enqueue, new_job
from tests.support.fake_cluster import FakeCluster, FakeInstances
from tests.support.waiting import wait_until_async

ALL_GO = {JobStatus.SUCCEEDED: KeptFor(age_s=10.0)}


class Made:
    """A store on a disk, ComfyUI's folders and a keeper over both."""

    def __init__(self, folder: Path) -> None:
        self.base = folder / "comfy"
        for kind in ("output", "temp", "input"):
            (self.base / kind).mkdir(parents=True)
        self.storage = SqliteStorage(folder)
        self.store = self.storage.start()
        self.copies = TempCopies(lambda kind: str(self.base / kind), folder / "copies")
        self.uploads = InputUploads(
            lambda kind: str(self.base / kind), folder / "staging", STORED, clock=self.storage.clock
        )
        self.woken = 0

    def keeper(self, retention: Retention, store=None, shared: SharedQueue | None = None) -> Keeper:
        return Keeper(
            store=store or self.store,
            retention=retention,
            files=Leftovers(lambda kind: str(self.base / kind)),
            copies=self.copies,
            uploads=self.uploads,
            wake=self.wake,
            clock=self.storage.clock,
            shared=shared,
            tick_s=0.001,
        )

    def shared_with(self, *, away: bool = False, **heard_of_s: float) -> SharedQueue:
        """`b` shares its queue with these, of whom it was heard so long ago."""
        now_s = self.storage.clock.now_s
        seen = {name: Instance(name, "", "", "", "", 0.0, now_s - age_s) for name, age_s in heard_of_s.items()}
        return SharedQueue("b", FakeInstances(FakeCluster(self.storage.clock, away, seen)).instances)

    def wake(self) -> None:
        self.woken += 1

    def file(self, kind: str, name: str, at_s: float | None = None) -> Path:
        file = self.base / kind / name
        file.write_text("x")
        at_s = self.storage.clock.now_s if at_s is None else at_s
        os.utime(file, (at_s, at_s))
        return file

    def ran(self, job_id: str, *outputs: Output, image: str = "", origin: str | None = None) -> None:
        """One job, from its arrival to its end, now."""
        prompt = {"1": {"class_type": "LoadImage", "inputs": {"image": image}}}
        done(self.store.enqueue(new_job(job_id, payload=Payload(json.dumps(prompt), "{}", "[]"), origin=origin)))
        claimed = claim(self.store)
        now_s = self.storage.clock.now_s
        done(self.store.finish(job_id, claimed.attempt, ending(outputs=outputs, finished_at_s=now_s)))

    def kept_keys(self) -> list[str]:
        with closing(sqlite3.connect(self.storage.path)) as connection:
            return [key for (key,) in connection.execute("SELECT key FROM request_keys")]

    def ids(self) -> list[str]:
        return [job.id for job in done(self.store.page(JobQuery(limit=1000))).jobs]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    made = Made(tmp_path)
    yield made
    made.storage.stop()


def output(name: str, folder: str = "output") -> Output:
    return Output("9", name, "", folder, "image", "image/png", 1)


async def test_a_job_goes_with_its_files_but_not_with_those_that_others_name(made: Made):
    for name in ("mine.png", "ours.png", "again.png"):
        made.file("output", name)
    made.file("input", "upload.png")
    made.file("input", "shared.png")
    made.ran("old", output("mine.png"), output("ours.png"), output("again.png"), image="upload.png")
    made.ran("old too", image="shared.png [input]")
    made.storage.clock.now_s += 20
    made.file("output", "again.png")  # the name was free, and was used by a job that is not known
    made.ran("new", output("ours.png"), image="shared.png")
    await made.keeper(Retention(ALL_GO, outputs=True, inputs=True)).prune()
    assert made.ids() == ["new"]
    assert done(made.store.was_pruned("old")) is True
    assert sorted(file.name for file in (made.base / "output").iterdir()) == ["again.png", "ours.png"]
    assert [file.name for file in (made.base / "input").iterdir()] == ["shared.png"]


async def test_files_of_jobs_of_another_instance_are_not_those_of_the_same_name_here(made: Made):
    for name in ("theirs.png", "mine.png"):
        made.file("output", name)
    made.file("input", "theirs.png")
    made.ran("theirs", output("theirs.png"), image="theirs.png", origin="a")
    made.ran("mine", output("mine.png"), origin="b")
    made.storage.clock.now_s += 20
    await made.keeper(Retention(ALL_GO, outputs=True, inputs=True), shared=made.shared_with(b=0.0)).prune()
    assert made.ids() == []
    assert [file.name for file in (made.base / "output").iterdir()] == ["theirs.png"]
    assert [file.name for file in (made.base / "input").iterdir()] == ["theirs.png"]


async def test_an_instance_leaves_jobs_of_the_others_to_them_until_they_are_forgotten(made: Made):
    for origin in ("a", "b", "c", None):
        made.ran(f"of {origin}", origin=origin)
    made.storage.clock.now_s += 20
    await made.keeper(Retention(ALL_GO), shared=made.shared_with(a=1.0, b=0.0, c=FORGOTTEN_AFTER_S - 1)).prune()
    assert made.ids() == ["of c", "of a"]
    await made.keeper(Retention(ALL_GO), shared=made.shared_with(a=1.0, b=0.0, c=FORGOTTEN_AFTER_S + 1)).prune()
    assert made.ids() == ["of a"]


async def test_nothing_is_pruned_while_nobody_knows_who_is_there(made: Made):
    made.ran("mine", origin="b")
    made.storage.clock.now_s += 20
    keeper = made.keeper(Retention(ALL_GO), shared=made.shared_with(away=True))
    with pytest.raises(StoreUnavailable):
        await keeper.prune()
    assert made.ids() == ["mine"]


async def test_files_stay_unless_they_are_to_go(made: Made):
    made.file("output", "mine.png")
    made.file("input", "upload.png")
    made.ran("old", output("mine.png"), image="upload.png")
    made.storage.clock.now_s += 20
    await made.keeper(Retention(ALL_GO)).prune()
    assert made.ids() == []
    assert (made.base / "output" / "mine.png").exists()
    assert (made.base / "input" / "upload.png").exists()


async def test_copies_of_temp_are_kept_as_long_as_a_job_names_them(made: Made):
    made.file("temp", "p.png")
    made.copies.keep(FileName("temp", "", "p.png"))
    made.ran("old", output("p.png", "temp"))
    made.storage.clock.now_s += 20
    made.ran("new", output("p.png", "temp"))
    keeper = made.keeper(Retention(ALL_GO))
    await keeper.prune()
    (made.base / "temp" / "p.png").unlink()
    watching = asyncio.create_task(keeper.watch())
    await wait_until_async((made.base / "temp" / "p.png").exists)
    watching.cancel()
    made.storage.clock.now_s += 20
    await keeper.prune()
    (made.base / "temp" / "p.png").unlink()
    assert made.copies.restore() == 0
    assert made.ids() == []


async def test_many_jobs_go_in_steps(made: Made):
    for n in range(BATCH_JOBS + 5):
        enqueue(made.store, f"j{n}")
        done(made.store.cancel(f"j{n}"))
    made.ran("kept")
    await made.keeper(Retention({JobStatus.CANCELED: KeptFor(count=2)})).prune()
    assert len(made.ids()) == 3


async def test_keys_and_ids_are_forgotten_in_time(made: Made):
    made.ran("old")
    enqueue(made.store, "keyed", request_key=RequestKey("k", "digest"))
    done(made.store.cancel("keyed"))
    made.storage.clock.now_s += 20
    keeper = made.keeper(Retention({**ALL_GO, JobStatus.CANCELED: KeptFor(age_s=10.0)}))
    await keeper.prune()
    assert made.ids() == []
    made.storage.clock.now_s += KEY_LIFE_S - 20
    await keeper.forget()
    assert made.kept_keys() == ["k"], "a job that was pruned keeps its key"
    made.storage.clock.now_s += 1
    await keeper.forget()
    assert made.kept_keys() == []
    assert done(made.store.was_pruned("old")) is True
    made.storage.clock.now_s += 365 * 86_400
    await keeper.forget()
    assert done(made.store.was_pruned("old")) is False


async def test_a_job_that_comes_due_wakes_the_queue_and_one_that_expires_ends(made: Made):
    now_s = made.storage.clock.now_s
    enqueue(made.store, "later", not_before_s=now_s + 5)
    enqueue(made.store, "never", not_before_s=now_s + 500, expires_at_s=now_s + 50)
    keeper = made.keeper(Retention(ALL_GO))
    await keeper.tick()
    assert made.woken == 0
    made.storage.clock.now_s += 6
    await keeper.tick()
    assert made.woken == 1
    made.storage.clock.now_s += 60
    await keeper.tick()
    assert done(made.store.get("never")).status is JobStatus.EXPIRED


class FakeBrokenStore:
    """Its first ticks fail by a fault of its own, by being away, and by being closed."""

    def __init__(self, store) -> None:
        self._store = store
        self.asked = 0

    def state(self):
        return self._store.state()

    def tick(self):
        self.asked += 1
        if self.asked == 1:
            raise ZeroDivisionError("on purpose")
        if self.asked == 2:
            self._store.close()
        return self._store.tick()


async def test_no_fault_ends_the_loop(made: Made, caplog: pytest.LogCaptureFixture):
    broken = FakeBrokenStore(made.store)
    watching = asyncio.create_task(made.keeper(Retention(ALL_GO), broken).watch())
    await wait_until_async(lambda: broken.asked == 2)
    made.store.open()
    await wait_until_async(lambda: broken.asked > 5)
    assert not watching.done()
    watching.cancel()
    assert caplog.text.count("A step of the background work failed") == 1


def test_zero_means_no_bound():
    given = retention(Settings(keep_failed_s=0, keep_failed_jobs=0, keep_expired_jobs=7, prune_outputs=True))
    assert given.kept[JobStatus.FAILED] == KeptFor(None, None)
    assert given.kept[JobStatus.EXPIRED] == KeptFor(30 * 86_400.0, 7)
    assert (given.outputs, given.inputs) == (True, False)


async def test_uploads_that_no_kept_job_names_are_swept_away(made: Made):
    kept, lost, young = (stored_name("a.png", sign * 64) for sign in "123")
    for name in (kept, lost, "by hand.png"):
        made.file("input", name)
    made.ran("a", image=f"{kept} [input]")
    made.storage.clock.now_s += 2 * UPLOAD_LIFE_S
    made.file("input", young)
    await made.keeper(Retention(ALL_GO)).sweep()
    assert {file.name for file in (made.base / "input").iterdir()} == {kept, young, "by hand.png"}
    done(made.store.prune(["a"]))
    await made.keeper(Retention(ALL_GO)).sweep()
    assert {file.name for file in (made.base / "input").iterdir()} == {young, "by hand.png"}


async def test_uploads_stay_where_they_are_to_stay(made: Made):
    made.file("input", stored_name("a.png", "1" * 64))
    made.storage.clock.now_s += 2 * UPLOAD_LIFE_S
    made.uploads = None
    await made.keeper(Retention(ALL_GO)).sweep()
    assert len(list((made.base / "input").iterdir())) == 1


async def test_an_upload_that_is_an_asset_too_stays(made: Made):
    kept, lost = (stored_name("a.png", sign * 64) for sign in "12")
    for name in (kept, lost):
        made.file("input", name)
    made.storage.clock.now_s += 2 * UPLOAD_LIFE_S
    keeper = made.keeper(Retention(ALL_GO))

    async def spared(names):
        return frozenset({kept}) & frozenset(names)

    keeper._spared = spared
    await keeper.sweep()
    assert [file.name for file in (made.base / "input").iterdir()] == [kept]
