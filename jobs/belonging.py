"""Whose a job is among instances that share a queue: where it was submitted, and where it runs. Pure."""

from __future__ import annotations

from .instances import instance_of
from .model import Job


def is_home(job: Job, here: str | None) -> bool:
    """Whether the job belongs to the instance ``here``: it was submitted there, or nobody knows where. ``here`` None: there is but one."""
    return here is None or job.origin is None or job.origin == here


def runner_of(job: Job) -> str | None:
    """The instance of the job's last attempt; None before any, and for a life of a server that stands alone."""
    return instance_of(job.attempts[-1].boot_id) if job.attempts else None


def keeper_of(job: Job) -> str | None:
    """The instance that parked the job in its last attempt, and keeps what its nodes have made and show; None if none did."""
    return instance_of(job.parked.boot_id) if job.parked is not None else None


def runs_elsewhere(job: Job, here: str | None) -> bool:
    """Whether the job's last attempt is another instance's than ``here``."""
    runner = runner_of(job)
    return here is not None and runner is not None and runner != here
