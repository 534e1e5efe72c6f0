"""The migrate command: waiting jobs go from this ComfyUI's own queue to a shared one, or come back. Needs no ComfyUI.

Owns what is asked on the command line, the opening of the two stores, and what is said. Not owned: the move (``moving``). The doorway for
a pack that is not installed is ``migrate.py`` beside ``backup.py``.
"""

from __future__ import annotations

import argparse
import os
import sys
import uuid
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..jobs.errors import ExpeditorError
from ..jobs.events import JobEvent
from ..jobs.instances import boot_id_of, is_name
from ..jobs.model import Job, JobStatus
from ..store.base import JobStore
from ..store.bullmq.address import AddressError, parse, redacted
from ..store.sqlite import SqliteStore
from ..store.sqlite.unfinished import MoveNote
from .clock import SteadyClock
from .cluster import join_cluster
from .identity import Identity, is_shared
from .moving import VERB_S, Move, Moved, OtherMove
from .settings import Settings
from .settings_source import SettingsError, load
from .storage import DATABASE_NAME, order_policy

DONE, FAILED, MISUSED = 0, 1, 2
_PACK = Path(__file__).absolute().parents[1]  # as it was reached: custom_nodes/ may hold a link to it


class Misused(Exception):
    """The command cannot be carried out as it was given; says why."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked. ``address``: the shared queue; ``instance``: this ComfyUI's name there; ``everybody``: also jobs of others."""

    leaving: bool
    address: str
    data_dir: Path
    settings: Settings
    instance: str
    everybody: bool
    dry: bool

    @property
    def other(self) -> str:
        """The shared queue as it may be shown."""
        return f"{redacted(self.address)} ({self.settings.store_namespace})"

    def chosen(self, job: Job) -> bool:
        """Whether this job is to move."""
        return self.leaving or self.everybody or job.origin in (None, self.instance)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 0 done, 1 not all was done, 2 wrong use."""
    try:
        plan = _plan(_parser().parse_args(arguments))
        with _file_store(plan) as file, _shared_store(plan) as shared:
            sys.stdout.write(_carried_out(plan, file, shared) + "\n")
    except (Misused, SettingsError, AddressError) as fault:
        sys.stderr.write(f"Nothing was moved. {fault}\n")
        return MISUSED
    except (ExpeditorError, OtherMove, OSError, TimeoutError) as fault:
        sys.stderr.write(f"Not all was moved. {fault}\nNo job is lost; run the same command again.\n")
        return FAILED
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted. No job is lost; run the same command again.\n")
        return FAILED
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="migrate.py",
        description="Moves the jobs that wait between this ComfyUI's own queue and one that several instances share. Stop this "
        "ComfyUI first; the others may run. May be killed at any moment and run again. Exit code 0: done; 1: not all; 2: wrong use.",
    )
    way = parser.add_mutually_exclusive_group(required=True)
    configured = "the setting store when no address is given"
    way.add_argument("--to", metavar="ADDRESS", nargs="?", const="", help=f"to the shared queue; {configured}")
    way.add_argument("--from", metavar="ADDRESS", nargs="?", const="", dest="source", help=f"back; {configured}")
    parser.add_argument(
        "--instance", help="this ComfyUI's name among the others (setting instance; its log says it when it starts)"
    )
    parser.add_argument("--namespace", help="of the shared queue (setting store_namespace)")
    parser.add_argument("--all", action="store_true", help="with --from: also jobs that were submitted to others")
    parser.add_argument(
        "--data-dir", type=Path, help=f"where the queue's database lies; default: {_default_data_dir()}"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would move")
    return parser


def _plan(given: argparse.Namespace) -> Plan:
    data_dir: Path = given.data_dir or _default_data_dir()
    settings = load(data_dir)
    leaving = given.to is not None
    address: str = (given.to if leaving else given.source) or settings.store
    if not is_shared(address):
        raise Misused("Which shared queue? Give its address: --to redis://host:6379/0.")
    parse(address)
    instance: str | None = given.instance or settings.instance
    if instance is None or not is_name(instance):
        raise Misused(
            "What is this ComfyUI called among the others? Give --instance: the setting instance, or what its log says at the start."
        )
    if leaving and not (data_dir / DATABASE_NAME).is_file():
        raise Misused(f"There is no database at {data_dir / DATABASE_NAME}. Name its folder with --data-dir.")
    changed = {"store": address, "instance": instance, "store_namespace": given.namespace or settings.store_namespace}
    return Plan(leaving, address, data_dir, settings.model_copy(update=changed), instance, given.all, given.dry_run)


def _default_data_dir() -> Path:
    # The pack lies in ComfyUI's custom_nodes/, a neighbour of its user/.
    folder = os.environ.get("EXPEDITOR_DATA_DIR")
    return Path(folder) if folder else _PACK.parent.parent / "user" / "__expeditor"


def _carried_out(plan: Plan, file: JobStore, shared: JobStore) -> str:
    source, target = (file, shared) if plan.leaving else (shared, file)
    origin = plan.instance if plan.leaving else None
    note = MoveNote(plan.data_dir / DATABASE_NAME)
    move = Move(source, target, note, plan.leaving, plan.other, plan.chosen, origin)
    where = f"to {plan.other}" if plan.leaving else f"from {plan.other}"
    if plan.dry:
        return _would_move(plan, move, where)
    if plan.leaving:
        file.recover().result(VERB_S)  # what ran when the server ended waits again, as after its next start
    moved = move.run(_progress)
    return _told(moved, where)


def _would_move(plan: Plan, move: Move, where: str) -> str:
    waiting = len(move.waiting())
    rows = move.source.summary().result(VERB_S).rows
    parked = sum(row.jobs for row in rows if row.status is JobStatus.WAITING)
    begun = sum(row.jobs for row in rows if row.status is not JobStatus.QUEUED) - parked
    others = sum(row.jobs for row in rows if row.status is JobStatus.QUEUED) - waiting
    ran = f" {begun} ran when the server ended and would wait again, and move." if plan.leaving and begun else ""
    left = f" {others} of other instances stay (--all takes them too)." if others else ""
    asking = f" {parked} wait for people and stay." if parked else ""
    return f"{waiting} waiting jobs would move {where}.{ran}{left}{asking} Nothing was changed."


def _told(moved: Moved, where: str) -> str:
    there = f" {moved.there} were there already, of a move that was not finished." if moved.there else ""
    kept = f" {moved.kept} stay: they began to run meanwhile, or their id stands for another job." if moved.kept else ""
    return f"{moved.moved} waiting jobs moved {where}.{there}{kept}"


def _progress(ready: int, total: int) -> None:
    if total >= 1000 and (ready % 1000 == 0 or ready == total):
        sys.stderr.write(f"{ready} of {total}\n")


class _Nobody:
    """Hears what the stores tell."""

    def publish(self, events: tuple[JobEvent, ...]) -> None:
        """Nobody listens."""

    def committed(self, duration_s: float, verbs: int) -> None:
        """Nobody counts."""


@contextmanager
def _opened(store: JobStore) -> Generator[JobStore, None, None]:
    store.open()
    try:
        yield store
    finally:
        store.close()


@contextmanager
def _file_store(plan: Plan) -> Generator[JobStore, None, None]:
    nobody = _Nobody()
    store = SqliteStore(
        path=plan.data_dir / DATABASE_NAME,
        policy=order_policy(plan.settings),
        clock=SteadyClock(),
        boot_id=uuid.uuid4().hex,
        publisher=nobody,
        observer=nobody,
        moving=True,
    )
    with _opened(store) as opened:
        yield opened


@contextmanager
def _shared_store(plan: Plan) -> Generator[JobStore, None, None]:
    boot_id = boot_id_of(plan.instance, uuid.uuid4().hex)
    cluster = join_cluster(plan.settings, Identity(plan.instance, boot_id, "", shared=True))
    assert cluster is not None, "the address is a shared queue's"
    from ..store.bullmq.adapter import BullmqStore  # noqa: PLC0415 - its libraries are there now

    nobody = _Nobody()
    store = BullmqStore(
        connections=cluster.connections,
        namespace=plan.settings.store_namespace,
        policy=order_policy(plan.settings),
        clock=cluster.clock,
        boot_id=boot_id,
        publisher=nobody,
        observer=nobody,
    )
    try:
        cluster.connections.open()
        with _opened(store) as opened:
            yield opened
    finally:
        cluster.connections.close()


if __name__ == "__main__":
    sys.exit(main())
