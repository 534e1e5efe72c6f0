"""What dispatch needs from outside, by shape. ``host`` and ``telemetry`` fit these; ``runtime`` joins them."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Protocol

from ..jobs.model import Ending, Job
from ..jobs.waits import JobWait


class Interrupter(Protocol):
    """ComfyUI's one interruption flag, aimed at one job."""

    def interrupt(self, job_id: str) -> bool:
        """Interrupt the job if it is the one on the machine now; says whether it was."""
        ...


class OutputFiles(Protocol):
    """The files that a run left behind."""

    def size_bytes(self, folder: str, subfolder: str, name: str) -> int | None:
        """The file's size; None when there is no such file in ComfyUI's folders."""
        ...


class RunObserver(Protocol):
    """Hears how runs go, for metrics. Must be quick and never raise."""

    def node_ran(self, class_type: str, duration_s: float) -> None:
        """One node ran."""
        ...

    def nodes_cached(self, hits: int, misses: int) -> None:
        """Of one run's nodes, how many came from the cache and how many had to run."""
        ...

    def gap(self, duration_s: float) -> None:
        """Time between the end of one job and the claim of the next, when the next one was waiting."""
        ...


class RunRecorder(Protocol):
    """Keeps what runs now where the next process finds it if this one dies. Must be quick and never raise."""

    def began(self, job_id: str, attempt: int, node_id: str | None, class_type: str | None) -> None:
        """An attempt began (no node), or one of its nodes did."""
        ...


class Resident(Protocol):
    """What this machine has in memory."""

    def models(self) -> frozenset[str]:
        """The model files that are loaded now, named as jobs name them. Must be quick and never raise."""
        ...


class Abilities(Protocol):
    """What this machine can run, and what others can. Must be quick and never raise."""

    @property
    def mark(self) -> str:
        """Another one whenever the answers of ``missing`` may be others."""
        ...

    def missing(self, node_classes: frozenset[str], models: frozenset[str]) -> frozenset[str]:
        """What of these keeps a job from running here."""
        ...


class NoneResident:
    """Fits ``Resident`` where nobody looks."""

    def models(self) -> frozenset[str]:
        """None at all."""
        return frozenset()


class Parking(Protocol):
    """Runs that wait for people only, and what is kept of them; ``host.parking`` fits. Never raises, never blocks for long."""

    def began(self, job: Job) -> frozenset[str]:
        """A run of the job begins, or goes on: the nodes that had run when it was parked."""
        ...

    def stopped(self, job_id: str, ran: frozenset[str], *, parkable: bool) -> tuple[JobWait, ...]:
        """A run is over, after these nodes ran: what it is parked with; nothing when it is not, as unless it is ``parkable``."""
        ...

    def refused(self, job_id: str) -> None:
        """The job is another instance's, so it was not parked by the run that was over."""
        ...


class NoParking:
    """Fits ``Parking`` where nothing is parked."""

    def began(self, job: Job) -> frozenset[str]:  # noqa: ARG002 - a port's form
        """It is its first run."""
        return frozenset()

    def stopped(self, job_id: str, ran: frozenset[str], *, parkable: bool) -> tuple[JobWait, ...]:  # noqa: ARG002
        """It is not parked."""
        return ()

    def refused(self, job_id: str) -> None:
        """Nothing was to be parked."""


class Homeward(Protocol):
    """Brings results to where their job was submitted; ``host.handover`` fits. Never raises, never blocks."""

    def began(self, job: Job) -> None:
        """A job runs here."""
        ...

    def forget(self, job_id: str) -> None:
        """A run is over, and it was not the job's end."""
        ...

    def bring_home(self, job: Job, ending: Ending) -> Future[Ending] | None:
        """The ending as it is to be stored, once its files are where they belong; None: they are. The future never fails, and is done
        after a bounded time."""
        ...

    def arrived(self) -> None:
        """Results that nobody waited for any more are where they belong: has ``Dispatcher.settle_arrived`` called, on another thread.
        Any thread."""
        ...


class AtHome:
    """Fits ``Homeward`` where jobs run where they were submitted."""

    def began(self, job: Job) -> None:
        """Nothing follows."""

    def forget(self, job_id: str) -> None:
        """Nothing is known."""

    def bring_home(self, job: Job, ending: Ending) -> Future[Ending] | None:  # noqa: ARG002 - a port's form
        """Its files are at home."""
        return None

    def arrived(self) -> None:
        """Nothing was on its way."""
