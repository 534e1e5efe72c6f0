"""The use cases of assets: upload, mint by hash, look, fetch, delete; and the upkeep of uploads.

Owns the order of steps and who may do what. Files are behind ``asset_ports``, records in ``store.assets``, outputs of jobs in
``output_assets``. One upload at a time is given its name, one asset at a time is deleted: a file is never taken for a new record while
it is removed. Nothing here blocks the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial

from ..jobs.assets import Asset, Blob, is_asset_id, is_hash
from ..jobs.awaiting import Awaiter
from ..jobs.errors import ExpeditorError, InputInvalid, NotFound
from ..jobs.model import Principal
from ..store.assets import AssetStore
from ..store.base import KEY_LIFE_S, Clock, JobStore
from .asset_ports import AssetFiles
from .asset_uploads import Described, Upload
from .asset_use import AssetUse
from .asset_views import AssetContent, AssetView, upload_view
from .output_assets import FoundOutput, OutputAssets
from .v2.refusals import (
    ASSET_IN_USE,
    BLOB_NOT_FOUND,
    HASH_MISMATCH,
    IDEMPOTENCY_KEY_REUSE,
    INVALID_REQUEST,
    ContractRefusal,
)

STEP = 100
"""So many are dealt with at a time."""


@dataclass(frozen=True, slots=True)
class AssetParts:
    """What the use cases are made of. ``clock`` is the stores'; ``new_id`` makes canonical UUIDs.

    ``max_bytes``: the largest upload; ``keep_s``: how long one that names no end is kept after its last use, None: for ever.
    """

    store: AssetStore
    jobs: JobStore
    files: AssetFiles
    outputs: OutputAssets
    use: AssetUse
    awaiter: Awaiter
    clock: Clock
    new_id: Callable[[], str]
    max_bytes: int
    keep_s: float | None = None


class AssetService:
    """See the module's docstring. One object per server; safe to use from one event loop."""

    def __init__(self, parts: AssetParts) -> None:
        """Touches nothing yet."""
        self._parts = parts
        self._wait = parts.awaiter.settled
        self._naming = asyncio.Lock()

    def now_s(self) -> float:
        """The stores' time."""
        return self._parts.clock()

    # -- making ------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def receiving(self, principal: Principal, key: str | None) -> AsyncGenerator[Upload]:
        """An upload to be filled and then given to ``store``. If it is not, nothing of it is left, and its key is free again.

        Raises ``ContractRefusal`` for a key that was used in the last 24 hours.
        """
        parts, now_s = self._parts, self._parts.clock()
        if key is not None and not await self._wait(
            parts.store.claim_key(principal.name, key, now_s, now_s - KEY_LIFE_S)
        ):
            raise ContractRefusal(IDEMPOTENCY_KEY_REUSE, "This Idempotency-Key was used already, for an upload.")
        upload = Upload(parts.files, parts.max_bytes)
        try:
            yield upload
        finally:
            # Shielded: whoever goes away in the middle must leave nothing either.
            await asyncio.shield(self._leave(upload, principal, key))

    async def _leave(self, upload: Upload, principal: Principal, key: str | None) -> None:
        await upload.discard()
        if key is not None and not upload.stored:
            await self._wait(self._parts.store.free_key(principal.name, key))

    async def store(self, upload: Upload, described: Described, principal: Principal) -> AssetView:
        """Make an asset of a whole upload. Raises ``ContractRefusal`` when its hash is not the expected one."""
        received = await upload.whole()
        if described.expected_hash is not None and received.hash not in (None, described.expected_hash):
            raise ContractRefusal(
                HASH_MISMATCH, f"The bytes that arrived have the hash {received.hash}.", details={"hash": received.hash}
            )
        async with self._naming:
            known = await self._known(principal, received.hash)
            file_path = described.file_path
            with _fault_of_request():
                blob = await asyncio.to_thread(self._parts.files.place, received, file_path)
            # From here on the outcome is told, or not known: the key stays used.
            upload.stored = True
            made = await self._mint(blob, described, principal)
        return replace(made, created_new=not known)

    async def from_hash(self, digest: str, described: Described, principal: Principal) -> tuple[AssetView, bool]:
        """An asset over bytes that the caller uploaded before, and whether there was none like it. Raises ``ContractRefusal``."""
        async with self._naming:
            for earlier in await self._earlier(principal, digest):
                name = described.file_path or earlier.file_path
                asked = replace(described, file_path=name, content_type=described.content_type or earlier.content_type)
                with _fault_of_request():
                    blob = await asyncio.to_thread(self._parts.files.also_at, earlier.blob, name)
                if blob is not None:
                    view = await self._mint(blob, asked, principal)
                    return replace(view, created_new=False), view.created_new is True
        raise ContractRefusal(BLOB_NOT_FOUND, "There are no bytes of this hash that you could use: upload them.")

    async def has(self, digest: str, principal: Principal) -> bool:
        """Whether ``from_hash`` would find the bytes."""
        return await self._known(principal, digest if is_hash(digest) else None)

    # -- looking -----------------------------------------------------------------------------------------------------

    async def get(self, asset_id: str) -> AssetView:
        """One asset. Raises ``NotFound``, also when its file is gone."""
        return (await self._content(asset_id, hashed=True)).view

    async def content(self, asset_id: str) -> AssetContent:
        """One asset and its file. Raises as ``get``."""
        return await self._content(asset_id, hashed=False)

    # -- deleting ----------------------------------------------------------------------------------------------------

    async def delete(self, asset_id: str, caller: Principal) -> None:
        """Forget an asset; the file of an upload goes with its last one. Raises ``NotFound``, also for somebody else's, and
        ``ContractRefusal`` while an unfinished job needs it."""
        async with self._naming:
            asset = await self._upload(asset_id)
            found = None if asset is not None else await self._parts.outputs.find(asset_id)
            owner = asset.principal if asset else found.job.principal if found else None
            if owner is None or not (owner == caller or not owner.trusted):
                raise _absent(asset_id)
            if not await self._parts.use.unless_needed(asset_id, lambda: self._forget(asset_id, found)):
                raise ContractRefusal(ASSET_IN_USE, "The asset is needed and cannot be deleted now.")
            await self._sweep()

    # -- upkeep ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Once the store is open: remove what an earlier life left unfinished."""
        await asyncio.to_thread(self._parts.files.sweep)
        async with self._naming:
            await self._sweep()

    async def upkeep(self) -> None:
        """Delete what has come to its end and nobody needs, and forget keys and jobs that are no more."""
        parts, now_s = self._parts, self._parts.clock()
        unused_since_s = None if parts.keep_s is None else now_s - parts.keep_s
        deleted, due = True, True
        while deleted and due:
            due, deleted = await self._wait(parts.store.due(now_s, unused_since_s, STEP)), False
            for asset in due:
                async with self._naming:
                    deleted |= await parts.use.unless_needed(asset.id, partial(self._forget, asset.id, None))
        async with self._naming:
            await self._sweep()
        await self._wait(parts.store.forget_keys(now_s - KEY_LIFE_S))

    async def forget_jobs(self) -> None:
        """Forget what is noted of jobs that are pruned."""
        after = ""
        while job_ids := await self._wait(self._parts.store.jobs_named(after, STEP)):
            known = await asyncio.gather(*(self._wait(self._parts.jobs.get(job_id)) for job_id in job_ids))
            gone = [job_id for job_id, job in zip(job_ids, known, strict=True) if job is None]
            pruned = await asyncio.gather(*(self._wait(self._parts.jobs.was_pruned(job_id)) for job_id in gone))
            await self._wait(
                self._parts.store.forget_jobs([job_id for job_id, was in zip(gone, pruned, strict=True) if was])
            )
            after = job_ids[-1]

    async def spared(self, names: Sequence[str]) -> frozenset[str]:
        """Those of these files of the input folder that are assets, and so not to be removed with a job."""
        return await self._wait(self._parts.store.kept_places(names))

    # -- inside ------------------------------------------------------------------------------------------------------

    async def _content(self, asset_id: str, *, hashed: bool) -> AssetContent:
        asset = await self._upload(asset_id)
        if asset is not None:
            path = await asyncio.to_thread(self._parts.files.find, asset.blob)
            if path is None:
                message = f"The file of asset {asset_id} is not there any more. Upload it again."
                raise NotFound(message, details={"reason": "file_unavailable"})
            return AssetContent(upload_view(asset), path)
        content = await self._parts.outputs.content(asset_id, hashed=hashed)
        if content is None:
            raise _absent(asset_id)
        return content

    async def _upload(self, asset_id: str) -> Asset | None:
        if not is_asset_id(asset_id):
            raise _absent(asset_id)
        return (await self._wait(self._parts.store.found((asset_id,)))).get(asset_id)

    async def _earlier(self, principal: Principal, digest: str | None) -> tuple[Asset, ...]:
        return () if digest is None else await self._wait(self._parts.store.by_hash(principal.name, digest))

    async def _known(self, principal: Principal, digest: str | None) -> bool:
        """Whether the caller has these bytes here already."""
        for asset in await self._earlier(principal, digest):
            if await asyncio.to_thread(self._parts.files.find, asset.blob) is not None:
                return True
        return False

    async def _mint(self, blob: Blob, described: Described, principal: Principal) -> AssetView:
        now_s = self._parts.clock()
        asset = Asset(
            id=self._parts.new_id(),
            principal=principal,
            blob=blob,
            content_type=described.content_type,
            file_path=described.file_path,
            created_at_s=now_s,
            used_at_s=now_s,
            expires_at_s=None if described.expires_in_s is None else now_s + described.expires_in_s,
            tags=described.tags,
        )
        try:
            minted = await self._wait(self._parts.store.mint(asset))
        except ExpeditorError:
            # Not known to be stored: without a record the file would be nobody's.
            await self._wait_quietly(blob)
            raise
        return upload_view(minted.asset, created_new=minted.created)

    async def _forget(self, asset_id: str, found: FoundOutput | None) -> None:
        if found is not None:
            await self._parts.outputs.delete(found, asset_id)
        else:
            await self._wait(self._parts.store.delete(asset_id))

    async def _wait_quietly(self, blob: Blob) -> None:
        try:
            kept = await self._wait(self._parts.store.kept_places((blob.place,)))
        except ExpeditorError:
            return
        if not kept:
            await asyncio.to_thread(self._parts.files.remove, blob)

    async def _sweep(self) -> None:
        """Remove files that no record has any more: the file goes first, so that a crash in between has it done again."""
        while orphans := await self._wait(self._parts.store.orphans(STEP)):
            for blob in orphans:
                await asyncio.to_thread(self._parts.files.remove, blob)
            await self._wait(self._parts.store.forget_blobs([blob.place for blob in orphans]))


@contextmanager
def _fault_of_request() -> Generator[None]:
    """A name that cannot be had is a fault of the request, not of a workflow."""
    try:
        yield
    except ContractRefusal:
        raise
    except InputInvalid as error:
        raise ContractRefusal(INVALID_REQUEST, error.message, faults=error.faults) from error


def _absent(asset_id: str) -> NotFound:
    return NotFound(f"There is no asset {asset_id[:80]}, or no more.")
