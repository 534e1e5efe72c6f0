"""A small disk in a folder's place: the kernel's own (tmpfs), over what is there, for as long as a test wants it. Needs root on Linux."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[None]:
    """``folder`` is empty and takes so much; afterwards it holds again what it held. Skips the test where nothing can be mounted."""
    if sys.platform != "linux":
        pytest.skip("a small disk is Linux' tmpfs")
    words = ("mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "expeditor-test", str(folder))
    done = subprocess.run(words, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        pytest.skip(f"a small disk takes the right to mount one (root, CAP_SYS_ADMIN): {said}")
    try:
        yield
    finally:
        # At once from here, and for good when the last file on it is closed.
        subprocess.run(("umount", "--lazy", str(folder)), capture_output=True, check=True)
