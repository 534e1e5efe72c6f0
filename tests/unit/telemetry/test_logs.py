"""The log's format: known fields only, one object a line, nothing of others touched."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from expeditor.telemetry.logs import FIELDS, configure, log_access
from tests.unit.telemetry.made import Lines

LOG = logging.getLogger("expeditor.test")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    configure(None, logging.NOTSET, "json", None)


def written(stream: Lines) -> dict[str, object]:
    (line,) = stream.getvalue().splitlines()
    return json.loads(line)


def test_a_line_is_one_object_with_the_known_fields_in_order():
    stream = Lines()
    configure(stream, "info", "json", None)
    LOG.info("Hello %s", "there", extra={"event": "x.said", "attempt": 2, "job_id": "j", "wait_s": None})
    line = written(stream)
    assert list(line) == ["ts", "level", "logger", "event", "message", "job_id", "attempt"]
    assert (line["level"], line["logger"], line["message"]) == ("info", "expeditor.test", "Hello there")
    assert str(line["ts"]).endswith("Z")


def test_what_is_not_a_known_field_is_not_written():
    stream = Lines()
    configure(stream, "info", "json", None)
    LOG.info("Hello", extra={"prompt": {"3": {"inputs": {"text": "private"}}}, "token": "s3cret"})
    assert set(written(stream)) <= set(FIELDS)
    assert "private" not in stream.getvalue()
    assert "s3cret" not in stream.getvalue()


@pytest.mark.parametrize("fmt", ["json", "plain"])
def test_an_exception_is_written_with_its_traceback(fmt: str):
    stream = Lines()
    configure(stream, "info", fmt, None)
    try:
        raise ValueError("broken on purpose")
    except ValueError:
        LOG.exception("It broke")
    text = str(written(stream)["exc_info"]) if fmt == "json" else stream.getvalue()
    assert "Traceback" in text
    assert "ValueError: broken on purpose" in text


def test_a_plain_line_cannot_be_forged_by_a_value_or_a_message():
    stream = Lines()
    configure(stream, "info", "plain", None)
    LOG.info("Hello\nforged", extra={"client_id": "a\n2026-01-01 info forged"})
    assert len(stream.getvalue().splitlines()) == 1


@pytest.mark.parametrize("client_id", ["\ud800", "\u2028", 'a"}\n{"x":1', "x" * 100_000])
def test_any_client_id_gives_one_short_line_of_json(client_id: str):
    stream = Lines()
    configure(stream, "info", "json", None)
    log_access(method="GET", route="/a", path="/a", status=200, client_id=client_id, duration_s=0.1)
    assert str(written(stream)["client_id"]) == client_id[:512]


def test_the_access_line_has_no_query():
    stream = Lines()
    configure(stream, "info", "json", None)
    log_access(method="GET", route="/ws", path="/ws?token=s3cret", status=101, client_id="tab", duration_s=1.5)
    line = written(stream)
    assert {name: line[name] for name in ("logger", "event", "method", "route", "path", "status", "client_id")} == {
        "logger": "expeditor.access",
        "event": "request",
        "method": "GET",
        "route": "/ws",
        "path": "/ws",
        "status": 101,
        "client_id": "tab",
    }
    assert line["duration_s"] == 1.5
    assert "s3cret" not in stream.getvalue()


def test_repeated_set_up_replaces_its_own_handlers_and_keeps_others():
    logger, foreign = logging.getLogger("expeditor"), logging.NullHandler()
    logger.addHandler(foreign)
    root_before = list(logging.getLogger().handlers)
    first, second = Lines(), Lines()
    configure(first, "info", "json", None)
    configure(second, "info", "plain", None)
    LOG.info("Hello")
    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 1
    assert logger.propagate is False
    configure(None, "info", "json", None)
    assert logger.handlers == [foreign]
    assert logger.propagate is True
    assert logging.getLogger().handlers == root_before
    logger.removeHandler(foreign)


def test_a_level_keeps_lower_lines_out():
    stream = Lines()
    configure(stream, "warning", "json", None)
    LOG.info("Hello")
    log_access(method="GET", route="/a", path="/a", status=200, client_id=None, duration_s=0.1)
    assert stream.getvalue() == ""


def test_an_unknown_level_is_refused():
    with pytest.raises(ValueError, match="LOUD"):
        configure(Lines(), "loud", "json", None)


def test_the_file_gets_the_same_lines_and_its_folder_is_made(tmp_path: Path):
    stream, path = Lines(), tmp_path / "logs" / "expeditor.log"
    configure(stream, "info", "json", path)
    LOG.info("Hello")
    assert stream.getvalue() == path.read_text(encoding="utf-8")
    (rotating,) = [handler for handler in logging.getLogger("expeditor").handlers if handler.name == "expeditor.file"]
    assert (rotating.target.maxBytes, rotating.target.backupCount) == (10 * 1024 * 1024, 5)


def test_the_file_rotates(tmp_path: Path):
    path = tmp_path / "expeditor.log"
    configure(None, "info", "json", path)
    (rotating,) = [handler for handler in logging.getLogger("expeditor").handlers if handler.name == "expeditor.file"]
    rotating.target.maxBytes = 2_000
    for number in range(200):
        LOG.info("Line %d", number)
    rotating.flush()
    assert sorted(found.name for found in tmp_path.iterdir()) == [
        "expeditor.log",
        *(f"expeditor.log.{n}" for n in range(1, 6)),
    ]
