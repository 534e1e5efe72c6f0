"""The items of a batch: one prompt with one choice of values each. Owns what makes two batches the same one. Pure."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..faults import BadInput
from ..records import JsonObject
from ..sweeps import Axis, items_of
from ..workflow import Target, with_inputs

LABEL = "cli_batch"


@dataclass(frozen=True, slots=True)
class Item:
    """Number from 1, the values that make it differ from the others; a ``Path`` among them is a file to be uploaded."""

    number: int
    values: Mapping[Target, Any]

    def told(self) -> JsonObject:
        """The values as a manifest tells them."""
        return {str(target): value.name if isinstance(value, Path) else value for target, value in self.values.items()}

    def files(self) -> Iterator[Path]:
        """What must be uploaded before it is submitted."""
        yield from (value for value in self.values.values() if isinstance(value, Path))

    def prompt(self, base: JsonObject, uploaded: Mapping[Path, str]) -> JsonObject:
        """What is submitted; ``uploaded`` has the server's name of each file."""
        values = {
            target: uploaded[value] if isinstance(value, Path) else value for target, value in self.values.items()
        }
        return with_inputs(base, values)


@dataclass(frozen=True, slots=True)
class Plan:
    """All of a batch before anything is sent: the workflow, its items, and the wish that all share (as JSON)."""

    base: JsonObject
    items: tuple[Item, ...]
    wish: JsonObject

    def digest(self) -> str:
        """The same for the same batch: workflow, values, wish. Files count by their path."""
        values = [{str(target): _plain(value) for target, value in item.values.items()} for item in self.items]
        text = json.dumps([self.base, values, self.wish], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def plan_of(base: JsonObject, axes: Sequence[Axis], times: int, wish: JsonObject) -> Plan:
    """The plan; ``times``: each choice of values so often. Raises ``BadInput`` for targets that the workflow has not."""
    choices = [values for values in items_of(axes) for _ in range(times)]
    if choices:
        with_inputs(base, dict.fromkeys(choices[0]))
    return Plan(base, tuple(Item(number, values) for number, values in enumerate(choices, 1)), wish)


def folder_axis(target: Target, folder: Path) -> Axis:
    """An axis of the files in a folder, by name; hidden ones are left out."""
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as fault:
        raise BadInput(f"{folder} cannot be read: {fault.strerror or fault}") from fault
    if not files:
        raise BadInput(f"{folder} has no files.")
    return Axis((target,), tuple((path,) for path in files))


def key_of(batch_id: str, number: int, take: int) -> str:
    """The idempotency key of one item, and the id of its job: the same in every run of the batch. ``take`` counts new beginnings."""
    return str(uuid.uuid5(uuid.UUID(batch_id), f"{number}:{take}"))


def _plain(value: Any) -> Any:
    return {"file": str(value)} if isinstance(value, Path) else value
