"""runtime/services.py: all that a server lives by is made without a ComfyUI, a file or a thread."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from expeditor.jobs.errors import StoreUnavailable
from expeditor.runtime.services import build
from expeditor.runtime.settings_source import load


@pytest.fixture
def server():
    """Stands for ``PromptServer``, of which building asks nothing."""
    return SimpleNamespace(sockets={})


@pytest.mark.parametrize("store", ["sqlite", "memory"])
def test_building_touches_no_file_and_starts_no_thread(server, store, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("EXPEDITOR_STORE", store)
    threads = set(threading.enumerate())

    services = build(load(tmp_path), server, tmp_path)

    assert services.store.state().kind == store
    assert set(threading.enumerate()) == threads
    assert list(tmp_path.iterdir()) == []


def test_a_draining_server_does_not_even_ask_its_store(server, tmp_path) -> None:
    services = build(load(tmp_path), server, tmp_path)
    with pytest.raises(StoreUnavailable):
        services.machine.dispatcher.claim()  # nothing has opened it

    services.flow.drain()

    assert services.machine.dispatcher.claim() is None
