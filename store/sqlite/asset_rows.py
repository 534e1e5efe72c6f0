"""The verbs of the asset records, inside a transaction that somebody else opens. Used by one thread at a time.

Owns the row format. Text that UTF-8 cannot hold (a principal's name may) is escaped.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ...jobs.assets import Asset, Blob, OutputNote
from ...jobs.model import Principal
from ..assets import BY_HASH_MAX, Hold, Minted


class AssetRows:
    """See ``store.assets.AssetStore`` for what each verb means."""

    def __init__(self, run: Callable[..., sqlite3.Cursor]) -> None:
        """``run`` runs a statement of ``assets.sql`` by its name, with its values."""
        self._run = run

    def any(self) -> bool:
        """Whether there is a record."""
        return bool(self._run("any_asset").fetchone()[0])

    def mint(self, asset: Asset) -> Minted:
        """See ``AssetStore.mint``."""
        blob = asset.blob
        self._run(
            "save_blob",
            place=blob.place,
            size_bytes=blob.size_bytes,
            mtime_ns=blob.mtime_ns,
            hash=blob.hash,
            ours=blob.ours,
        )
        values = _values(asset)
        same = self._run("same_asset", **values).fetchone()
        if same is None:
            self._run("save_asset", **values)
            return Minted(self._found_one(asset.id), created=True)
        self._run("use_again", **{**values, "id": same["id"]})
        return Minted(self._found_one(same["id"]), created=False)

    def found(self, asset_ids: Sequence[str]) -> dict[str, Asset]:
        """See ``AssetStore.found``."""
        return {row["id"]: _asset(row) for row in self._run("found", ids=_list(asset_ids))}

    def by_hash(self, principal: str, digest: str) -> tuple[Asset, ...]:
        """See ``AssetStore.by_hash``."""
        rows = self._run("by_hash", hash=digest, principal=_plain(principal), limit=BY_HASH_MAX)
        return tuple(_asset(row) for row in rows)

    def named(self, principal: str, file_paths: Sequence[str]) -> dict[str, Asset]:
        """See ``AssetStore.named``."""
        rows = self._run("named", names=_list(file_paths), principal=_plain(principal))
        return {row["file_path"]: _asset(row) for row in rows}

    def delete(self, asset_id: str) -> bool:
        """See ``AssetStore.delete``."""
        self._run("delete_holds", id=asset_id)
        return bool(self._run("delete_asset", id=asset_id).rowcount)

    def orphans(self, limit: int) -> tuple[Blob, ...]:
        """See ``AssetStore.orphans``."""
        return tuple(_blob(row) for row in self._run("orphans", limit=limit))

    def forget_blobs(self, places: Sequence[str]) -> None:
        """See ``AssetStore.forget_blobs``."""
        self._run("forget_blobs", places=_list(places))

    def kept_places(self, places: Sequence[str]) -> frozenset[str]:
        """See ``AssetStore.kept_places``."""
        return frozenset(row["place"] for row in self._run("kept_places", places=_list(places)))

    def due(self, now_s: float, unused_since_s: float | None, limit: int) -> tuple[Asset, ...]:
        """See ``AssetStore.due``."""
        rows = self._run("due", now_s=now_s, unused_since_s=unused_since_s, limit=limit)
        return tuple(_asset(row) for row in rows)

    def hold(self, job_id: str, asset_ids: Sequence[str], at_s: float) -> None:
        """See ``AssetStore.hold``."""
        self._run("hold", ids=_list(asset_ids), job_id=job_id, at_s=at_s)
        self._run("note_use", ids=_list(asset_ids), at_s=at_s)

    def holds(self, asset_id: str, limit: int) -> tuple[Hold, ...]:
        """See ``AssetStore.holds``."""
        return tuple(Hold(row["job_id"], row["held_at_s"]) for row in self._run("holds", id=asset_id, limit=limit))

    def release(self, asset_id: str, job_ids: Sequence[str]) -> None:
        """See ``AssetStore.release``."""
        self._run("release_holds", id=asset_id, job_ids=_list(job_ids))

    def claim_key(self, principal: str, key: str, at_s: float, since_s: float) -> bool:
        """See ``AssetStore.claim_key``."""
        return bool(
            self._run("claim_key", principal=_plain(principal), key=key, at_s=at_s, since_s=since_s).rowcount > 0
        )

    def free_key(self, principal: str, key: str) -> None:
        """See ``AssetStore.free_key``."""
        self._run("free_key", principal=_plain(principal), key=key)

    def forget_keys(self, before_s: float) -> None:
        """See ``AssetStore.forget_keys``."""
        self._run("forget_keys", before_s=before_s)

    def notes(self, asset_ids: Sequence[str]) -> dict[str, OutputNote]:
        """See ``AssetStore.notes``."""
        return {row["id"]: _note(row) for row in self._run("notes", ids=_list(asset_ids))}

    def note(self, note: OutputNote) -> None:
        """See ``AssetStore.note``."""
        self._run(
            "note",
            id=note.id,
            job_id=note.job_id,
            hash=note.hash,
            size_bytes=note.size_bytes,
            mtime_ns=note.mtime_ns,
            deleted=note.deleted,
        )

    def jobs_named(self, after: str, limit: int) -> tuple[str, ...]:
        """See ``AssetStore.jobs_named``."""
        return tuple(row["job_id"] for row in self._run("jobs_named", after=after, limit=limit))

    def forget_jobs(self, job_ids: Sequence[str]) -> None:
        """See ``AssetStore.forget_jobs``."""
        for name in ("forget_holds_of_jobs", "forget_notes_of_jobs"):
            self._run(name, job_ids=_list(job_ids))

    def _found_one(self, asset_id: str) -> Asset:
        return self.found((asset_id,))[asset_id]


def _list(texts: Iterable[str]) -> str:
    return json.dumps([_plain(text) for text in texts])


def _plain(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _values(asset: Asset) -> dict[str, Any]:
    return {
        "id": asset.id,
        "principal": _plain(asset.principal.name),
        "trusted": asset.principal.trusted,
        "place": asset.blob.place,
        "content_type": asset.content_type,
        "file_path": asset.file_path,
        "created_at_s": asset.created_at_s,
        "used_at_s": asset.used_at_s,
        "expires_at_s": asset.expires_at_s,
        "tags": json.dumps(asset.tags),
    }


def _asset(row: sqlite3.Row) -> Asset:
    return Asset(
        id=row["id"],
        principal=Principal(row["principal"], bool(row["trusted"])),
        blob=_blob(row),
        content_type=row["content_type"],
        file_path=row["file_path"],
        created_at_s=row["created_at_s"],
        used_at_s=row["used_at_s"],
        expires_at_s=row["expires_at_s"],
        tags=tuple(json.loads(row["tags"])),
    )


def _blob(row: sqlite3.Row) -> Blob:
    return Blob(row["place"], row["size_bytes"], row["mtime_ns"], row["hash"], bool(row["ours"]))


def _note(row: sqlite3.Row) -> OutputNote:
    return OutputNote(
        row["id"], row["job_id"], row["hash"], row["size_bytes"], row["mtime_ns"], deleted=bool(row["deleted"])
    )
