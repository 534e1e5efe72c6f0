"""Makes the checkout importable as `expeditor` and the test support as `tests.support`, whatever the folder is called.

The package's doorway (`__init__.py` of the checkout) is not run: it belongs to ComfyUI's loader. Environment settings of
the developer's shell are removed, so that a test sees only what it sets.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.redis_server import RedisServer

ROOT = Path(__file__).resolve().parent.parent

# Read by tests/support to find the development set-up; everything else named EXPEDITOR_* would change the code under test.
_KEPT = {"EXPEDITOR_PYTHON", "EXPEDITOR_CACHE_DIR", "EXPEDITOR_CHROMIUM", "EXPEDITOR_REDIS"}


def _register(name: str, folder: Path) -> None:
    module = ModuleType(name)
    module.__path__ = [str(folder)]
    sys.modules[name] = module


_register("expeditor", ROOT)
_register("tests", ROOT / "tests")
for _name in [name for name in os.environ if name.startswith("EXPEDITOR_") and name not in _KEPT]:
    del os.environ[_name]
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # What a shell starts in the background ignores Ctrl-C, and so would every program that a test interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What this makes stays until the end: to look for garbage in it again and again was a third of the time of the fast tests."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--full`, as `python dev.py test --full` passes it on."""
    parser.addoption("--full", action="store_true", help="also run the tests marked full, which take minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What needs a Redis is `long`. Without `--full`, skip what is marked so."""
    for test in items:
        if _needs_redis(test):
            test.add_marker(pytest.mark.long)
    if not config.getoption("--full"):
        for test in items:
            if test.get_closest_marker("full"):
                test.add_marker(pytest.mark.skip(reason="takes minutes: --full"))


def _needs_redis(test: pytest.Item) -> bool:
    named = {"redis_server", "own_redis", "redis_url"}.intersection(getattr(test, "fixturenames", ()))
    called = getattr(test, "callspec", None)
    on_redis = called is not None and called.params.get("storage") == "bullmq"
    return bool(named) or on_redis or hasattr(getattr(test, "module", None), "RedisServer")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One Redis for all tests that keep to a ``namespace`` of their own; skips them where there is none.

    A test that stops or fills it takes ``own_redis``; one that configures its server makes its own ``RedisServer``.
    """
    from tests.support.redis_server import RedisServer  # noqa: PLC0415 - `tests` is a package only once this file has run

    with RedisServer() as server:
        yield server


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis for this test alone."""
    from tests.support.redis_server import RedisServer  # noqa: PLC0415 - as above

    with RedisServer() as server:
        yield server


@pytest.fixture
def namespace() -> str:
    """How this test's keys on the shared Redis begin."""
    return f"test-{uuid.uuid4().hex[:12]}"
