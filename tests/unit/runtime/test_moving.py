"""Jobs move between a file and another store: killed after any verb, none is lost, none can run twice, and a second call ends it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from expeditor.jobs.errors import StoreUnavailable
from expeditor.jobs.model import JobStatus
from expeditor.runtime.moving import Move, Moved, OtherMove
from expeditor.store.base import JobStore
from expeditor.store.sqlite import SqliteStore
from expeditor.store.sqlite.unfinished import MoveNote, UnfinishedMove
from tests.conformance.harness import MemoryStorage, SqliteStorage, claim, claim_all, done, ending, enqueue, new_job

pytestmark = pytest.mark.long

JOBS = [f"j{number}" for number in range(7)]


class Killed(Exception):
    """Stands for kill -9: nothing runs after it."""


class Dying:
    """A store whose process dies before or after its ``at``-th verb: the others are the real store's."""

    def __init__(self, store: JobStore, deaths: list[int], *, after: bool) -> None:
        self._store, self._deaths, self._after = store, deaths, after

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._store, name)

        def asked(*args: Any, **kwargs: Any) -> Future[Any]:
            self._deaths[0] -= 1
            if self._deaths[0] == 0 and not self._after:
                raise Killed
            answer = verb(*args, **kwargs)
            if self._deaths[0] == 0:
                done(answer)
                raise Killed
            return answer

        return asked


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SqliteStorage]:
    storage = SqliteStorage(tmp_path)
    yield storage
    storage.stop()


@pytest.fixture
def shared() -> Iterator[MemoryStorage]:
    storage = MemoryStorage()
    storage.start()
    yield storage
    storage.stop()


def opened(file: SqliteStorage) -> JobStore:
    """The file as the command opens it."""
    file.stop()
    file.store = SqliteStore(path=file.path, moving=True, **file.parts("migrate"))
    file.store.open()
    return file.store


def move(source: JobStore, target: JobStore, file: SqliteStorage, *, leaving: bool = True) -> Move:
    return Move(
        source, target, MoveNote(file.path), leaving, "redis://a", lambda job: True, "gpu1" if leaving else None
    )


def run(moving: Move) -> Moved:
    return moving.run(lambda ready, total: None)


def statuses(store: JobStore) -> dict[str, JobStatus]:
    return {job_id: job.status for job_id in JOBS if (job := done(store.get(job_id)))}


def test_all_that_waits_moves_and_gets_its_origin(file: SqliteStorage, shared: MemoryStorage) -> None:
    source, target = opened(file), shared.store
    assert target is not None
    for job_id in JOBS:
        enqueue(source, job_id)
    claim(source)
    assert run(move(source, target, file)) == Moved(moved=6)
    assert statuses(source) == {"j0": JobStatus.RUNNING}
    assert {done(target.get(job_id)).origin for job_id in JOBS[1:]} == {"gpu1"}  # type: ignore[union-attr]
    assert MoveNote(file.path).read() is None
    assert run(move(source, target, file)) == Moved()
    assert run(move(target, source, file, leaving=False)) == Moved(moved=6)
    assert {done(source.get(job_id)).origin for job_id in JOBS[1:]} == {None}  # type: ignore[union-attr]
    assert claim_all(source) == JOBS[1:]


def test_only_what_was_chosen(file: SqliteStorage, shared: MemoryStorage) -> None:
    source, target = opened(file), shared.store
    assert target is not None
    for job_id, origin in zip(JOBS, ("a", "b", None, "a", "b", "a", None), strict=True):
        done(target.enqueue(new_job(job_id, origin=origin)))
    back = Move(target, source, MoveNote(file.path), False, "x", lambda job: job.origin in ("a", None), None)
    assert run(back) == Moved(moved=5)
    assert sorted(statuses(target)) == ["j1", "j4"]


@pytest.mark.parametrize("leaving", [True, False], ids=["out", "back"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_every_verb(file: SqliteStorage, tmp_path: Path, *, leaving: bool, after: bool) -> None:
    at = 0
    while True:
        at += 1
        (tmp_path / str(at)).mkdir()
        place, shared = SqliteStorage(tmp_path / str(at)), MemoryStorage()
        target: JobStore = shared.start()
        source = opened(place)
        if not leaving:
            source, target = target, source
        for job_id in JOBS:
            enqueue(source, job_id)
        deaths = [at]
        dying = (Dying(store, deaths, after=after) for store in (source, target))
        try:
            run(move(*dying, place, leaving=leaving))  # type: ignore[arg-type]
        except Killed:
            note = MoveNote(place.path).read()
            both = statuses(source).keys() & statuses(target).keys()
            assert statuses(source).keys() | statuses(target).keys() == set(JOBS)
            assert note is not None or not statuses(target)
            assert both <= set(note.part if note else ())
            if statuses(target) and note is not None:  # no server opens the file
                place.stop()
                with pytest.raises(StoreUnavailable, match=r"redis://a was not finished"):
                    place.start()
                (source, target) = (opened(place), target) if leaving else (source, opened(place))
        found = run(move(source, target, place, leaving=leaving))
        assert statuses(source) == {}
        assert claim_all(target) == JOBS
        place.stop()
        shared.stop()
        if deaths[0] > 0:
            assert found == Moved()
            break
    assert at > 5


def test_what_began_to_run_in_the_shared_queue_stays_there(file: SqliteStorage, shared: MemoryStorage) -> None:
    queue, place = shared.store, opened(file)
    assert queue is not None
    for job_id in JOBS[:3]:
        enqueue(queue, job_id)

    class Racing:
        """Another instance claims a job after it was copied."""

        def __getattr__(self, name: str) -> Any:
            if name == "let_go":
                claim(queue)
            return getattr(queue, name)

    assert run(move(Racing(), place, file, leaving=False)) == Moved(moved=2, kept=1)  # type: ignore[arg-type]
    assert statuses(place).keys() == {"j1", "j2"}
    assert statuses(queue) == {"j0": JobStatus.RUNNING}


def test_what_ran_while_nobody_went_on_with_the_move_does_not_run_again(
    file: SqliteStorage, shared: MemoryStorage
) -> None:
    queue, place = shared.store, opened(file)
    assert queue is not None
    for job_id in JOBS[:3]:
        enqueue(queue, job_id)
    with pytest.raises(Killed):
        run(move(Dying(queue, [3], after=False), place, file, leaving=False))  # type: ignore[arg-type]
    assert statuses(place).keys() == {"j0", "j1", "j2"}
    claimed = claim(queue)
    done(queue.finish(claimed.job.id, claimed.attempt, ending()))
    assert run(move(queue, place, file, leaving=False)) == Moved(there=2, kept=1)
    assert statuses(place).keys() == {"j1", "j2"}


def test_another_job_of_the_same_id_is_left_alone(file: SqliteStorage, shared: MemoryStorage) -> None:
    source, target = opened(file), shared.store
    assert target is not None
    enqueue(source, "j0")
    enqueue(source, "j1")
    enqueue(target, "j0", created_at_s=5.0)
    claimed = claim(target)
    done(target.finish("j0", claimed.attempt, ending()))
    assert run(move(source, target, file)) == Moved(moved=1, kept=1)
    assert statuses(source) == {"j0": JobStatus.QUEUED}
    assert statuses(target) == {"j0": JobStatus.SUCCEEDED, "j1": JobStatus.QUEUED}


def test_another_move_must_be_finished_first(file: SqliteStorage, shared: MemoryStorage) -> None:
    source, target = opened(file), shared.store
    assert target is not None
    enqueue(source, "j0")
    MoveNote(file.path).write(UnfinishedMove(leaving=True, other="redis://b"))
    with pytest.raises(OtherMove, match="redis://b"):
        run(move(source, target, file))
    MoveNote(file.path).write(UnfinishedMove(leaving=False, other="redis://a"))
    with pytest.raises(OtherMove, match="from redis://a"):
        run(move(source, target, file))
    assert statuses(target) == {}


def test_a_broken_note_keeps_the_file_closed(file: SqliteStorage) -> None:
    file.start()
    file.stop()
    MoveNote(file.path).path.write_text("{", encoding="utf-8")
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        file.start()
