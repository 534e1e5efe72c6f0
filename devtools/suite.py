"""`dev.py test`: the layers of the test suite, each in a process of its own, and one closing line for all.

Owns which checks belong to which layer and how their counts are added up. The set-up is `environment`'s and `debian`'s.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from . import debian, environment, valkey
from .cache import Cache, Stamp, digest
from .console import SetupError, say
from .process import run_step

_BARE = ("tests/test_architecture.py", "tests/unit", "tests/conformance", "tests/http")
PYTEST_LAYERS = {
    "fast": _BARE,
    "long": _BARE,
    "host": ("tests/host",),
    "browser": ("tests/browser",),
    "chaos": ("tests/chaos",),
}
LAYERS = (*PYTEST_LAYERS, "all")

MARKED = {"fast": ("-m", "not long"), "long": ("-m", "long")}
"""Which of the tests that need neither torch nor ComfyUI: `fast` leaves out what needs a Redis or takes seconds."""

ON_VALKEY = tuple(
    f"tests/conformance/test_{name}.py" for name in ("promises", "order", "members", "recovery", "giving_back")
)
"""What runs once more on a Valkey in Redis' place, of what runs on one at all: a few seconds."""

SIDE_BY_SIDE = frozenset({"fast", "long", "host", "chaos"})
"""Layers whose files run in several processes: most of the time of the slow ones is ComfyUI's start, which is one core's."""
PROCESSES_MAX = 2
"""Each starts ComfyUIs of its own: more would take memory, and tests that wait for a server would wait too long."""

PYTEST_NOTHING_COLLECTED = 5


@dataclass(frozen=True)
class Outcome:
    """What one check or one pytest run came to."""

    name: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    elapsed_s: float = 0.0


@dataclass
class Suite:
    """One call of `dev.py test`."""

    cache: Cache
    checkout: Path
    comfyui: str | None = None
    full: bool = False
    pytest_extra: Sequence[str] = ()
    outcomes: list[Outcome] = field(default_factory=list[Outcome])

    def run(self, layer: str) -> int:
        """0 when something ran and nothing failed."""
        wanted = tuple(PYTEST_LAYERS) if layer == "all" else (layer,)
        # The full environment first: the fast layer then uses it, instead of a second, small one.
        setup = None
        if not set(wanted) <= set(MARKED):
            setup = environment.ensure_full(self.cache, self.checkout, self.comfyui, testing=True)
        python = setup.python if setup else environment.ensure_fast(self.cache, self.checkout)
        variables = {
            "EXPEDITOR_PYTHON": str(python),
            "EXPEDITOR_CACHE_DIR": str(self.cache.root),
            "HYPOTHESIS_STORAGE_DIRECTORY": str(self.cache.root / "hypothesis"),
            # pytest compiles a test file far more slowly than Python does: once, whatever the caller's environment says.
            "PYTHONDONTWRITEBYTECODE": "",
            **debian.programs_for_tests(self.cache),
        }
        if setup:
            variables["COMFYUI_DIR"] = str(setup.tree.path)
        if "host" in wanted:
            self._ensure_node_modules()  # the official TypeScript SDK
        if "browser" in wanted:
            variables["EXPEDITOR_CHROMIUM"] = debian.ensure_chromium(self.cache)
        for name in wanted:
            if name == "fast":
                self._fast(python, variables)
            else:
                self._pytest(name, python, variables, PYTEST_LAYERS[name])
            if name == "long":
                self._on_valkey(python, variables)
        return self._close()

    def _fast(self, python: Path, variables: dict[str, str]) -> None:
        """The checks beside pytest, as most of their time is one core's; told one after the other."""
        modules = self._ensure_node_modules()
        say("... ruff, pyright, tsc and node --test, beside pytest")
        with ThreadPoolExecutor(max_workers=1) as beside:
            checks = beside.submit(self._checks, python, modules)
            self._pytest("fast", python, variables, PYTEST_LAYERS["fast"])
            for outcome, said in checks.result():
                say(said + f"{'FAILED' if outcome.failed else 'passed'}  {outcome.name}  {outcome.elapsed_s:.1f} s")
                self.outcomes.append(outcome)

    def _checks(self, python: Path, modules: Path) -> list[tuple[Outcome, str]]:
        ruff = [str(python), "-m", "ruff"]
        cached = {"RUFF_CACHE_DIR": str(self.cache.root / "ruff")}
        pyright = ["node", str(modules / "pyright" / "index.js"), "--pythonpath", str(python)]
        done = [
            self._check("pyright", pyright),
            self._check("ruff check", [*ruff, "check", "."], cached),
            self._check("ruff format", [*ruff, "format", "--check", "--output-format=concise", "."], cached),
            self._check("tsc", ["node", str(modules / "typescript" / "bin" / "tsc"), "--project", "."]),
        ]
        if scripts := sorted(
            str(path.relative_to(self.checkout)) for path in self.checkout.glob("tests/js/*.test.mjs")
        ):
            done.append(
                self._check("node --test", ["node", "--test", "--test-reporter=tap", *scripts], count=tap_counts)
            )
        return done

    def _ensure_node_modules(self) -> Path:
        """The type checkers of package.json, in the cache folder and never in the checkout."""
        debian.ensure_node(self.cache)
        with self.cache.lock():
            folder = self.cache.folder("node")
            wanted = (self.checkout / "package.json").read_text(encoding="utf-8")
            stamp = Stamp(folder, digest(wanted))
            if not stamp.valid():
                stamp.remove()
                (folder / "package.json").write_text(wanted, encoding="utf-8")
                command = ["npm", "install", "--prefix", str(folder), "--no-package-lock", "--no-audit", "--no-fund"]
                if os.name == "nt":  # npm is a script there
                    command[0] = "npm.cmd"
                run_step("installing the type checkers (npm)", command, self.cache.root / "logs" / "npm.log")
                stamp.write()
            return folder / "node_modules"

    def _check(
        self,
        name: str,
        command: list[str],
        variables: dict[str, str] | None = None,
        count: Callable[[str], tuple[int, int, int]] | None = None,
    ) -> tuple[Outcome, str]:
        """What it came to, and what it said where that matters."""
        started_s = time.monotonic()
        done = subprocess.run(
            command,
            cwd=self.checkout,
            env={**os.environ, **(variables or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        elapsed_s = time.monotonic() - started_s
        passed, failed, skipped = count(done.stdout) if count else (int(done.returncode == 0), 0, 0)
        if done.returncode:
            failed = max(failed, 1)
        said = done.stdout.rstrip() + "\n" if failed else ""
        return Outcome(name, passed, failed, skipped, elapsed_s), said

    def _on_valkey(self, python: Path, variables: dict[str, str]) -> None:
        try:
            program = valkey.ensure_valkey(self.cache, python)
        except SetupError as fault:
            say(f"    skipped: the shared store on a Valkey, for there is none: {fault}")
            self.outcomes.append(Outcome("pytest valkey", skipped=1))
            return
        named = variables | {"EXPEDITOR_REDIS": program}
        self._pytest("valkey", python, named, ON_VALKEY, ("-k", "bullmq or members"))

    def _pytest(
        self, layer: str, python: Path, variables: dict[str, str], wanted: Sequence[str], more: Sequence[str] = ()
    ) -> None:
        places = [place for place in wanted if (self.checkout / place).exists()]
        if not places:
            say(f"no tests in layer {layer} yet")
            return
        started_s = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.xml"
            command = [str(python), "-m", "pytest", *places, "-q", "--durations=5", f"--junitxml={report}"]
            command += [
                "-o",
                f"cache_dir={self.cache.root / 'pytest'}",
                *(["--full"] if self.full else []),
                *self._side_by_side(layer),
                *MARKED.get(layer, ()),
                *("-p", "no:schemathesis"),  # half a second in each process; tests use the library, not its plugin
                *more,
                *self.pytest_extra,
            ]
            say(f"\n=== pytest: {layer} ===")
            code = subprocess.run(command, cwd=self.checkout, env={**os.environ, **variables}, check=False).returncode
            passed, failed, skipped = junit_counts(report)
        if code not in {0, PYTEST_NOTHING_COLLECTED}:
            failed = max(failed, 1)
        self.outcomes.append(Outcome(f"pytest {layer}", passed, failed, skipped, time.monotonic() - started_s))

    def _side_by_side(self, layer: str) -> list[str]:
        processes = min(PROCESSES_MAX, os.cpu_count() or 1)
        # Else the files with few tests come last, and these are the slow ones.
        wanted = ["-n", str(processes), "--dist", "loadfile", "--no-loadscope-reorder"]
        return wanted if layer in SIDE_BY_SIDE and processes > 1 else []

    def _close(self) -> int:
        say()
        for outcome in self.outcomes:
            counts = f"{outcome.passed} passed, {outcome.failed} failed, {outcome.skipped} skipped"
            say(f"{outcome.name:<16}{counts:<40}{outcome.elapsed_s:6.1f} s")
        line, code = closing(self.outcomes)
        say(line)
        return code


def closing(outcomes: Sequence[Outcome]) -> tuple[str, int]:
    """The last line, and the exit code: 1 too when nothing ran at all."""
    passed, failed, skipped = (
        sum(getattr(each, kind) for each in outcomes) for kind in ("passed", "failed", "skipped")
    )
    line = f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else "")
    return line, int(failed > 0 or passed == 0)


def junit_counts(report: Path) -> tuple[int, int, int]:
    """Passed, failed and skipped of a pytest run; nothing when it did not get as far as writing its report."""
    if not report.is_file():
        return 0, 0, 0
    suite = ET.parse(report).getroot().find("testsuite")  # noqa: S314 - written by the pytest we have just run
    if suite is None:
        return 0, 0, 0
    total, failures, errors, skipped = (
        int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")
    )
    return max(total - failures - errors - skipped, 0), failures + errors, skipped


def tap_counts(output: str) -> tuple[int, int, int]:
    """Passed, failed and skipped as node's test runner sums them up at the end."""

    def total(word: str) -> int:
        found = re.findall(rf"^# {word} (\d+)$", output, re.MULTILINE)
        return int(found[-1]) if found else 0

    return total("pass"), total("fail") + total("cancelled"), total("skipped") + total("todo")
