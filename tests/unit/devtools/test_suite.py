"""The sums of dev.py test, and its command line."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from expeditor.devtools import commands
from expeditor.devtools.suite import PYTEST_LAYERS, Outcome, closing, junit_counts, tap_counts

ROOT = Path(__file__).resolve().parents[3]


def dev(*arguments: str, cache: Path) -> subprocess.CompletedProcess[str]:
    """Run dev.py as the README does, with a cache folder of its own."""
    command = [sys.executable, "dev.py", *arguments]
    environ = {"EXPEDITOR_CACHE_DIR": str(cache), "PATH": "", "SYSTEMROOT": ""}
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)


def test_the_closing_line_adds_up_and_any_failure_fails() -> None:
    fine = [Outcome("ruff", 1), Outcome("pytest fast", 40, 0, 2)]
    assert closing(fine) == ("41 passed, 0 failed, 2 skipped", 0)
    assert closing([*fine, Outcome("tsc", 0, 1)]) == ("41 passed, 1 failed, 2 skipped", 1)


def test_a_run_in_which_nothing_ran_is_no_success() -> None:
    assert closing([Outcome("pytest host", 0, 0, 3)])[1] == 1


def test_errors_count_as_failures(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    assert junit_counts(report) == (0, 0, 0)
    report.write_text(
        '<testsuites><testsuite tests="10" failures="1" errors="2" skipped="3"/></testsuites>', encoding="utf-8"
    )
    assert junit_counts(report) == (4, 3, 3)


def test_nodes_sums_are_read_from_its_last_lines() -> None:
    assert tap_counts("# pass 1\n# tests 9\n# pass 6\n# fail 1\n# cancelled 1\n# skipped 1\n# todo 0\n") == (6, 2, 1)


def test_what_stands_after_the_dashes_is_passed_on() -> None:
    assert commands.split_extra(["serve", "--port", "1", "--", "--cpu", "--", "x"]) == (
        ["serve", "--port", "1"],
        ["--cpu", "--", "x"],
    )
    assert commands.split_extra(["test"]) == (["test"], [])


def test_every_layer_and_their_sum_can_be_asked_for() -> None:
    for layer in (*PYTEST_LAYERS, "all"):
        assert commands.parser().parse_args(["test", layer, "--full"]).layer == layer
    assert commands.parser().parse_args(["test"]).layer == "all"


@pytest.mark.parametrize("arguments", [("serve", "--port", "0"), ("serve", "--instances", "0"), ("test", "slow"), ()])
def test_a_wrong_command_line_shows_how_it_is_called(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = dev(*arguments, cache=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: dev.py")


def test_dev_py_can_be_read_by_an_old_python() -> None:
    """It must parse there to say that it is too old: nothing newer than Python 3.6's grammar."""
    ast.parse((ROOT / "dev.py").read_text(encoding="utf-8"), feature_version=(3, 6))
