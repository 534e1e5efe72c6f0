"""What an instance shares with others: made for a shared store alone, and without its libraries a sentence says so."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from expeditor.host.bucket import EXTRA as S3
from expeditor.runtime.cluster import EXTRA, LIBRARIES, missing_extra
from expeditor.runtime.services import build
from expeditor.runtime.settings_source import load
from tests.support.project_file import project

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[3]

# Builds all objects in a process where the libraries of a shared queue cannot be imported.
WITHOUT = """
import sys, types
from pathlib import Path
root, store, *blocked = sys.argv[1:]
for name in blocked:
    sys.modules[name] = None
package = types.ModuleType("expeditor")
package.__path__ = [root]
sys.modules["expeditor"] = package
from expeditor.runtime.services import build
from expeditor.runtime.settings_source import SettingsError, load
import os
os.environ["EXPEDITOR_STORE"] = store
try:
    build(load(Path("nowhere")), types.SimpleNamespace(sockets={}), Path("nowhere"))
except SettingsError as error:
    sys.stdout.write(str(error))
else:
    sys.stdout.write("built " + " ".join(sorted({"redis", "bullmq", "msgpack", "obstore"} & set(sys.modules))))
"""


def built_without(store: str, *blocked: str) -> str:
    """What comes of it."""
    command = [sys.executable, "-c", WITHOUT, str(ROOT), store, *blocked]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_process_that_stands_alone_imports_nothing_of_it() -> None:
    assert built_without("sqlite") == "built "


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_missing_library_is_one_sentence(name: str) -> None:
    said = built_without("redis://cache", name)
    assert said == missing_extra([name])
    assert "needs the extra cluster" in said
    assert "pip install 'bullmq==" in said


def test_the_library_for_a_bucket_is_needed_for_a_bucket_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "obstore" not in built_without("redis://cache")
    monkeypatch.setenv("EXPEDITOR_RESULTS", "s3://made-here")
    said = built_without("redis://cache", "obstore")
    assert said == f"Setting results: a bucket needs the extra s3, and obstore is not installed: pip install '{S3}'"


def test_the_sentence_names_what_the_extra_is() -> None:
    assert tuple(project()["project"]["optional-dependencies"]["cluster"]) == EXTRA
    root = Path(__file__).parents[3]
    told = [
        line for page in (root / "docs").glob("*.md") for line in page.read_text().splitlines() if "bullmq==" in line
    ]
    assert told
    assert all(f'"{one}"' in line for line in told for one in EXTRA), "as the pages say"


def test_building_for_a_shared_store_connects_nothing_and_starts_no_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPEDITOR_STORE", "redis://nobody.invalid")
    threads = set(threading.enumerate())
    services = build(load(tmp_path), SimpleNamespace(sockets={}), tmp_path)
    assert services.cluster is not None
    assert services.identity.shared
    assert services.store.state().kind == "bullmq"
    assert set(threading.enumerate()) == threads
    services.cluster.connections.close()


def test_a_store_of_ones_own_has_no_cluster(tmp_path: Path) -> None:
    assert build(load(tmp_path), SimpleNamespace(sockets={}), tmp_path).cluster is None
