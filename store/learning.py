"""What runs teach a ledger: the mean per signature, the mean with models in memory, and the pace of the line.

Owns under which names these are kept and when a run teaches. Does not own the arithmetic (``jobs.estimate``) nor what an
estimate is used for (``standing``, ``jobs.affinity``).
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from ..jobs.estimate import Pace, next_mean, warm
from ..jobs.model import Job
from .ledger import ALL_SIGNATURES, Ledger

PACE_ESTIMATED = "pace estimated"
PACE_RAN = "pace ran"


class Learning:
    """One ledger's experience. Which run found its models in memory is remembered in memory only, for the latest claim."""

    def __init__(self, ledger: Ledger) -> None:
        """Touch nothing yet."""
        self._ledger = ledger
        self._warm: tuple[str, int] | None = None

    def claimed(self, job: Job, resident: AbstractSet[str]) -> None:
        """A job was taken to run, with these models in memory."""
        self._warm = (job.id, job.attempt) if job.models and resident >= set(job.models) else None

    def ran(self, job: Job, run_s: float, at_s: float) -> None:
        """A job ran through and was not cached."""
        names = [job.signature, ALL_SIGNATURES]
        if job.signature != ALL_SIGNATURES and self._warm == (job.id, job.attempt):
            names.append(warm(job.signature))
        means = [(name, next_mean(self._ledger.mean_run_s(name), run_s)) for name in dict.fromkeys(names)]
        pace = self._pace().after(job.estimated_s, run_s)
        self._ledger.set_mean_run_s([*means, (PACE_ESTIMATED, pace.estimated_s), (PACE_RAN, pace.ran_s)], at_s)

    def warm_s(self, job: Job) -> float | None:
        """How long such a job runs with its models in memory; None until that was seen."""
        return self._ledger.mean_run_s(warm(job.signature)) if job.signature != ALL_SIGNATURES else None

    def worth_s(self, estimated_s: float) -> float:
        """An estimate in the coin in which the line was placed (``estimate.Pace``)."""
        return self._pace().worth_s(estimated_s)

    def _pace(self) -> Pace:
        estimated_s, ran_s = self._ledger.mean_run_s(PACE_ESTIMATED), self._ledger.mean_run_s(PACE_RAN)
        return Pace() if estimated_s is None or ran_s is None else Pace(estimated_s, ran_s)
