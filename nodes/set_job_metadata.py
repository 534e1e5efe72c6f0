"""A node that writes into the metadata of the job it runs in.

Owns its schema. What metadata may be is ``jobs.metadata``'s, how it is kept the store's.
"""

from __future__ import annotations

import logging
from typing import Any

from comfy_api.latest import io

from .schema import schema
from .whereabouts import own_job, where_we_run

_log = logging.getLogger("expeditor.nodes")


class SetJobMetadata(io.ComfyNode):
    """An output node, so that it also runs where nothing hangs on it."""

    @classmethod
    def define_schema(cls) -> Any:
        """A key and its value; anything passes through."""
        return schema(
            node_id="SetJobMetadata",
            display_name="Set job metadata",
            category="Expeditor/Queue",
            description="Puts a key and a value into the metadata of the job, where lists of jobs can be filtered by them.",
            inputs=[
                io.String.Input(
                    "key", default="stage", tooltip="1 to 256 characters. A key that is there gets the new value."
                ),
                io.String.Input("value", default="", tooltip="At most 256 characters. A job has at most 16 keys."),
                io.AnyType.Input(
                    "anything",
                    optional=True,
                    tooltip="Anything: the pair is set once this has been made; it passes through.",
                ),
            ],
            outputs=[
                io.AnyType.Output("passed", display_name="passed", tooltip="What came in as anything, unchanged.")
            ],
            is_output_node=True,
            search_aliases=["tag", "label", "annotate", "prompt id"],
        )

    @classmethod
    def fingerprint_inputs(cls, **_inputs: Any) -> str:
        """Every job sets its own; what was set stays when the job is tried again."""
        return where_we_run()[0]

    @classmethod
    def execute(cls, key: str, value: str, anything: Any = None) -> Any:
        """Set and pass on. ``ValueError`` for what metadata may not be."""
        job_id = where_we_run()[0]
        desk = own_job()
        if desk is None or not desk.set_metadata(job_id, key, value):
            _log.warning("Metadata '%s' was set in a job that is not in Expeditor's queue; it is not kept.", key)
        return io.NodeOutput(anything)
