"""What is kept of ended jobs: the settings as the keeper and the store take them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..jobs.model import JobStatus
from ..store.base import KeptFor
from .settings import Settings


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept, and whether the files of a job go with it. ``outputs``: what it made in ``output``; ``inputs``: files of
    the input folder that its prompt names. Copies of files in ``temp`` always go."""

    kept: Mapping[JobStatus, KeptFor]
    outputs: bool = False
    inputs: bool = False


def retention(settings: Settings) -> Retention:
    """Zero in a setting means no bound."""
    bounds = {
        JobStatus.SUCCEEDED: (settings.keep_succeeded_s, settings.keep_succeeded_jobs),
        JobStatus.FAILED: (settings.keep_failed_s, settings.keep_failed_jobs),
        JobStatus.CANCELED: (settings.keep_canceled_s, settings.keep_canceled_jobs),
        JobStatus.EXPIRED: (settings.keep_expired_s, settings.keep_expired_jobs),
    }
    kept = {status: KeptFor(age_s or None, count or None) for status, (age_s, count) in bounds.items()}
    return Retention(kept, settings.prune_outputs, settings.prune_inputs)
