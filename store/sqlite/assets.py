"""The asset records on a SQLite file of their own: fits ``store.assets.AssetStore``.

What a verb does is ``asset_rows``'; the file, its thread and its transactions are ``side``'s. Without a path it lives in memory, for a
server that keeps nothing, and for tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from ...jobs.assets import Asset, Blob, OutputNote
from ..assets import Hold, Minted
from ..base import Clock, StoreState
from .asset_rows import AssetRows
from .side import SideDatabase, SideKind

T = TypeVar("T")

SCHEMA_VERSION = 1
_KIND = SideKind(
    "assets",
    SCHEMA_VERSION,
    "the assets",
    "expeditor-assets",
    lost=" Assets from before are not known any more, their files are where they were.",
    own_lock=True,
)


class SqliteAssets:
    """Fits ``store.assets.AssetStore``. A damaged file is set aside, and the records begin anew: ``state().notice`` says so."""

    def __init__(
        self, *, path: Path | None, clock: Clock, busy_timeout_s: float = 2.0, check_s: float | None = 5.0
    ) -> None:
        """Closed at first; touches no file. ``path`` None: in memory, gone with ``close``."""
        self._side = SideDatabase(_KIND, path, clock, busy_timeout_s=busy_timeout_s, check_s=check_s)
        self._rows = AssetRows(self._side.run)
        self._any = True

    def open(self) -> None:
        """See ``AssetStore.open``."""
        self._side.open()
        self._any = self._ask(AssetRows.any).result()

    def close(self) -> None:
        """See ``AssetStore.close``."""
        self._side.close()

    def state(self) -> StoreState:
        """See ``AssetStore.state``."""
        return self._side.state()

    def mint(self, asset: Asset) -> Future[Minted]:
        """See ``AssetStore.mint``."""
        self._any = True
        return self._ask(lambda rows: rows.mint(asset))

    def found(self, asset_ids: Sequence[str]) -> Future[Mapping[str, Asset]]:
        """See ``AssetStore.found``."""
        return self._ask(lambda rows: rows.found(asset_ids))

    def by_hash(self, principal: str, digest: str) -> Future[tuple[Asset, ...]]:
        """See ``AssetStore.by_hash``."""
        return self._ask(lambda rows: rows.by_hash(principal, digest))

    def named(self, principal: str, file_paths: Sequence[str]) -> Future[Mapping[str, Asset]]:
        """See ``AssetStore.named``."""
        return self._ask(lambda rows: rows.named(principal, file_paths))

    def any_named(self) -> bool:
        """See ``AssetStore.any_named``."""
        return self._any

    def delete(self, asset_id: str) -> Future[bool]:
        """See ``AssetStore.delete``."""
        return self._ask(lambda rows: rows.delete(asset_id))

    def orphans(self, limit: int) -> Future[tuple[Blob, ...]]:
        """See ``AssetStore.orphans``."""
        return self._ask(lambda rows: rows.orphans(limit))

    def forget_blobs(self, places: Sequence[str]) -> Future[None]:
        """See ``AssetStore.forget_blobs``."""
        return self._ask(lambda rows: rows.forget_blobs(places))

    def kept_places(self, places: Sequence[str]) -> Future[frozenset[str]]:
        """See ``AssetStore.kept_places``."""
        return self._ask(lambda rows: rows.kept_places(places))

    def due(self, now_s: float, unused_since_s: float | None, limit: int) -> Future[tuple[Asset, ...]]:
        """See ``AssetStore.due``."""
        return self._ask(lambda rows: rows.due(now_s, unused_since_s, limit))

    def hold(self, job_id: str, asset_ids: Sequence[str], at_s: float) -> Future[None]:
        """See ``AssetStore.hold``."""
        return self._ask(lambda rows: rows.hold(job_id, asset_ids, at_s))

    def holds(self, asset_id: str, limit: int) -> Future[tuple[Hold, ...]]:
        """See ``AssetStore.holds``."""
        return self._ask(lambda rows: rows.holds(asset_id, limit))

    def release(self, asset_id: str, job_ids: Sequence[str]) -> Future[None]:
        """See ``AssetStore.release``."""
        return self._ask(lambda rows: rows.release(asset_id, job_ids))

    def claim_key(self, principal: str, key: str, at_s: float, since_s: float) -> Future[bool]:
        """See ``AssetStore.claim_key``."""
        return self._ask(lambda rows: rows.claim_key(principal, key, at_s, since_s))

    def free_key(self, principal: str, key: str) -> Future[None]:
        """See ``AssetStore.free_key``."""
        return self._ask(lambda rows: rows.free_key(principal, key))

    def forget_keys(self, before_s: float) -> Future[None]:
        """See ``AssetStore.forget_keys``."""
        return self._ask(lambda rows: rows.forget_keys(before_s))

    def notes(self, asset_ids: Sequence[str]) -> Future[Mapping[str, OutputNote]]:
        """See ``AssetStore.notes``."""
        return self._ask(lambda rows: rows.notes(asset_ids))

    def note(self, note: OutputNote) -> Future[None]:
        """See ``AssetStore.note``."""
        return self._ask(lambda rows: rows.note(note))

    def jobs_named(self, after: str, limit: int) -> Future[tuple[str, ...]]:
        """See ``AssetStore.jobs_named``."""
        return self._ask(lambda rows: rows.jobs_named(after, limit))

    def forget_jobs(self, job_ids: Sequence[str]) -> Future[None]:
        """See ``AssetStore.forget_jobs``."""
        return self._ask(lambda rows: rows.forget_jobs(job_ids))

    def _ask(self, verb: Callable[[AssetRows], T]) -> Future[T]:
        return self._side.ask(lambda: verb(self._rows))
