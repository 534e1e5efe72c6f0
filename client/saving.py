"""Where the files that jobs made are put, under which names. Never overwrites a file of somebody else's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from .connect import Server
from .records import Job, Output

_NEVER = '<>:"|?*'


def save_outputs(server: Server, job: Job, folder: Path, prefix: str = "") -> list[Path]:
    """Save every output of a job and say where. Saving the same job again writes the same files."""
    saved: list[Path] = []
    for output, name in named(job.outputs, prefix):
        target = folder / name
        server.save(output, target)
        saved.append(target)
    return saved


def named(outputs: tuple[Output, ...], prefix: str = "") -> Iterator[tuple[Output, str]]:
    """A file name for each output: its own without folders, and numbered where two would be the same (on some systems ``A`` is ``a``)."""
    taken: set[str] = set()
    for output in outputs:
        plain = _plain(output.name)
        stem, dot, suffix = plain.rpartition(".")
        name, number = prefix + plain, 1
        while name.lower() in taken:
            number += 1
            name = f"{prefix}{stem}_{number}.{suffix}" if dot else f"{prefix}{plain}_{number}"
        taken.add(name.lower())
        yield output, name


def _plain(name: str) -> str:
    # A server may name files as it likes; nothing of ours is written outside the folder, nor into anything but a file.
    last = PurePosixPath(PureWindowsPath(name).name).name
    sound = "".join("_" if sign in _NEVER or not sign.isprintable() else sign for sign in last)
    return "output" if sound.strip(". ") == "" else sound
