"""What the contract's use cases need of assets, by shape."""

from __future__ import annotations

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
        """A job that is about to enter needs these assets until it has ended; should it not come about, nothing is lost.

        Raises ``MissingAsset`` when one was deleted since ``resolve``.
        """
        ...
