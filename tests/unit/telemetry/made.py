"""Jobs for the telemetry tests, moved only by the real transitions, and a registry's values by series name."""

from __future__ import annotations

import io
import logging

from prometheus_client import CollectorRegistry

from expeditor.jobs.model import Job
from tests.support.jobs import a_job

AT_S = 1_700_000_000.0


def queued_job(job_id: str = "6f1c7d6e-0000-4000-8000-000000000001", **fields: object) -> Job:
    """A job just committed at ``AT_S``."""
    usual = {
        "priority": 7,
        "created_at_s": AT_S,
        "queued_at_s": AT_S,
        "client_id": "tab-1",
        "node_count": 4,
        "prompt_length": 321,
    }
    return a_job(id=job_id, **(usual | fields))


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    """One series' value; None when there is no such series."""
    return registry.get_sample_value(f"expeditor_{name}", labels)


class Lines(io.StringIO):
    """What was written, read once all that was logged has arrived."""

    def getvalue(self) -> str:
        for handler in logging.getLogger("expeditor").handlers:
            handler.flush()
        return super().getvalue()
