"""A node that tells the workflow about the job it runs in.

Owns its schema and what it says where there is no job of ours. What a job is known by is ``dispatch.own_job``'s.
"""

from __future__ import annotations

import json
from typing import Any

from comfy_api.latest import io

from ..jobs.model import PRIORITY_DEFAULT
from ..jobs.principals import ANONYMOUS
from .schema import schema
from .whereabouts import own_job, where_we_run


class JobInfo(io.ComfyNode):
    """Reads what is stored of the job at the moment when the node runs."""

    @classmethod
    def define_schema(cls) -> Any:
        """Nothing needs to go in; five facts come out."""
        return schema(
            node_id="JobInfo",
            display_name="Job info",
            category="Expeditor/Queue",
            description="The id, priority, attempt, principal and metadata of the job that this workflow runs in.",
            inputs=[
                io.AnyType.Input(
                    "after", optional=True, tooltip="Anything: the job is looked at once this has been made."
                )
            ],
            outputs=[
                io.String.Output("id", display_name="id", tooltip="The job's id, which is ComfyUI's prompt id."),
                io.Int.Output("priority", display_name="priority", tooltip="1 to 10; 10 is most urgent."),
                io.Int.Output(
                    "attempt", display_name="attempt", tooltip="1 for the first run, 2 for the first retry …"
                ),
                io.String.Output("principal", display_name="principal", tooltip="Whom the job belongs to."),
                io.String.Output("metadata", display_name="metadata", tooltip="The job's metadata as a JSON object."),
            ],
            search_aliases=["prompt id", "job id", "priority", "retry", "user"],
        )

    @classmethod
    def fingerprint_inputs(cls, after: Any = None) -> str:  # noqa: ARG003 - its value is not looked at
        """Another job, or another attempt, never takes this one's answer from the cache."""
        job_id = where_we_run()[0]
        desk = own_job()
        return f"{job_id}:{desk.attempt(job_id) if desk else None}"

    @classmethod
    def execute(cls, after: Any = None) -> Any:  # noqa: ARG003 - a link for the sake of order; its value is not looked at
        """What is known; a job that Expeditor's queue does not run is its first attempt, of nobody, with the usual priority."""
        job_id = where_we_run()[0]
        desk = own_job()
        job = desk.job(job_id) if desk else None
        if job is None:
            return io.NodeOutput(job_id, PRIORITY_DEFAULT, 1, ANONYMOUS.name, "{}")
        metadata = json.dumps(job.metadata, ensure_ascii=False)
        return io.NodeOutput(job_id, job.priority, job.attempt, job.principal.name, metadata)
