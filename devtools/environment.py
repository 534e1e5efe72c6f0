"""The Python environments: one with ComfyUI and torch, one small for the fast tests, or one that the user brings.

Owns what is installed where. An installation is done again only when its list of requirements has changed or it was
interrupted: a stamp inside the environment says so (`cache.Stamp`).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from . import comfyui, debian
from .cache import Cache, Stamp, digest
from .comfyui import Tree
from .console import SetupError, say
from .process import run_step

# torch and torchvision must fit each other exactly. No torchaudio: its builds lag behind, and only audio nodes miss it.
TORCH = ("torch==2.14.1", "torchvision==0.29.1")
LEFT_OUT = {"torchaudio"}
# The ComfyUI of the wheel is older than transformers 5.
WHEEL_LIMITS = {"transformers": "<5"}

TORCH_ROOM_BYTES = 12 * 1024**3
SMALL_ROOM_BYTES = 1 * 1024**3

# Module names, to look at an environment that we do not install into.
NEEDED_TO_SERVE = (
    "torch",
    "aiohttp",
    "yaml",
    "jsonschema",
    "prometheus_client",
    "pydantic_settings",
    "pythonjsonlogger",
)
NEEDED_FOR_SEVERAL = ("bullmq", "redis")
NEEDED_TO_TEST = (
    "pytest",
    "pytest_asyncio",
    "pytest_aiohttp",
    "hypothesis",
    "ruff",
    "requests",
    "websocket",
    "playwright",
    "httpx",
    "tenacity",
    "typer",
)

_LOOK_FOR = "import importlib.util as u, sys; print(*[m for m in sys.argv[1:] if u.find_spec(m) is None])"
_LOOK_FOR_GPU = """
import torch
xpu, mps = getattr(torch, "xpu", None), getattr(torch.backends, "mps", None)
cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
print(cuda or int(any((xpu and xpu.is_available(), mps and mps.is_available()))), cuda)
"""


@dataclass(frozen=True)
class Setup:
    """What a server or a test run starts with."""

    python: Path
    tree: Tree


def ensure_full(
    cache: Cache, checkout: Path, named_comfyui: str | None, *, testing: bool = False, several: bool = False
) -> Setup:
    """A ComfyUI and an interpreter that can run it with this checkout, installed if need be; `several`: also on a shared queue."""
    with cache.lock():
        tree = comfyui.find(named_comfyui, os.environ, checkout)
        if python := _brought(tree, os.environ):
            more = (NEEDED_TO_TEST if testing else ()) + (NEEDED_FOR_SEVERAL if testing or several else ())
            _check_brought(python, NEEDED_TO_SERVE + more, checkout)
            return Setup(python, tree or comfyui.ensure_wheel_tree(cache, [str(python), "-m", "pip"]))
        folder = cache.root / "venv"
        python = _ensure_venv(folder, cache, TORCH_ROOM_BYTES)
        tree = tree or comfyui.ensure_wheel_tree(cache, [str(python), "-m", "pip", "--disable-pip-version-check"])
        lines = [*comfyui_requirements(tree), *_own_requirements(checkout)]
        _install(folder, lines, cache, "the Python packages (torch is several GB)")
        return Setup(python, tree)


def ensure_fast(cache: Cache, checkout: Path) -> Path:
    """An interpreter for the tests that need neither ComfyUI nor torch: the full one where it is whole, else a small one."""
    with cache.lock():
        own = _own_requirements(checkout)
        full = cache.root / "venv"
        wheel = Tree(comfyui.wheel_tree(cache), from_wheel=True)
        if comfyui.is_comfyui(wheel.path) and _stamp(full, [*comfyui_requirements(wheel), *own]).valid():
            return venv_python(full)
        folder = cache.root / "venv-fast"
        python = _ensure_venv(folder, cache, SMALL_ROOM_BYTES)
        _install(folder, own, cache, "the Python packages of the fast tests")
        return python


def comfyui_requirements(tree: Tree) -> list[str]:
    """ComfyUI's own list, with torch pinned, what cannot be had left out, and the limits of an older tree added."""
    kept: list[str] = []
    for line in _requirement_lines(tree.requirements):
        name = re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0].lower()
        if name in LEFT_OUT or any(name == pin.partition("==")[0] for pin in TORCH):
            continue
        limit = WHEEL_LIMITS.get(name) if tree.from_wheel else None
        kept.append(f"{line},{limit}" if limit else line)
    return [*TORCH, *kept]


@dataclass(frozen=True)
class Accelerators:
    """How many GPUs torch sees: of any kind (XPU and Metal count as one), and those that ComfyUI can be given by number."""

    found: int
    numbered: int


def accelerators(python: Path) -> Accelerators:
    """What torch sees; ComfyUI must be told when it is nothing."""
    told = subprocess.run([str(python), "-c", _LOOK_FOR_GPU], capture_output=True, text=True, check=False)
    words = told.stdout.split()[-2:]
    found, numbered = words if len(words) == 2 and all(word.isdigit() for word in words) else ("0", "0")
    return Accelerators(int(found), int(numbered))


def venv_python(folder: Path) -> Path:
    """The interpreter of a virtual environment."""
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def _brought(tree: Tree | None, environ: Mapping[str, str]) -> Path | None:
    """EXPEDITOR_PYTHON, or the environment that lies in the user's own ComfyUI: we install nothing into either."""
    if named := environ.get("EXPEDITOR_PYTHON"):
        python = Path(shutil.which(named) or named).expanduser().absolute()
        if not python.is_file():
            raise SetupError(f"EXPEDITOR_PYTHON names {named}, and there is no such program.")
        return python
    if tree is None:
        return None
    places = [venv_python(tree.path / name) for name in ("venv", ".venv")]
    places.append(tree.path.parent / "python_embeded" / "python.exe")  # the portable package spells it so
    return next((place for place in places if place.is_file()), None)


def _check_brought(python: Path, modules: tuple[str, ...], checkout: Path) -> None:
    found = subprocess.run([str(python), "-c", _LOOK_FOR, *modules], capture_output=True, text=True, check=False)
    if found.returncode:
        raise SetupError(f"{python} does not work as a Python interpreter:\n{found.stderr.strip()[-500:]}")
    if missing := found.stdout.strip():
        lists = "requirements.txt" + (" -r requirements-dev.txt" if "pytest" in modules else "")
        lists += " " + " ".join(_cluster_requirements(checkout)) if "bullmq" in missing.split() else ""
        raise SetupError(
            f"{python} lacks {missing}. In {checkout}: {python} -m pip install -r {lists} (torch: as ComfyUI's guide says)."
        )
    say(f"    using {python}, in which nothing is installed by this tool")


def _ensure_venv(folder: Path, cache: Cache, room_bytes: int) -> Path:
    python = venv_python(folder)
    if (folder / ".expeditor-stamp").exists() and python.exists():
        return python
    if python.exists() and _runs_pip(python):
        return python
    _check_room(cache.folder("."), room_bytes)
    command = [sys.executable, "-m", "venv", "--clear", str(folder)]
    log = cache.root / "logs" / "venv.log"
    try:
        run_step(f"creating the virtual environment {folder}", command, log)
    except SetupError as fault:
        if "ensurepip" not in log.read_text(encoding="utf-8"):
            raise
        version = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
        debian.install(
            [version], f"This Python cannot make virtual environments ({fault.args[0].splitlines()[0]}).", cache
        )
        run_step(f"creating the virtual environment {folder}", command, log)
    return python


def _runs_pip(python: Path) -> bool:
    return subprocess.run([str(python), "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0


def _check_room(folder: Path, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        gib = 1024**3
        raise SetupError(
            f"the set-up needs about {needed_bytes / gib:.0f} GiB free in {folder}, and there are {free_bytes / gib:.1f}. "
            "Free some space, or let EXPEDITOR_CACHE_DIR name a folder on another disk."
        )


def _install(folder: Path, lines: list[str], cache: Cache, label: str) -> None:
    stamp = _stamp(folder, lines)
    if stamp.valid():
        return
    stamp.remove()
    drop_half_installed(folder)
    wanted = folder / "expeditor-requirements.txt"
    wanted.write_text("\n".join(lines) + "\n", encoding="utf-8")
    pip = [str(venv_python(folder)), "-m", "pip", "--disable-pip-version-check", "install"]
    run_step(
        f"installing {label}",
        [*pip, "--progress-bar", "off", "--retries", "2", "-r", str(wanted)],
        cache.root / "logs" / f"pip-{folder.name}.log",
    )
    stamp.write()


def drop_half_installed(folder: Path) -> None:
    """Forget packages whose installation was killed: pip writes RECORD last, and takes a package without it for installed."""
    for info in folder.glob("[Ll]ib*/**/site-packages/*.dist-info"):
        if not (info / "RECORD").is_file():
            shutil.rmtree(info, ignore_errors=True)


def _stamp(folder: Path, lines: list[str]) -> Stamp:
    return Stamp(folder, digest(*lines))


def _own_requirements(checkout: Path) -> list[str]:
    files = (checkout / "requirements.txt", checkout / "requirements-dev.txt")
    return [line for file in files for line in _requirement_lines(file.read_text(encoding="utf-8"))]


def _cluster_requirements(checkout: Path) -> list[str]:
    """The pins of the extra `cluster`, as requirements-dev.txt has them, too."""
    lines = _requirement_lines((checkout / "requirements-dev.txt").read_text(encoding="utf-8"))
    return [f"'{line}'" for line in lines if re.split(r"[=<>]", line)[0] in NEEDED_FOR_SEVERAL]


def _requirement_lines(text: str) -> list[str]:
    stripped = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in stripped if line]
