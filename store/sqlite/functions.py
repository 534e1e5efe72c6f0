"""Functions that our SQL calls. Pure."""

from __future__ import annotations

import json
import sqlite3

from ...jobs.asset_ids import output_asset_id
from ...jobs.model import Output


def add_functions(connection: sqlite3.Connection) -> None:
    """Make them known to a connection: its migrations and its triggers use them; what is stored in the file does not."""
    connection.create_function("output_asset_ids", 2, _output_asset_ids, deterministic=True)


def _output_asset_ids(job_id: str, outputs_json: str) -> str:
    """The ids of a job's outputs as assets, as a JSON list. ``outputs_json``: the column ``jobs.outputs``."""
    return json.dumps([output_asset_id(job_id, Output(**each)) for each in json.loads(outputs_json)])
