"""What intake needs from outside, by shape. ``host`` fits these; ``runtime`` joins them."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from ..jobs.entry import CoreVerdict, Entry
from ..jobs.instances import Capabilities, Instance, InstanceState
from ..jobs.model import Job, NewBatch, Output, Progress

__all__ = [
    "Changes",
    "CoreValidator",
    "CoreVerdict",
    "Entry",
    "Instances",
    "OutputFiles",
    "Placed",
    "QueueDoor",
    "Roster",
    "Runs",
    "Staged",
    "UploadFolder",
    "Watch",
]


class CoreValidator(Protocol):
    """ComfyUI's ``validate_prompt``. May coerce values inside ``prompt`` in place, as core does."""

    async def validate(self, prompt_id: str, prompt: dict[str, Any], targets: list[str] | None) -> CoreVerdict:
        """Core's verdict on ``prompt``; never raises for what a client can send."""
        ...

    def own(self) -> Hashable | None:
        """Stands for the validation as it is now, while that is ComfyUI's own; None where another pack took its place."""
        ...


class QueueDoor(Protocol):
    """ComfyUI's queue, with our class in it."""

    async def enter(self, entry: Entry) -> Job:
        """Put the job into the one queue and wait for its commit. Raises ``QueueFull`` or ``Conflict``; then it is not in.

        ``StoreUnavailable``: it is not in, or nobody can say yet.
        """
        ...

    async def enter_all(self, batch: NewBatch, entries: Sequence[Entry]) -> tuple[Job, ...]:
        """Put all jobs of a batch into the queue and wait for their one commit. Raises as ``enter``; then none is in."""
        ...

    def wake(self) -> None:
        """Have the worker look again: the order or the set of the waiting jobs changed."""
        ...


class Roster(Protocol):
    """Who is there to run jobs; ``pools.AlonePools`` and ``runtime.membership`` fit. Asks nobody: what was heard last."""

    def pools(self) -> Collection[str]:
        """The pools that an instance serves, or served today."""
        ...

    def usual(self) -> str:
        """The pool of a job that names none."""
        ...

    @property
    def shared(self) -> bool:
        """Whether several instances share the queue."""
        ...

    def why_nobody(
        self, pool: str, needs: tuple[frozenset[str], frozenset[str]] | None = None, only: str | None = None
    ) -> str | None:
        """Why no instance starts a job of this pool now, in one sentence; None when one may.

        ``needs``: node classes and models; ``only``: the one instance that may run it, as it has the job's partner key."""
        ...

    def machines(self, pool: str | None = None) -> int:
        """How many instances start jobs of this pool now (None: of any); 1 when nobody is known to."""
        ...


class Instances(Protocol):
    """The instances that share the queue; ``runtime.membership`` and ``runtime.alone`` fit."""

    async def all(self) -> tuple[Instance, ...]:
        """All that were heard of within the last day, by name. Raises ``StoreUnavailable``."""
        ...

    async def capabilities(self, name: str) -> Capabilities | None:
        """What an instance of this name can run, if it told that. Raises ``StoreUnavailable``."""
        ...

    async def wish(self, name: str, state: InstanceState) -> Instance:
        """Have an instance be ``ACTIVE``, ``PAUSED`` or ``DRAINING``; how it stands now. Raises ``NotFound``, ``StoreUnavailable``."""
        ...


class Runs(Protocol):
    """What ``dispatch`` knows of the jobs that run now."""

    def progress(self, job_id: str) -> Progress | None:
        """The latest snapshot, or None when the job does not run here."""
        ...

    def running_for_s(self, job_id: str) -> float | None:
        """Seconds since the run began, or None when the job does not run here."""
        ...

    def worked_off_s(self) -> float:
        """How much of the estimated work of the jobs that run now is done already."""
        ...

    def interrupt(self, job_id: str, attempt: int) -> None:
        """Stop an attempt of the job, now or at its first sign of life: the wish cannot be lost."""
        ...


class Watch(Protocol):
    """One waiter for one job; enter it, look at the job, then wait."""

    @property
    def job(self) -> Job | None:
        """The job as the last event left it, once there was one."""
        ...

    def __enter__(self) -> Watch:
        """Listen from now on."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Listen no more."""
        ...

    async def changed(self, timeout_s: float) -> bool:
        """Whether something happened to the job since the last time, within ``timeout_s``."""
        ...


class Changes(Protocol):
    """Who tells of jobs that change; ``events.changes`` fits."""

    def watch(self, job_id: str) -> Watch:
        """A waiter for one job."""
        ...


class OutputFiles(Protocol):
    """ComfyUI's folders; ``host.files`` fits, and ``host.remote_outputs`` where several instances share a queue."""

    def of_job(self, job: Job, output: Output) -> Path | None:
        """The file of an output of a job that ended; None if it is not there, or is another one by now. Blocks. Raises
        ``StoreUnavailable`` when it is on another instance that cannot be reached now."""
        ...


class Staged(Protocol):
    """A file that is being received; its verbs block."""

    def write(self, chunk: bytes) -> None:
        """Add to it. Raises ``StoreUnavailable``."""
        ...

    def digest(self) -> str:
        """It is whole: the digest of its bytes, hexadecimal. Raises ``StoreUnavailable``."""
        ...

    def discard(self) -> None:
        """Remove it from where it is received; what was placed stays. Never raises."""
        ...


class Placed(Protocol):
    """A file in ComfyUI's input folder."""

    @property
    def name(self) -> str:
        """Its name there."""
        ...

    @property
    def fresh(self) -> bool:
        """Whether it was not there before."""
        ...


class UploadFolder(Protocol):
    """ComfyUI's input folder; ``host.uploads`` fits. Its verbs block."""

    def stage(self) -> Staged:
        """A new file to receive into. Raises ``StoreUnavailable``."""
        ...

    def place(self, staged: Any, name: str) -> Placed:
        """Put a whole file into the input folder, over no other. Raises ``StoreUnavailable``."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file that was placed. Never raises."""
        ...
