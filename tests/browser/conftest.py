"""A real ComfyUI with Expeditor, a real Chromium, and one fresh editor page for each test.

Package scope on purpose: Playwright's own event loop must not outlive this folder's tests.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import BrowserContext, sync_playwright

from tests.browser.editor import Editor
from tests.support.cluster import RealCluster
from tests.support.comfy_server import ROOT, RealComfyUI
from tests.support.waiting import wait_until

TEST_NODES = ROOT / "tests/support/packs/expeditor_test_nodes"
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


@pytest.fixture(scope="package")
def expeditor_server() -> Iterator[RealComfyUI]:
    """A running ComfyUI with Expeditor installed, default settings."""
    with RealComfyUI() as server:
        yield server


@pytest.fixture(scope="package")
def chromium() -> Iterator[BrowserContext]:
    """One profile of the machine's own Chromium, headless; shared, as its cache of the editor's files saves most of the time."""
    path = os.environ.get("EXPEDITOR_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.fail("no Chromium: install it, or name it in EXPEDITOR_CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=list(CHROMIUM_FLAGS))
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        context.set_default_timeout(20_000)
        context.add_init_script("localStorage.setItem('vueNodesBannerDismissed', 'true')")
        yield context
        browser.close()


@pytest.fixture
def editor(chromium: BrowserContext, expeditor_server: RealComfyUI) -> Iterator[Editor]:
    """ComfyUI's editor in a new page without drafts; at the end nothing runs and the page has not complained about us."""
    with _open_editor(chromium, expeditor_server) as made:
        yield made


@pytest.fixture
def editor_with_test_nodes(chromium: BrowserContext) -> Iterator[Editor]:
    """An editor on a server that also has the nodes that wait, fail and misbehave on purpose."""
    with RealComfyUI(packs=[TEST_NODES]) as server, _open_editor(chromium, server) as made:
        yield made


@pytest.fixture
def editor_of_its_own(chromium: BrowserContext) -> Iterator[Editor]:
    """An editor whose server the test may kill and restart."""
    with RealComfyUI() as server, _open_editor(chromium, server) as made:
        yield made


@pytest.fixture
def editor_whose_jobs_run_elsewhere(chromium: BrowserContext) -> Iterator[Editor]:
    """An editor on an instance that runs nothing; another instance, with the test nodes, runs what is submitted here."""
    with RealCluster(roles=(["api"], ["worker"])) as cluster, _open_editor(chromium, cluster.a) as made:
        yield made


@contextmanager
def _open_editor(context: BrowserContext, server: RealComfyUI) -> Iterator[Editor]:
    page = context.new_page()
    made = Editor(page, server)
    made.open()
    yield made
    page.evaluate("localStorage.clear()")
    page.close()
    _make_idle(server)
    assert made.complaints == []


def _make_idle(server: RealComfyUI) -> None:
    server.post("/queue", json={"clear": True})

    def idle() -> bool:
        state = server.get("/queue").json()
        if state["queue_running"]:
            server.post("/interrupt")
        return not state["queue_running"] and not state["queue_pending"]

    wait_until(idle, what="an idle server")
