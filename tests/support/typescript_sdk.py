"""The official TypeScript SDK, unmodified, in the version that package.json pins: found in the cache folder, or fetched there by npm.

Owns where it is and how a script of the tests is run with it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from expeditor.devtools.cache import Cache

ROOT = Path(__file__).resolve().parents[2]
NAME = "@comfyorg/sdk"
INSTALL_S = 300.0
RUN_S = 150.0


@cache
def entry() -> Path:
    """The SDK's entry file."""
    pin = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["devDependencies"][NAME]
    cached = Cache.of_user()
    for folder in ("node", "node-sdk"):  # what dev.py installs, and what we install beside it
        package = cached.root / folder / "node_modules" / NAME
        if _version(package) == pin:
            return package / "dist" / "index.js"
    home = cached.folder("node-sdk")
    npm = "npm.cmd" if os.name == "nt" else "npm"
    options = ["--prefix", str(home), "--no-save", "--no-package-lock", "--no-audit", "--no-fund"]
    command = [npm, "install", *options, f"{NAME}@{pin}"]
    with cached.lock():
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_S)
    return home / "node_modules" / NAME / "dist" / "index.js"


def walk(script: Path, phase: str, *arguments: str, env: Mapping[str, str]) -> dict[str, Any]:
    """What one phase of a script saw; AssertionError with what it wrote when it fails."""
    node = shutil.which("node")
    assert node, "node is not installed: `python dev.py test fast` installs it"
    command = [node, str(script), entry().as_uri(), phase, *arguments]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COMFY_")}
    done = subprocess.run(
        command, env={**inherited, **env}, capture_output=True, text=True, encoding="utf-8", timeout=RUN_S, check=False
    )
    assert done.returncode == 0, f"{phase}: {done.stdout}\n{done.stderr}"
    return json.loads(done.stdout)


def _version(package: Path) -> str | None:
    try:
        return json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]
    except (OSError, ValueError, KeyError):
        return None
