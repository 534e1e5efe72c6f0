"""The versions of the database, each a script that makes it of the one before.

Owns their order. A script is one transaction that sets ``user_version``: a process that dies in the middle leaves the
version before whole. Scripts that were released never change.
"""

from __future__ import annotations

import sqlite3

from ..functions import add_functions
from ..statements import load_script

SCRIPTS = ("0001_queue", "0002_scheduler", "0003_contract", "0004_cluster", "0005_parked")

SCHEMA_VERSION = len(SCRIPTS)
"""What this version of Expeditor writes."""


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring a database of ``version`` (0: a new file) to ``SCHEMA_VERSION``. The connection has the functions of our SQL then."""
    add_functions(connection)
    for script in SCRIPTS[version:]:
        connection.executescript(load_script(f"migrations/{script}"))
