"""What the contract's use cases need from rooms and collaborators that are not theirs, by shape."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from ...jobs.model import JsonObject, Principal


class AssetResolver(Protocol):
    """Puts filenames in place of asset references, and keeps what a job needs from being deleted."""

    async def resolve(self, workflow: JsonObject, principal: Principal) -> tuple[JsonObject, tuple[str, ...]]:
        """The workflow with filenames in place of its ``core/ASSET`` references, and the ids of the assets used.

        ``workflow`` itself is not changed. Raises ``MissingAsset`` for a reference that is malformed or leads nowhere.
        """
        ...

    async def hold(self, job_id: str, asset_ids: tuple[str, ...]) -> None:
        """An accepted job needs these assets until it has ended."""
        ...


class Watch(Protocol):
    """One waiter for one job, a context manager: no change after it was entered is missed."""

    def __enter__(self) -> Watch: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def changed(self, timeout_s: float) -> bool:
        """Whether an event of the job was committed since the last ``changed`` (or the entry), within ``timeout_s``."""
        ...


class Changes(Protocol):
    """Whom held polls wait on; ``events.changes`` fits."""

    def watch(self, job_id: str) -> Watch:
        """A waiter for one job, on the running event loop."""
        ...
