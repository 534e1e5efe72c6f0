"""`dev.py serve`: ComfyUI with this checkout, in the foreground.

Owns the link into custom_nodes, the child process and its signals, and what is printed when it answers. The set-up is
`environment`'s.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from .cache import Cache
from .console import SetupError, say
from .environment import Setup, accelerators, ensure_full

LINK_NAME = "expeditor"
BASE_FOLDERS = ("custom_nodes", "input", "models", "output", "user")
ANSWER_POLL_S = 0.5

# With one of these ComfyUI has been told where to compute.
DEVICE_ARGUMENTS = ("--cpu", "--directml", "--cuda-device", "--gpu-only", "--highvram")

NOT_LOADED = """
ComfyUI is up at {url}, but Expeditor did not load: look for "expeditor" in what stands above.
"""

NEXT = """
ComfyUI with Expeditor is up:  {url}
    its page            {url}/
    its jobs            {url}/expeditor/jobs
    health              {url}/expeditor/health
    submit a job        curl -s {url}/expeditor/submit -H 'Content-Type: application/json' -d '{{"priority": 8, "prompt": {{\
"1": {{"class_type": "EmptyImage", "inputs": {{"width": 256, "height": 256, "batch_size": 1, "color": 3368703}}}}, \
"2": {{"class_type": "SaveImage", "inputs": {{"images": ["1", 0], "filename_prefix": "hello"}}}}}}}}'
    its data            {data}
    stop                Ctrl-C
"""


@dataclass(frozen=True)
class ServeOptions:
    """The command line of `serve`."""

    port: int
    listen: str
    data: Path | None
    comfyui: str | None
    extra: Sequence[str] = ()
    instances: int = 1
    redis: str | None = None


def serve(options: ServeOptions, cache: Cache, checkout: Path) -> int:
    """Set up, start, wait; the exit code of ComfyUI (128 + n when signal n ended it)."""
    check_port(options.listen, options.port)
    setup = ensure_full(cache, checkout, options.comfyui)
    data = (options.data or cache.root / "data").expanduser().absolute()
    lay_out(data, checkout)
    check_port(options.listen, options.port)  # a first set-up takes minutes
    command = comfyui_command(setup, options, options.port, data)
    return _Child(url_of(options.listen, options.port), data).run([*command, *devices(setup, options)[0]])


def check_port(listen: str, port: int) -> None:
    """SetupError unless every address of `listen` (comma-separated, as ComfyUI takes it) can be bound."""
    for address in listen.split(","):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            if sys.platform != "win32":  # there it would allow a second server on one port
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as fault:
                raise SetupError(
                    f"port {port} of {address} cannot be used: {fault.strerror}. Stop what listens there, or take --port N."
                ) from fault


def url_of(listen: str, port: int) -> str:
    """The address to open from this machine."""
    first = listen.split(",", maxsplit=1)[0]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(first, f"[{first}]" if ":" in first else first)  # noqa: S104 - read, not bound
    return f"http://{host}:{port}"


def lay_out(data: Path, checkout: Path) -> None:
    """ComfyUI's folders, and this checkout among the custom nodes (unless it is there already)."""
    try:
        for name in BASE_FOLDERS:
            (data / name).mkdir(parents=True, exist_ok=True)
        packs = data / "custom_nodes"
        if not any(pack.resolve() == checkout.resolve() for pack in packs.iterdir()):
            _link(packs / LINK_NAME, checkout)
    except OSError as fault:
        raise SetupError(f"cannot prepare the data folder {data}: {fault}") from fault


def _link(link: Path, checkout: Path) -> None:
    if link.is_symlink():
        say(f"    {link} pointed to another checkout ({link.readlink()}); it now points to this one")
        link.unlink()
    elif link.exists():
        raise SetupError(f"{link} is there and is not this checkout: move it away, or take another --data folder.")
    link_folder(link, checkout)


def link_folder(link: Path, target: Path) -> None:
    """A folder under another name; nothing may be there yet."""
    if sys.platform == "win32":  # a junction needs no special right, a symlink does
        import _winapi  # noqa: PLC0415 - exists on Windows only

        _winapi.CreateJunction(str(target), str(link))
    else:
        link.symlink_to(target, target_is_directory=True)


def comfyui_command(setup: Setup, options: ServeOptions, port: int, base: Path) -> list[str]:
    """What starts ComfyUI on this base directory, but for the device."""
    command = [str(setup.python), str(setup.tree.path / "main.py"), "--listen", options.listen, "--port", str(port)]
    command += ["--base-directory", str(base)]
    if not any(word.split("=")[0] == "--database-url" for word in options.extra):
        # ComfyUI would put its own database beside its source.
        (base / "user").mkdir(parents=True, exist_ok=True)
        command += ["--database-url", f"sqlite:///{base / 'user' / 'comfyui.db'}"]
    return [*command, *options.extra]


def devices(setup: Setup, options: ServeOptions) -> list[list[str]]:
    """For each instance, the arguments that say where it computes: on a GPU of its own where there are several, else on the one there is,
    else on the CPU; nothing where the command line says so."""
    if setup.tree.from_wheel:
        say("    (this ComfyUI will say that torchaudio is missing: its audio nodes are left out, nothing else)")
    count = options.instances
    if any(word.split("=")[0] in DEVICE_ARGUMENTS for word in options.extra):
        return [[] for _ in range(count)]
    there = accelerators(setup.python)
    if not there.found:
        say("    torch sees no GPU: serving on the CPU (--cpu)")
        return [["--cpu"] for _ in range(count)]
    if count > there.found:
        say(f"    torch sees {there.found} GPU(s) for {count} instances: they share, memory included")
    own = count > 1 and there.numbered > 1
    return [["--cuda-device", str(number % there.numbered)] if own else [] for number in range(count)]


@dataclass
class _Child:
    """The server process: its signals, its first answer, its end."""

    url: str
    data: Path
    process: subprocess.Popen[bytes] | None = None
    waiting_signal: int | None = field(default=None)

    def run(self, command: list[str]) -> int:
        say(f"    {' '.join(command)}")
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
            if number := getattr(signal, name, None):
                signal.signal(number, self._pass_on)
        # In a session of its own, Ctrl-C reaches the server once: through us. Windows knows no such passing on.
        self.process = subprocess.Popen(command, cwd=self.data, start_new_session=os.name == "posix")
        if self.waiting_signal is not None:
            self.process.send_signal(self.waiting_signal)
        answered = False
        while True:
            try:
                code = self.process.wait(None if answered else ANSWER_POLL_S)
                break
            except subprocess.TimeoutExpired:
                if answered := answers(f"{self.url}/system_stats"):
                    loaded = answers(f"{self.url}/expeditor/health")
                    say((NEXT if loaded else NOT_LOADED).format(url=self.url, data=self.data))
        if not answered and self.waiting_signal is None:
            say(f"ComfyUI ended before it served (exit {code}); what it said stands above.")
        return 128 - code if code < 0 else code

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        self.waiting_signal = number
        if self.process is not None and os.name == "posix":
            self.process.send_signal(number)


def answers(url: str) -> bool:
    """Whether something there knows this path; a refusal other than "not found" counts (health may be 503)."""
    try:
        with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own http address
            return True
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return refusal.code not in {404, 405}
    except (OSError, ValueError):
        return False
