"""The real use cases of assets over folders of a test, with records in memory."""

from __future__ import annotations

import errno
import itertools
from pathlib import Path

from expeditor.host.files import OutputFinder
from expeditor.host.hashing import available
from expeditor.host.input_files import UPLOADS, InputFiles
from expeditor.host.receiving import Receiving, unwritable
from expeditor.intake.asset_use import AssetUse
from expeditor.intake.assets import AssetParts, AssetService
from expeditor.intake.output_assets import OutputAssets
from expeditor.intake.v2.asset_references import AssetReferences
from expeditor.store.sqlite.assets import SqliteAssets

ASSET_BYTES = 300_000
KEEP_S = 1_000.0


class FullDisk(Receiving):
    """Fake: takes one byte and no more."""

    def write(self, data: bytes) -> None:
        super().write(data[:1])
        raise unwritable(OSError(errno.ENOSPC, "No space left on device"))


class FillableFiles(InputFiles):
    """The real files, on a disk that is full when the test says so."""

    full = False

    def begin(self) -> Receiving:
        begun = super().begin()
        if not self.full:
            return begun
        begun.discard()
        return FullDisk(begun.path, None)


class AssetShelf:
    """`folder` gets ComfyUI's `input`, `output` and `temp`."""

    def __init__(self, folder: Path, jobs, awaiter, clock, hashes=True) -> None:
        self.folder = folder
        for name in ("input", "output", "temp"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        numbers = itertools.count(1)
        self.store = SqliteAssets(path=None, clock=clock)
        self.store.open()
        self.files = FillableFiles(self.path_of, lambda: f"{next(numbers):032x}", available() if hashes else None)
        outputs = OutputAssets(
            store=self.store, jobs=jobs, outputs=OutputFinder(self.path_of), files=self.files, awaiter=awaiter
        )
        use = AssetUse(self.store, jobs, awaiter, clock)
        self.service = AssetService(
            AssetParts(
                store=self.store,
                jobs=jobs,
                files=self.files,
                outputs=outputs,
                use=use,
                awaiter=awaiter,
                clock=clock,
                new_id=lambda: f"00000000-0000-4000-a000-{next(numbers):012d}",
                max_bytes=ASSET_BYTES,
                keep_s=KEEP_S,
            )
        )
        self.references = AssetReferences(store=self.store, files=self.files, outputs=outputs, use=use, awaiter=awaiter)

    def path_of(self, kind: str) -> str | None:
        """ComfyUI's folders."""
        return str(self.folder / kind) if kind in ("input", "output", "temp") else None

    def inputs(self) -> dict[str, bytes]:
        """Every file of the input folder, also of uploads that are not whole."""
        root = self.folder / "input"
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    @property
    def parts_folder(self) -> Path:
        """Where uploads are that are not whole."""
        return self.folder / "input" / UPLOADS
