"""A real ComfyUI process for the tests: started, killed, restarted, asked over HTTP.

Owns the process, its base directory and its log file. Does not install anything: the tree and the interpreter are
those that `python dev.py test` set up (`COMFYUI_DIR` and `EXPEDITOR_PYTHON` when it calls, else the cache folder).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import requests

from expeditor.devtools.cache import Cache
from expeditor.devtools.comfyui import is_comfyui, wheel_tree
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
START_DEADLINE_S = 180.0
STOP_DEADLINE_S = 30.0
REQUEST_TIMEOUT_S = 60.0

# Without these two the page greets a first-time visitor with dialogs that cover the canvas.
PAGE_SETTINGS = {"Comfy.TutorialCompleted": True, "Comfy.InstalledVersion": "1.32.9"}


class ServerDidNotStart(RuntimeError):
    """The process ended, or did not answer in time; the message carries the end of its log."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def comfyui_tree() -> Path:
    """The folder of the ComfyUI under test (holds `main.py`); RuntimeError when nothing was set up."""
    named = os.environ.get("COMFYUI_DIR")
    tree = Path(named) if named else wheel_tree(Cache.of_user())
    if not is_comfyui(tree):
        raise RuntimeError(f"no ComfyUI at {tree}: run `python dev.py test host` once, it sets one up")
    return tree


@dataclass
class RealComfyUI:
    """One ComfyUI process on a free port, by default of the loopback, as a context manager; the data directory outlives restarts."""

    with_expeditor: bool = True
    packs: Sequence[Path] = ()  # further custom node folders or files, linked beside Expeditor
    env: Mapping[str, str] = field(default_factory=dict[str, str])  # EXPEDITOR_* settings and the like
    args: Sequence[str] = ()  # appended to ComfyUI's command line
    data_dir: Path | None = None  # ComfyUI's base directory; a temporary one, removed at the end, when None
    tree: Path | None = None
    host: str = "127.0.0.1"  # the address that it listens on
    within: Sequence[str] = ()  # put in front of its command line, for example to start it in a namespace

    port: int = field(default=0, init=False)
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _owned: Path | None = field(default=None, init=False)

    def __enter__(self) -> RealComfyUI:
        if self.data_dir is None:
            self._owned = self.data_dir = Path(tempfile.mkdtemp(prefix="expeditor-test-"))
        try:
            self._lay_out()
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        if self._owned is not None:
            shutil.rmtree(self._owned, ignore_errors=True)
            self._owned = self.data_dir = None

    # -- where it is ---------------------------------------------------------------------------------------------

    @property
    def base(self) -> Path:
        """ComfyUI's base directory: holds `custom_nodes input output temp user`."""
        assert self.data_dir is not None, "only inside the with statement"
        return self.data_dir

    @property
    def url(self) -> str:
        """The address without a trailing slash, e.g. `http://127.0.0.1:40123`."""
        return f"http://{self.host}:{self.port}"

    @property
    def ws_url(self) -> str:
        """The address of ComfyUI's socket, to which `?clientId=` may be added."""
        return f"ws://{self.host}:{self.port}/ws"

    @property
    def log_path(self) -> Path:
        """Standard output and error of all runs on this data directory, in order."""
        return self.base / "comfyui.test.log"

    def log_text(self) -> str:
        """Everything the process has written so far."""
        return self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""

    @property
    def pid(self) -> int:
        """The process id of the current or last run."""
        assert self.process is not None, "never started"
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self.process is not None and self.process.poll() is None

    # -- its life ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start and wait until it answers; a port snatched meanwhile is retried with another one."""
        for chance in range(3):
            self.port = self.port or free_port()
            said_before = len(self.log_text())
            self._spawn()
            try:
                wait_until(self._answers, START_DEADLINE_S, 0.1, "ComfyUI's answer to /system_stats")
                return
            except (AssertionError, ServerDidNotStart) as fault:
                self.kill()
                said = self.log_text()[said_before:]
                if chance == 2 or "address already in use" not in said.lower():
                    raise ServerDidNotStart(f"{fault}\n--- end of its log ---\n{said[-6000:]}") from fault
                self.port = 0

    def kill(self) -> None:
        """SIGKILL: nothing of the process gets a chance to tidy up. Nothing happens when it is gone already."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        self.wait_exit()

    def terminate(self) -> int | None:
        """SIGTERM, then the exit code."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
        return self.wait_exit()

    def interrupt(self) -> int | None:
        """Ctrl-C, then the exit code."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.wait_exit()

    def wait_exit(self, deadline_s: float = STOP_DEADLINE_S) -> int | None:
        """The exit code (negative: the signal), waited for; None when it never ran."""
        return None if self.process is None else self.process.wait(deadline_s)

    def restart(self) -> None:
        """Kill if it lives, and start again on the same data directory and port."""
        self.kill()
        self.start()

    # -- talking to it -------------------------------------------------------------------------------------------

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """One HTTP request (`json=`, `data=`, `files=`, `headers=` as in requests); never raises for a status."""
        options.setdefault("timeout", REQUEST_TIMEOUT_S)
        return requests.request(method, self.url + path, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        """GET, see `request`."""
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        """POST, see `request`."""
        return self.request("POST", path, **options)

    # -- inside --------------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        for name in ("custom_nodes", "input", "output", "models", "user/default"):
            (self.base / name).mkdir(parents=True, exist_ok=True)
        settings = self.base / "user/default/comfy.settings.json"
        if not settings.exists():
            settings.write_text(json.dumps(PAGE_SETTINGS), encoding="utf-8")
        links = {"expeditor": ROOT} if self.with_expeditor else {}
        for name, target in {**links, **{pack.name: pack.resolve() for pack in self.packs}}.items():
            link = self.base / "custom_nodes" / name
            if not link.exists():
                link.symlink_to(target, target_is_directory=target.is_dir())

    def _spawn(self) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("EXPEDITOR_")}
        # Hundreds of starts, thousands of modules each: compiled once, whatever the caller's environment says.
        inherited.pop("PYTHONDONTWRITEBYTECODE", None)
        command = [
            *self.within,
            os.environ.get("EXPEDITOR_PYTHON") or sys.executable,
            str((self.tree or comfyui_tree()) / "main.py"),
            *("--cpu", "--listen", self.host, "--port", str(self.port), "--disable-auto-launch"),
            *("--base-directory", str(self.base), "--database-url", "sqlite:///:memory:"),
            *self.args,
        ]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.base,
                env={**inherited, "PYTHONUNBUFFERED": "1", **self.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _answers(self) -> bool:
        assert self.process is not None
        if (code := self.process.poll()) is not None:
            raise ServerDidNotStart(f"ComfyUI ended with {code} before it answered")
        try:
            return requests.get(f"{self.url}/system_stats", timeout=2).ok
        except requests.RequestException:
            return False
