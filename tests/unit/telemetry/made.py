"""Jobs for the telemetry tests, moved only by the real transitions, and a registry's values by series name."""

from __future__ import annotations

import io
import logging

from prometheus_client import CollectorRegistry

from expeditor.jobs.model import Job, JobStatus, Principal, Source

AT_S = 1_700_000_000.0


def queued_job(job_id: str = "6f1c7d6e-0000-4000-8000-000000000001", **fields: object) -> Job:
    """A job just committed at ``AT_S``."""
    given = {
        "id": job_id,
        "principal": Principal("ada"),
        "priority": 7,
        "source": Source.SUBMIT,
        "status": JobStatus.QUEUED,
        "created_at_s": AT_S,
        "queued_at_s": AT_S,
        "number": 1.0,
        "seq": 1,
        "start_tag": 0.0,
        "score": 0.0,
        "estimated_s": 5.0,
        "client_id": "tab-1",
        "node_count": 4,
        "prompt_length": 321,
    }
    return Job(**(given | fields))


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    """One series' value; None when there is no such series."""
    return registry.get_sample_value(f"expeditor_{name}", labels)


class Lines(io.StringIO):
    """What was written, read once all that was logged has arrived."""

    def getvalue(self) -> str:
        for handler in logging.getLogger("expeditor").handlers:
            handler.flush()
        return super().getvalue()
