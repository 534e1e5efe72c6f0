"""Programs that pip cannot install: Node.js, Chromium, Redis, nginx, Python's venv module.

Owns the decision whether this process may install a Debian package, and the sentence for when it may not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from .cache import Cache
from .console import SetupError, say
from .process import run_step

OLDEST_NODE = 18  # the first with the test runner

_CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
_CHROMIUM_PLACES = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Microsoft/Edge/Application/msedge.exe",
)


def may_install() -> bool:
    """Whether this is Debian or a relative of it, and we are root."""
    return sys.platform == "linux" and shutil.which("apt-get") is not None and os.geteuid() == 0


def install(packages: list[str], missing: str, cache: Cache) -> None:
    """Install Debian packages, or raise SetupError that says which to install by hand."""
    names = " ".join(packages)
    if not may_install():
        raise SetupError(f"{missing} On Debian or Ubuntu: sudo apt-get install {names}")
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        run_step(f"apt-get install {names}", command, cache.root / "logs" / "apt-install.log", quiet)
    except SetupError:  # a fresh machine has no package lists yet
        run_step("apt-get update", ["apt-get", "update"], cache.root / "logs" / "apt-update.log", quiet)
        run_step(f"apt-get install {names}", command, cache.root / "logs" / "apt-install.log", quiet)


def ensure_node(cache: Cache) -> None:
    """Node.js and npm on PATH, recent enough."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        missing = (
            f"Node.js {OLDEST_NODE} or newer with npm is needed for the checks of the page's files and was not found."
        )
        install(["nodejs", "npm"], missing, cache)
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    if not version.startswith("v") or int(version[1:].split(".")[0]) < OLDEST_NODE:
        raise SetupError(f"Node.js {OLDEST_NODE} or newer is needed; `node --version` says {version or 'nothing'}.")


def find_chromium() -> str | None:
    """A Chromium-like browser: EXPEDITOR_CHROMIUM, else on PATH, else where its installer puts it."""
    named = os.environ.get("EXPEDITOR_CHROMIUM")
    if named and not Path(named).is_file():
        raise SetupError(f"EXPEDITOR_CHROMIUM names {named}, and there is no such file.")
    on_path = (shutil.which(name) for name in _CHROMIUM_NAMES)
    return named or next((path for path in (*on_path, *_CHROMIUM_PLACES) if path and Path(path).is_file()), None)


def ensure_chromium(cache: Cache) -> str:
    """The path of a Chromium, installed if this process may."""
    if found := find_chromium():
        return found
    missing = "The browser tests need Chromium (or Chrome; EXPEDITOR_CHROMIUM may name it), and none was found."
    install(["chromium"], missing, cache)
    if found := find_chromium():
        return found
    raise SetupError("chromium was installed but cannot be found on PATH; let EXPEDITOR_CHROMIUM name it.")


def find_redis() -> str | None:
    """A Redis-like server: EXPEDITOR_REDIS, else redis-server or valkey-server on PATH."""
    named = os.environ.get("EXPEDITOR_REDIS")
    if named and shutil.which(named) is None:
        raise SetupError(f"EXPEDITOR_REDIS names {named}, and there is no such program.")
    return named or shutil.which("redis-server") or shutil.which("valkey-server")


def ensure_redis(cache: Cache) -> str:
    """The path of a Redis server, installed if this process may."""
    if found := find_redis():
        return found
    install(["redis-server"], "Redis (or Valkey; EXPEDITOR_REDIS may name it) is needed and was not found.", cache)
    if found := find_redis():
        return found
    raise SetupError("redis-server was installed but cannot be found on PATH; let EXPEDITOR_REDIS name it.")


def ensure_nginx(cache: Cache) -> str:
    """The path of nginx, installed if this process may."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")  # not on everybody's PATH
    if found:
        return found
    install(["nginx"], "One address for several instances needs nginx, and none was found.", cache)
    return shutil.which("nginx", path="/usr/sbin") or "nginx"


def programs_for_tests(cache: Cache) -> dict[str, str]:
    """Redis and nginx, without which the tests of several instances are skipped: where they cannot be had, one line says so.
    Gives back the variables that name them."""
    named: dict[str, str] = {}
    for variable, ensure in (("EXPEDITOR_REDIS", ensure_redis), ("", ensure_nginx)):
        try:
            named[variable] = ensure(cache)
        except SetupError as fault:
            if may_install():
                raise
            say(f"    tests will be skipped: {fault}")
    named.pop("", None)
    return named
