"""The contract of the asset records: uploads, who needs them, and what is known of jobs' outputs. Files are not its business.

What holds for all verbs of ``store.base.JobStore`` holds for these: they may be called from any thread, take effect in the order asked,
and a done future of a writing verb means committed. ``StoreUnavailable`` means that nothing was stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from ..jobs.assets import Asset, Blob, OutputNote
from .base import StoreState


@dataclass(frozen=True, slots=True)
class Minted:
    """What became of a new record. ``created`` is False when an equal one was there, which is answered in its place."""

    asset: Asset
    created: bool


@dataclass(frozen=True, slots=True)
class Hold:
    """A job that needs an asset."""

    job_id: str
    held_at_s: float


class AssetStore(Protocol):
    """See the module's docstring."""

    def open(self) -> None:
        """Make the store usable; blocks. Raises ``StoreUnavailable`` when it cannot be opened; may be tried again."""
        ...

    def close(self) -> None:
        """Commit what was asked for and let go of files and threads; blocks; idempotent."""
        ...

    def state(self) -> StoreState:
        """How the store is; ``error`` says why it could not be opened or last written. No I/O."""
        ...

    def mint(self, asset: Asset) -> Future[Minted]:
        """Keep a record, and its blob as it is now.

        An equal one (same principal, ``file_path``, place and content type) is not kept twice: the earlier one is answered, its use
        noted and its end put off: to the later of the two, or to none if either has none.
        """
        ...

    def found(self, asset_ids: Sequence[str]) -> Future[Mapping[str, Asset]]:
        """Those of these assets that there are."""
        ...

    def by_hash(self, principal: str, digest: str) -> Future[tuple[Asset, ...]]:
        """A principal's assets over the bytes of this hash, the one used last first; at most ``BY_HASH_MAX``."""
        ...

    def named(self, principal: str, file_paths: Sequence[str]) -> Future[Mapping[str, Asset]]:
        """A principal's asset that was used last of each of these names."""
        ...

    def any_named(self) -> bool:
        """Whether there is any record, so that ``named`` may find one; no I/O. True when it is not known."""
        ...

    def delete(self, asset_id: str) -> Future[bool]:
        """Forget a record; whether there was one. Its blob is then among the ``orphans``, unless another record has it."""
        ...

    def orphans(self, limit: int) -> Future[tuple[Blob, ...]]:
        """Blobs that no record has."""
        ...

    def forget_blobs(self, places: Sequence[str]) -> Future[None]:
        """Forget blobs whose files are gone; one that a record has again is kept."""
        ...

    def kept_places(self, places: Sequence[str]) -> Future[frozenset[str]]:
        """Those of these places that a record has."""
        ...

    def due(self, now_s: float, unused_since_s: float | None, limit: int) -> Future[tuple[Asset, ...]]:
        """Records whose end has come, and those without an end of their own that were last used before ``unused_since_s``."""
        ...

    def hold(self, job_id: str, asset_ids: Sequence[str], at_s: float) -> Future[None]:
        """A job needs these assets, uploads or outputs. Notes the use of uploads."""
        ...

    def holds(self, asset_id: str, limit: int) -> Future[tuple[Hold, ...]]:
        """Jobs that were said to need an asset."""
        ...

    def release(self, asset_id: str, job_ids: Sequence[str]) -> Future[None]:
        """These jobs need the asset no more."""
        ...

    def claim_key(self, principal: str, key: str, at_s: float, since_s: float) -> Future[bool]:
        """Take an upload's ``Idempotency-Key``; False when it was taken at ``since_s`` or later."""
        ...

    def free_key(self, principal: str, key: str) -> Future[None]:
        """Give it back: the request definitely made nothing."""
        ...

    def forget_keys(self, before_s: float) -> Future[None]:
        """Forget keys that were taken before this."""
        ...

    def notes(self, asset_ids: Sequence[str]) -> Future[Mapping[str, OutputNote]]:
        """What is noted of these outputs."""
        ...

    def note(self, note: OutputNote) -> Future[None]:
        """Keep a note in place of an earlier one; a deleted asset stays deleted."""
        ...

    def jobs_named(self, after: str, limit: int) -> Future[tuple[str, ...]]:
        """Ids of jobs that holds and notes name, in order, greater than ``after``."""
        ...

    def forget_jobs(self, job_ids: Sequence[str]) -> Future[None]:
        """Forget holds and notes of jobs that are no more."""
        ...


BY_HASH_MAX = 50
"""The most records that ``by_hash`` answers."""
