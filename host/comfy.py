"""Finds the running ComfyUI: its server object, its folders, its version. Reads only."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..jobs.leftovers import FileName
from .files import TEMP, TempCopies

log = logging.getLogger("expeditor.host")


def prompt_server() -> Any | None:
    """The one ``PromptServer``, or None outside a server (for example while another tool imports the pack)."""
    try:
        from server import PromptServer
    except ImportError:
        return None
    return getattr(PromptServer, "instance", None)


def version() -> str:
    """ComfyUI's version, or ``unknown``."""
    try:
        from comfyui_version import __version__  # nested: the module is absent in some builds
    except ImportError:
        return "unknown"
    return str(__version__)


def interruption_wanted() -> bool:
    """Whether somebody has asked ComfyUI to stop what it runs, and nothing has heard it yet."""
    from comfy.model_management import processing_interrupted

    return bool(processing_interrupted())


@dataclass(frozen=True, slots=True)
class Listening:
    """Where ComfyUI listens, or is about to: the first address of its arguments, which may stand for all of the host's."""

    host: str
    port: int
    tls: bool


def listening() -> Listening:
    """What ComfyUI's command line says; its defaults outside of it."""
    try:
        from comfy.cli_args import args
    except ImportError:
        return Listening("127.0.0.1", 8188, tls=False)
    host = str(getattr(args, "listen", None) or "127.0.0.1").split(",")[0].strip()
    return Listening(host, int(getattr(args, "port", None) or 8188), bool(getattr(args, "tls_certfile", None)))


def cors_headers() -> dict[str, str]:
    """What ComfyUI adds to its answers when it was started with ``--enable-cors-header``: a stream must send it by itself, for
    its headers are gone when core's middleware comes to add them."""
    from comfy.cli_args import args

    origin = getattr(args, "enable_cors_header", None)
    if not origin:
        return {}
    return {"Access-Control-Allow-Origin": str(origin), "Access-Control-Allow-Credentials": "true"}


def private_folder() -> Path:
    """The folder that ComfyUI's routes never serve: where the database belongs. It need not exist yet."""
    import folder_paths

    finder = getattr(folder_paths, "get_system_user_directory", None)
    if callable(finder):
        return Path(str(finder("expeditor")))
    return Path(folder_paths.get_user_directory()) / "__expeditor"


def free_memory() -> None:
    """Unload all models and give cached memory back, as core does when memory is used up. Worker thread only."""
    from comfy import model_management

    model_management.unload_all_models()
    model_management.soft_empty_cache()


def folder_of(kind: str) -> str | None:
    """ComfyUI's folder of a kind (``output``, ``temp``, ``input``) as it is set now; None for a kind that there is not."""
    import folder_paths

    found = folder_paths.get_directory_by_type(kind)
    return None if found is None else str(found)


class ComfyFiles:
    """Fits ``dispatch.ports.OutputFiles``. What is looked up at the end of a run is also what has to be kept of ``temp``."""

    def __init__(self, copies: TempCopies | None = None) -> None:
        """``copies`` keeps files of ``temp``; None: they go when ComfyUI empties it."""
        self._copies = copies

    def size_bytes(self, folder: str, subfolder: str, name: str) -> int | None:
        """The size of one of ComfyUI's files, or None when it is not there or outside ComfyUI's folders."""
        if self._copies is not None and folder == TEMP:
            self._copies.keep(FileName(folder, subfolder, name))
        import folder_paths

        base = folder_paths.get_directory_by_type(folder)
        if base is None:
            return None
        root = Path(base).resolve()
        try:
            path = (root / subfolder / name).resolve()
            return path.stat().st_size if path.is_relative_to(root) else None
        except (OSError, ValueError, RuntimeError):  # RuntimeError: a link to itself, before Python 3.13
            return None
