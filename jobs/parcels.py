"""What instances tell each other of files that travel between them: records, and their form on the wire. Pure.

The wire is between members of one queue only and may change with the version: a member that does not understand another one says so, and
what was to be sent is sent later.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from .errors import InputInvalid
from .leftovers import FileName

DIGEST_BYTES = 32
"""Hashes of files that travel are BLAKE2b of this length, hexadecimal."""
NAMES_MAX = 2_000
"""The most names of input files that are asked for in one go."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A file that ``instance`` made in a run of a job and has to send. ``file`` is its name there; ``digest`` is of all its bytes;
    ``at_s`` becomes its time. ``apart``: it goes to the job's own folder at home in any case."""

    instance: str
    job_id: str
    file: FileName
    size_bytes: int
    digest: str
    at_s: float
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Landing:
    """Where an offered file is, or will be, and how many of its bytes are there. ``done``: all, and it has its name."""

    file: FileName
    have_bytes: int
    done: bool


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file of an input folder, under the name that a prompt has for it (without ``[input]``)."""

    name: str
    size_bytes: int
    digest: str


def offer_fields(offer: Offer) -> dict[str, str]:
    """An offer as texts: a query."""
    return {
        "instance": offer.instance,
        "job_id": offer.job_id,
        **file_fields(offer.file),
        "size_bytes": str(offer.size_bytes),
        "digest": offer.digest,
        "at_s": repr(offer.at_s),
        "apart": "1" if offer.apart else "",
    }


def offer_from(fields: Mapping[str, Any]) -> Offer:
    """What ``offer_fields`` made. Raises ``InputInvalid``; whether it is sound besides is not looked at."""
    return Offer(
        instance=_text(fields, "instance"),
        job_id=_text(fields, "job_id"),
        file=file_from(fields),
        size_bytes=number_from(fields, "size_bytes"),
        digest=_text(fields, "digest"),
        at_s=_time(fields, "at_s"),
        apart=bool(fields.get("apart")),
    )


def file_fields(file: FileName) -> dict[str, str]:
    """A file's name as ComfyUI writes it in messages and in ``/view``."""
    return {"filename": file.name, "subfolder": file.subfolder, "type": file.folder}


def file_from(fields: Mapping[str, Any]) -> FileName:
    """What ``file_fields`` made. Raises ``InputInvalid``."""
    return FileName(_text(fields, "type"), _text(fields, "subfolder"), _text(fields, "filename"))


def landing_json(landing: Landing) -> dict[str, Any]:
    """A landing for JSON."""
    return {**file_fields(landing.file), "have_bytes": landing.have_bytes, "done": landing.done}


def landing_from(fields: Mapping[str, Any]) -> Landing:
    """What ``landing_json`` made. Raises ``InputInvalid``."""
    return Landing(file_from(fields), number_from(fields, "have_bytes"), done=fields.get("done") is True)


def input_json(file: InputFile) -> dict[str, Any]:
    """An input file for JSON."""
    return {"name": file.name, "size_bytes": file.size_bytes, "digest": file.digest}


def inputs_from(fields: Mapping[str, Any]) -> tuple[InputFile, ...]:
    """The input files of an answer. Raises ``InputInvalid``."""
    rows: Any = fields.get("files")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in cast("list[Any]", rows)):
        raise InputInvalid("files must be a list of objects.")
    return tuple(
        InputFile(_text(row, "name"), number_from(row, "size_bytes"), _text(row, "digest"))
        for row in cast("list[dict[str, Any]]", rows)
    )


def names_from(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """The names that are asked for. Raises ``InputInvalid``."""
    names: Any = fields.get("names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in cast("list[Any]", names)):
        raise InputInvalid("names must be a list of texts.")
    found = tuple(cast("list[str]", names))
    if len(found) > NAMES_MAX:
        raise InputInvalid(f"At most {NAMES_MAX} names at once.")
    return found


def number_from(fields: Mapping[str, Any], name: str) -> int:
    """A whole number that is not negative, also as text. Raises ``InputInvalid``."""
    value = fields.get(name)
    text = str(value)
    if isinstance(value, bool) or not text.isascii() or not text.isdigit() or len(text) > 18:
        raise InputInvalid(f"{name} must be a whole number.", details={"field": name})
    return int(text)


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise InputInvalid(f"{name} must be a text.", details={"field": name})
    return value


def _time(fields: Mapping[str, Any], name: str) -> float:
    try:
        found = float(_text(fields, name))
    except ValueError:
        found = math.nan
    if not 0 <= found < 1e11:
        raise InputInvalid(f"{name} must be seconds since the epoch.", details={"field": name})
    return found
