"""The one log format: JSON lines (or plain ones) for the logger ``expeditor`` and everything below it.

Only the fields listed here reach a JSON line, so a record that carries more by mistake (a prompt, a token) does not
spill it. Not owned: ComfyUI's own logging; the root logger is never touched. Which job lines there are: ``listener``.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal, TextIO

from pythonjsonlogger.json import JsonFormatter

from ..jobs.times import rfc3339
from .background import BackgroundHandler

LOGGER = "expeditor"
ACCESS_LOGGER = "expeditor.access"
LOG_FILE_BYTES = 10 * 1024 * 1024
LOG_FILE_COUNT = 5
LONGEST_VALUE = 512

LogFormat = Literal["json", "plain"]

FACTS = (
    "job_id",
    "attempt",
    "prompt_id",
    "client_id",
    "principal",
    "priority",
    "nodes",
    "prompt_length",
    "node_id",
    "class_type",
    "method",
    "route",
    "path",
    "status",
    "duration_s",
    "wait_s",
    "delay_s",
    "code",
    "cause",
    "trace_id",
)
"""What a record may say besides its message: pass them as ``extra=``. ``traceback`` (text) becomes ``exc_info``."""

FIELDS = ("ts", "level", "logger", "event", "message", *FACTS, "exc_info")
"""Every field of a JSON line, in this order; those without a value are left out."""

_HANDLER_NAMES = frozenset({"expeditor.stream", "expeditor.file"})
_RENAMED = {"created": "ts", "levelname": "level", "name": "logger", "traceback": "exc_info"}


class JsonLines(JsonFormatter):
    """One JSON object a line, with ``FIELDS`` and nothing else."""

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Keep the known fields that have a value, in order, in their own units and lengths."""
        log_data["ts"] = rfc3339(float(log_data["ts"]))
        log_data["level"] = str(log_data["level"]).lower()
        return {
            name: _trimmed(log_data[name]) if name in FACTS else log_data[name]
            for name in FIELDS
            if _said(log_data, name)
        }


class PlainLines(logging.Formatter):
    """A line for people: time, level, logger, message, then the facts as ``name=value``; a traceback follows on its own lines."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; line breaks in values are escaped, so that a client cannot forge a line."""
        given = vars(record)
        facts = [f"{name}={_plain(given[name])}" for name in FACTS if name != "prompt_id" and _said(given, name)]
        at = datetime.fromtimestamp(record.created, timezone.utc).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        line = " ".join([at, record.levelname.lower(), record.name, _plain_message(record.getMessage()), *facts])
        trace = self.formatException(record.exc_info) if record.exc_info else given.get("traceback")
        return f"{line}\n{trace}" if trace else line


def configure(stream: TextIO | None, level: int | str, fmt: LogFormat, path: Path | None) -> None:
    """Send the logger ``expeditor`` to ``stream`` and to a rotating file at ``path`` (10 MB, 5 old ones), either may be None.

    May be called again: what an earlier call set is replaced, handlers of others stay. With a handler of its own the
    logger no longer passes records to the root; with none it does again. Raises ``OSError`` if the file's folder cannot
    be made or the file not opened (the stream is set by then), ``ValueError`` for an unknown level.
    A logger call never waits for the stream or the disk: see ``background``. ``flush`` of the logger's handlers waits.
    """
    logger = logging.getLogger(LOGGER)
    logger.setLevel(level.upper() if isinstance(level, str) else level)
    for old in [handler for handler in logger.handlers if handler.name in _HANDLER_NAMES]:
        logger.removeHandler(old)
        old.close()
    logger.propagate = stream is None and path is None
    if stream is not None:
        _add(logger, logging.StreamHandler(stream), "expeditor.stream", fmt)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        rotating = logging.handlers.RotatingFileHandler(
            path, maxBytes=LOG_FILE_BYTES, backupCount=LOG_FILE_COUNT, encoding="utf-8"
        )
        _add(logger, rotating, "expeditor.file", fmt)


def log_access(*, method: str, route: str, path: str, status: int, client_id: str | None, duration_s: float) -> None:
    """One line on ``expeditor.access`` for an answered request. The query (it may hold a token) is cut off ``path``."""
    logger = logging.getLogger(ACCESS_LOGGER)
    if not logger.isEnabledFor(logging.INFO):
        return
    path = path.partition("?")[0]
    facts = {"event": "request", "method": method, "route": route, "path": path, "status": status}
    facts |= {"client_id": client_id, "duration_s": round(duration_s, 6)}
    logger.info("%s %s %d", method, path[:LONGEST_VALUE], status, extra=facts)


def _add(logger: logging.Logger, target: logging.Handler, name: str, fmt: LogFormat) -> None:
    handler = BackgroundHandler(target)
    handler.name = name
    handler.setFormatter(_json_lines() if fmt == "json" else PlainLines())
    logger.addHandler(handler)


def _json_lines() -> JsonLines:
    return JsonLines("%(created)f %(levelname)s %(name)s %(message)s", rename_fields=_RENAMED)


def _said(fields: dict[str, Any], name: str) -> bool:
    return fields.get(name) is not None


def _trimmed(value: Any) -> Any:
    return value[:LONGEST_VALUE] if isinstance(value, str) else value


def _plain(value: Any) -> str:
    text = str(_trimmed(value))
    return text if text.isprintable() and " " not in text else json.dumps(text)


def _plain_message(message: str) -> str:
    return message if message.isprintable() else json.dumps(message)
