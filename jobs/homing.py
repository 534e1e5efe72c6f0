"""What files of a job are called at home: on the instance where it was submitted, when another one made them. Pure.

A result that instance ``b`` keeps as ``output/cats/x.png`` is ``output/b/cats/x.png`` at its origin, so files of different instances
never meet under one name. Where that name has other bytes already, the file goes to a folder of its job: ``output/b/<job id>/cats/x.png``.

Owns these names and the rewriting of whatever names files: node outputs as ComfyUI's messages and history have them, records of jobs,
endings. Does not own where the bytes are or how they travel (``host``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from .leftovers import FileName
from .model import Ending, Job, Output

SENT_FOLDERS = frozenset({"output", "temp"})
"""The kinds of files that come home; what a node names in ``input`` is its origin's already."""

DEEPEST = 64
"""Outputs that are nested more deeply than this are left as they are."""

Place = Callable[[FileName], FileName]
"""Where a file is at home."""


def home_subfolder(instance: str, subfolder: str) -> str:
    """The subfolder at home of what ``instance`` keeps in ``subfolder``, with forward slashes. A name of home stays as it is."""
    plain = _plain(subfolder)
    if plain == instance or plain.startswith(f"{instance}/"):
        return plain
    return f"{instance}/{plain}" if plain else instance


def job_subfolder(instance: str, job_id: str, subfolder: str) -> str:
    """The subfolder at home that only this job's files have."""
    inner = home_subfolder(instance, subfolder)[len(instance) :].strip("/")
    own = inner if inner == job_id or inner.startswith(f"{job_id}/") else f"{job_id}/{inner}".rstrip("/")
    return f"{instance}/{own}"


def names_at_maker(instance: str, job_id: str, home: FileName) -> tuple[FileName, ...]:
    """What ``instance`` itself may call a file that is called ``home`` at home, best first."""
    for folder in (f"{instance}/{job_id}", instance):
        if home.subfolder == folder or home.subfolder.startswith(f"{folder}/"):
            inner = home.subfolder[len(folder) + 1 :]
            # A folder of the instance's own name is called the same in both places.
            return (home._replace(subfolder=inner), home)
    return ()


def home_of(instance: str) -> Place:
    """Where files of ``instance`` usually are at home."""

    def place(file: FileName) -> FileName:
        return file._replace(subfolder=home_subfolder(instance, file.subfolder))

    return place


def placed(places: Mapping[FileName, FileName]) -> Place:
    """Where files are by this list; a file that is not on it keeps its name."""

    def place(file: FileName) -> FileName:
        return places.get(file, file)

    return place


def files_in(value: Any) -> tuple[FileName, ...]:
    """The files that node outputs name (``{"filename", "subfolder", "type"}`` at any depth) and that come home, each once, in order."""
    return tuple(dict.fromkeys(_files(value, DEEPEST)))


def rewritten(value: Any, place: Place) -> Any:
    """Node outputs with the names that their files have at home; the given ones are not changed."""
    return _rewritten(value, place, DEEPEST)


def output_at_home(output: Output, place: Place) -> Output:
    """The record of a file with its name at home."""
    if output.folder not in SENT_FOLDERS:
        return output
    home = place(file_of(output))
    return replace(output, folder=home.folder, subfolder=home.subfolder, name=home.name)


def ending_at_home(ending: Ending, place: Place) -> Ending:
    """An ending that names its files, and what ComfyUI's history shows of them, as they are at home."""
    return replace(
        ending,
        outputs=tuple(output_at_home(output, place) for output in ending.outputs),
        history_json=_history_at_home(ending.history_json, place),
    )


def files_of_history(history_json: str | None) -> tuple[FileName, ...]:
    """The files that ComfyUI's history shows of a run."""
    return files_in(_history(history_json).get("outputs"))


def file_of(output: Output) -> FileName:
    """The name of an output's file."""
    return FileName(output.folder, output.subfolder, output.name)


def maker_of(job: Job, instance_of: Callable[[str], str | None]) -> str | None:
    """The instance that made what the job has, and has its files for as long as they have not come home; None before any attempt."""
    return instance_of(job.attempts[-1].boot_id) if job.attempts else None


def _plain(subfolder: str) -> str:
    return subfolder.replace("\\", "/").strip("/")


def _history_at_home(history_json: str | None, place: Place) -> str | None:
    fields = _history(history_json)
    if "outputs" not in fields:
        return history_json
    return json.dumps(fields | {"outputs": rewritten(fields["outputs"], place)})


def _history(history_json: str | None) -> dict[str, Any]:
    try:
        kept: Any = json.loads(history_json or "null")
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", kept) if isinstance(kept, dict) else {}


def _file(entry: Mapping[str, Any]) -> FileName | None:
    name, subfolder, folder = entry.get("filename"), entry.get("subfolder", ""), entry.get("type", "output")
    if not isinstance(name, str) or not isinstance(subfolder, str) or not isinstance(folder, str):
        return None
    return FileName(folder, subfolder, name) if name and folder in SENT_FOLDERS else None


def _files(value: Any, depth: int) -> Iterator[FileName]:
    if depth == 0:
        return
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        file = _file(fields)
        if file is not None:
            yield file
        for each in fields.values():
            yield from _files(each, depth - 1)
    elif isinstance(value, (list, tuple)):
        for each in cast("list[Any]", value):
            yield from _files(each, depth - 1)


def _rewritten(value: Any, place: Place, depth: int) -> Any:
    if depth == 0:
        return value
    if isinstance(value, Mapping):
        fields = {key: _rewritten(each, place, depth - 1) for key, each in cast("Mapping[str, Any]", value).items()}
        file = _file(fields)
        if file is None:
            return fields
        home = place(file)
        return (
            fields
            if home == file
            else fields | {"filename": home.name, "subfolder": home.subfolder, "type": home.folder}
        )
    if isinstance(value, (list, tuple)):
        return [_rewritten(each, place, depth - 1) for each in cast("list[Any]", value)]
    return value
