"""What streams of events, and messages between instances, need of other rooms."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

from ..jobs.log import LogPage, LogQuery
from ..jobs.model import Progress
from ..jobs.waits import Picture


class KeptEvents(Protocol):
    """The event log; the stores fit (``store.log.EventLog``)."""

    def events(self, query: LogQuery) -> Future[LogPage]:
        """One page of the log, which sees every event that was committed before."""
        ...

    def last_position(self) -> Future[int]:
        """The position of the newest event; 0 before the first."""
        ...


class Relayed(Protocol):
    """Short words between instances, at most once; ``store.relay.Relay`` fits. Never blocks, never raises."""

    def send(self, to: str | None, kind: str, body: bytes = b"") -> None:
        """Say something to an instance, or (None) to all others."""
        ...

    def listen(self, kind: str, heard: Callable[[str, str, bytes], None]) -> None:
        """Hear who says what of this kind, from now on, on a thread of the relay."""
        ...


class PicturesElsewhere(Protocol):
    """Pictures of waits on other instances; ``host.remote_pictures.RemotePictures`` fits. On the event loop."""

    async def picture(self, instance: str, token: str, number: int) -> Picture:
        """``NotFound`` when that instance has none, ``StoreUnavailable`` when it cannot be asked now."""
        ...


class Progressing(Protocol):
    """How far running jobs are; ``dispatch.runs.RunTable`` fits."""

    def progress(self, job_id: str) -> Progress | None:
        """The latest snapshot of a job that runs here, else None."""
        ...


class Reader(Protocol):
    """Who reads a stream, as far as the hub must know: an HTTP response, for example. Called on the event loop."""

    def gone(self) -> bool:
        """Whether nobody reads any more."""
        ...

    def cut(self) -> None:
        """The reader was too slow: what it waits for must end now."""
        ...
