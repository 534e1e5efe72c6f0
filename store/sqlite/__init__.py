"""The queue in one SQLite file: durable, for one process at a time. The only room that imports ``sqlite3``."""

from .adapter import SqliteStore

__all__ = ["SqliteStore"]
