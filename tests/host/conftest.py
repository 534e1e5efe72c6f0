"""One ComfyUI with Expeditor and one without, shared by the tests of this folder.

A test that kills, restarts or configures its server makes its own `RealComfyUI`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.comfy_server import RealComfyUI


@pytest.fixture(scope="session")
def expeditor_server() -> Iterator[RealComfyUI]:
    """A running ComfyUI with Expeditor installed, default settings."""
    with RealComfyUI() as server:
        yield server


@pytest.fixture(scope="session")
def stock_server() -> Iterator[RealComfyUI]:
    """A running ComfyUI without any custom node: what Expeditor must not change."""
    with RealComfyUI(with_expeditor=False) as server:
        yield server
