"""A stored job for tests that need one and no store: a sound record, of which a test names only what it is about."""

from __future__ import annotations

from typing import Any

from expeditor.jobs.model import Job, JobStatus, Principal, Source


def a_job(**fields: Any) -> Job:
    """A job of ada's at priority 3 that waits first in line, changed by what is given."""
    usual: dict[str, Any] = {
        "id": "a",
        "principal": Principal("ada"),
        "priority": 3,
        "source": Source.SUBMIT,
        "status": JobStatus.QUEUED,
        "created_at_s": 0.0,
        "queued_at_s": 0.0,
        "number": 0.0,
        "seq": 1,
        "start_tag": 0.0,
        "score": 0.0,
        "estimated_s": 5.0,
    }
    return Job(**(usual | fields))
