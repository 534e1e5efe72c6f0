"""The part of the queue's contract about jobs that wait for people: off their machine and back, with their questions and answers.

A parked job keeps its score and its open attempt. ``claim`` gives it out again once one of its questions is answered, or the time of one
is over; ``recover`` leaves it parked, and ``cancel`` ends it at once. What holds for all verbs stands in ``base``.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Protocol

from ..jobs.model import Ending, Job
from ..jobs.waits import JobWait


class ParkingStore(Protocol):
    """See the module's docstring."""

    def park(self, job_id: str, attempt: int, waits: Sequence[JobWait], ending: Ending) -> Future[Job]:
        """Take a running job off its machine until one of its questions is answered or over: it becomes ``waiting``, its attempt stays
        open, and it can be claimed again from the first deadline on (``transitions.park``). Told as ``job.waiting``.

        ``ending`` is how the run stopped. A job whose cancel was asked for ends by it: look at the status. Errors as ``finish``.
        """
        ...

    def answer(self, job_id: str, token: str, message: str) -> Future[Job]:
        """Answer a question of a parked job, for good: the first answer stays, and the job can be claimed at once. Nothing is told.

        ``NotFound`` for an unknown job or question; ``Gone`` when it was answered, its time has passed, or the job is parked no more;
        ``LimitExceeded`` when it takes less, ``InputInvalid`` for no answer to what is asked (``transitions.answer``).
        """
        ...
