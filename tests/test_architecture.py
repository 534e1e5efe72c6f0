"""The house stands as docs/architecture.md says: the rules of tests/support/house_rules.py hold for every file that git
carries, each rule is able to fail, and importing the pack does nothing.
"""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support import house_rules as rules
from tests.support.project_file import declared

ROOT = Path(__file__).resolve().parent.parent


@cache
def carried() -> rules.Files:
    """The Python files that are, or are about to be, in the repository; without git, all that are not hidden."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        found = (path.relative_to(ROOT) for path in ROOT.rglob("*.py"))
        listed = [path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts)]
    return {path: (ROOT / path).read_text(encoding="utf-8") for path in sorted(set(listed)) if (ROOT / path).is_file()}


@pytest.fixture(scope="module", autouse=True)
def _everything_is_in_memory() -> Iterator[None]:
    """A million syntax nodes: to look for garbage among them takes four times as long as to read them."""
    gc.disable()
    yield
    rules.forget()
    gc.enable()


RULES_AND_A_BREACH = [
    (rules.imports_go_down, "jobs/x.py", "from ..store.base import JobStore"),
    (rules.imports_go_down, "intake/x.py", "from ..store.sqlite import SqliteStore"),
    (rules.imports_go_down, "nodes/style/x.py", "from ...runtime import install"),
    (rules.libraries_stay_in_their_rooms, "store/x.py", "import execution"),
    (rules.libraries_stay_in_their_rooms, "intake/x.py", "from aiohttp import web"),
    (rules.libraries_stay_in_their_rooms, "dispatch/x.py", "def f():\n    import sqlite3"),
    (rules.vocabulary_and_tool_are_plain_python, "jobs/x.py", "import jsonschema"),
    (rules.vocabulary_and_tool_are_plain_python, "dev.py", "import requests"),
    (rules.own_imports_are_relative, "store/x.py", "from jobs.model import Job"),
    (rules.files_are_small, "tests/unit/x.py", "x = 1\n" * 401),
    (rules.files_are_small, "__init__.py", "x = 1\n" * 21),
    (rules.functions_are_small, "events/x.py", "def long():\n" + "    x = 1\n" * 60),
    (rules.route_handlers_are_thin, "routes/x.py", "async def get(self, request):\n" + "    x = 1\n" * 16),
    (rules.modules_say_what_they_own, "events/x.py", "x = 1"),
    (rules.no_module_state_print_or_bare_except, "events/x.py", "def f():\n    global state"),
    (rules.no_module_state_print_or_bare_except, "events/x.py", "try:\n    f()\nexcept:\n    pass"),
    (rules.no_module_state_print_or_bare_except, "events/x.py", "print(1)"),
    (rules.loggers_have_fixed_names, "events/x.py", "import logging\nlog = logging.getLogger(__name__)"),
    (rules.tests_neither_sleep_nor_patch, "tests/unit/test_x.py", "import time\ntime.sleep(1)"),
    (rules.tests_neither_sleep_nor_patch, "tests/unit/test_x.py", "from unittest.mock import Mock"),
    (
        rules.tests_neither_sleep_nor_patch,
        "tests/unit/test_x.py",
        "def test(monkeypatch):\n    monkeypatch.setattr(a, 'b', 1)",
    ),
]
Rule = Callable[[rules.Files], list[str]]


@pytest.mark.parametrize(
    "rule", dict.fromkeys(rule for rule, _, _ in RULES_AND_A_BREACH), ids=lambda rule: rule.__name__
)
def test_the_house_keeps_the_rule(rule: Rule) -> None:
    faults = rule(carried())
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(("rule", "path", "source"), RULES_AND_A_BREACH)
def test_the_rule_finds_a_breach(rule: Rule, path: str, source: str) -> None:
    assert rule({path: source})


def test_every_library_in_use_is_declared() -> None:
    assert not rules.outside_imports_are_declared(carried(), declared())
    assert rules.outside_imports_are_declared({"tests/x.py": "import skimage"}, declared() - {"scikit-image"})


# Imports all modules twice: first freely, as libraries may do what they like at their own import; then, with the pack's
# modules forgotten, under the eyes of an audit hook that ends the process at the first thing done to the outside.
BARE_IMPORT = """
import importlib, sys, threading, types

root, *names = sys.argv[1:]
sys.dont_write_bytecode = True
package = types.ModuleType("expeditor")
package.__path__ = [root]
sys.modules["expeditor"] = package
DEEDS = {"os.mkdir", "os.rename", "os.remove", "socket.bind", "socket.connect", "subprocess.Popen", "sqlite3.connect"}

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"{name} was imported")

def watch(event, arguments):
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        raise SystemExit(f"{arguments[0]} was opened for writing")
    if event in DEEDS:
        raise SystemExit(f"{event} {arguments}")

sys.meta_path.insert(0, Blocked())
for name in names:
    importlib.import_module(name)
for name in [each for each in sys.modules if each.startswith("expeditor.")]:
    del sys.modules[name]
sys.addaudithook(watch)
for name in names:
    importlib.import_module(name)
if threading.active_count() > 1:
    raise SystemExit(f"threads were started: {threading.enumerate()}")
sys.stdout.write(f"{len(names)} imported")
"""


def import_bare(root: Path, names: list[str]) -> subprocess.CompletedProcess[str]:
    """Import modules of the package at `root` in a process that has neither ComfyUI nor torch."""
    script = f"BLOCKED = {sorted(rules.COMFYUI | {'torch'})}\n{BARE_IMPORT}"
    command = [sys.executable, "-c", script, str(root), *names]
    return subprocess.run(command, cwd=root.parent, capture_output=True, text=True, check=False)


def test_modules_import_without_comfyui_and_do_nothing() -> None:
    names = [
        ".".join(["expeditor", *Path(path).with_suffix("").parts]).removesuffix(".__init__")
        for path in rules.pack_of(carried())
        if rules.room_of(path) not in {"", "host", "nodes"}
    ]
    done = import_bare(ROOT, names)
    assert (done.returncode, done.stdout) == (0, f"{len(names)} imported"), done.stderr


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("import torch", "torch was imported"),
        ("open('made', 'w').close()", "opened for writing"),
        (
            "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()",
            "threads were started",
        ),
    ],
)
def test_a_module_that_does_something_at_import_is_found(tmp_path: Path, source: str, complaint: str) -> None:
    (tmp_path / "guilty.py").write_text(source, encoding="utf-8")
    done = import_bare(tmp_path, ["expeditor.guilty"])
    assert done.returncode != 0
    assert complaint in done.stderr
