"""What has become of each item, on disk: a line per fact, so that a batch that was cut off goes on where it was.

The file is ``batch.jsonl`` in the results folder. A half-written last line, as a power cut leaves it, is dropped. Every key follows
from the batch's id, so what was sent and not noted is sent again with the same key and becomes the same job.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any

from ..faults import BadInput
from ..records import JsonObject

FILE_NAME = "batch.jsonl"
VERSION = 1
REFUSED = "refused"
"""The status of an item that the server would not take."""
NOBODY = 0
"""Stands for the batch itself where an item's number is expected."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One item: its job if it was accepted, its ``status`` (None: not ended), why it did badly, its files' names, its ``take``."""

    job_id: str | None = None
    status: str | None = None
    error: str | None = None
    files: tuple[str, ...] = ()
    take: int = 1

    @property
    def settled(self) -> bool:
        """Whether nothing is left to do for it."""
        return self.status is not None


class Record:
    """The open file of one batch, a context manager. Thread-safe. A crash of this program loses no line."""

    def __init__(self, file: Path, batch_id: str, standings: dict[int, Standing], *, resumed: bool) -> None:
        self.batch_id = batch_id
        self.resumed = resumed
        self._standings = standings
        self._lock = Lock()
        self._lines = file.open("ab")

    def standing(self, number: int) -> Standing:
        """How item ``number`` stands."""
        with self._lock:
            return self._standings.get(number, Standing())

    @property
    def begun(self) -> bool:
        """Whether items have been submitted one by one, or any is known to the server: then the rest is, too."""
        with self._lock:
            return bool(self._standings)

    def one_by_one(self) -> None:
        """From now on each item has a request of its own."""
        self._note(NOBODY, {"single": True}, Standing())

    def together(self, jobs: Mapping[int, str], refused: Mapping[int, str]) -> None:
        """All items at once: which have become which job, and which were refused why. One line, so it is noted whole or not at all."""
        told = {
            "jobs": {str(key): value for key, value in jobs.items()},
            "refused": {str(key): value for key, value in refused.items()},
        }
        with self._lock:
            self._standings.update(_together(told))
            self._write({"item": NOBODY, **told})

    def accepted(self, number: int, job_id: str) -> None:
        """The item has become a job."""
        self._note(number, {"job": job_id}, replace(self.standing(number), job_id=job_id))

    def settled(self, number: int, status: str, error: str | None = None, files: tuple[str, ...] = ()) -> None:
        """The item has ended, and its files are saved."""
        told: JsonObject = {"status": status, "error": error, "files": list(files)}
        self._note(number, told, replace(self.standing(number), status=status, error=error, files=files))

    def anew(self, number: int) -> None:
        """The item begins anew, with another key."""
        take = self.standing(number).take + 1
        self._note(number, {"take": take}, Standing(take=take))

    def reopened(self, number: int) -> None:
        """The item's job runs again, under the same id."""
        standing = self.standing(number)
        self._note(number, {"again": True}, Standing(job_id=standing.job_id, take=standing.take))

    def __enter__(self) -> Record:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()

    def _note(self, number: int, told: JsonObject, standing: Standing) -> None:
        with self._lock:
            self._standings[number] = standing
            self._write({"item": number, **told})

    def _write(self, line: JsonObject) -> None:
        self._lines.write(json.dumps(line).encode() + b"\n")
        self._lines.flush()


def open_record(folder: Path, digest: str, items: int, server: str) -> Record:
    """The record of a batch in its folder: made, or taken up again. Raises ``BadInput`` when it is another batch's."""
    file = folder / FILE_NAME
    head: JsonObject
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not file.exists() or not file.stat().st_size:
            head = {"version": VERSION, "batch": str(uuid.uuid4()), "digest": digest, "items": items, "server": server}
            with file.open("wb") as made:
                made.write(json.dumps(head).encode() + b"\n")
                made.flush()
                os.fsync(made.fileno())
            return Record(file, str(head["batch"]), {}, resumed=False)
        head, standings = _read(file)
    except OSError as fault:
        raise BadInput(f"{file} cannot be used: {fault.strerror or fault}") from fault
    if head["digest"] != digest:
        raise BadInput(
            f"{file} belongs to another batch (another workflow, sweep or option). Take another folder with --out, "
            "or give the options of that batch to go on with it."
        )
    if str(head["server"]).rstrip("/") != server.rstrip("/"):
        raise BadInput(f"{file} belongs to a batch on {head['server']}, not on {server}.")
    return Record(file, str(head["batch"]), standings, resumed=True)


def _read(file: Path) -> tuple[JsonObject, dict[int, Standing]]:
    raw = file.read_bytes()
    whole, _, torn = raw.rpartition(b"\n")
    try:
        head, *lines = [json.loads(line) for line in whole.splitlines()]
        if head["version"] != VERSION or not {"batch", "digest", "server"} <= head.keys():
            raise ValueError("another version")
        standings: dict[int, Standing] = {}
        for line in lines:
            number = int(line["item"])
            if "jobs" in line:
                standings.update(_together(line))
            else:
                standings[number] = _next(standings.get(number, Standing()), line)
    except (ValueError, KeyError, TypeError) as fault:
        raise BadInput(f"{file} is not the record of a batch ({fault}). Take another folder with --out.") from fault
    if torn:
        os.truncate(file, len(raw) - len(torn))
    return head, standings


def _together(told: dict[str, Any]) -> dict[int, Standing]:
    found = {int(number): Standing(job_id=str(job_id)) for number, job_id in told["jobs"].items()}
    found |= {int(number): Standing(status=REFUSED, error=str(why)) for number, why in told["refused"].items()}
    return found


def _next(standing: Standing, line: dict[str, Any]) -> Standing:
    if "take" in line:
        return Standing(take=int(line["take"]))
    if "single" in line:
        return Standing()
    if "again" in line:
        return Standing(job_id=standing.job_id, take=standing.take)
    if "job" in line:
        return replace(standing, job_id=str(line["job"]))
    return replace(
        standing, status=str(line["status"]), error=line.get("error"), files=tuple(map(str, line.get("files") or ()))
    )
