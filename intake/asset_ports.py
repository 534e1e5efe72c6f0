"""What the use cases of assets need of the disk, by shape; ``host.input_files`` and ``host.files`` fit. All of it blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from ..jobs.assets import Blob


class Receiving(Protocol):
    """One upload on its way to the disk."""

    @property
    def path(self) -> Path:
        """Its own file."""
        ...

    @property
    def size_bytes(self) -> int:
        """How much has arrived."""
        ...

    @property
    def hash(self) -> str | None:
        """``blake3:<hex>`` of what has arrived, or None where that is not possible."""
        ...

    def write(self, data: bytes) -> None:
        """Take more bytes. Raises ``StoreUnavailable``."""
        ...

    def close(self) -> None:
        """All has arrived: it is on the disk when this returns. Raises ``StoreUnavailable``."""
        ...

    def discard(self) -> None:
        """Leave nothing behind; idempotent."""
        ...


class AssetFiles(Protocol):
    """Files of uploads in ComfyUI's input folder."""

    def begin(self) -> Receiving:
        """A new upload. Raises ``StoreUnavailable``."""
        ...

    def sweep(self) -> int:
        """At a start: remove what uploads that never became whole have left; how many."""
        ...

    def place(self, received: Receiving, file_path: str) -> Blob:
        """Give a whole upload its name, or another one where that is taken. Raises ``StoreUnavailable`` or ``InputInvalid``."""
        ...

    def also_at(self, blob: Blob, file_path: str) -> Blob | None:
        """The same bytes under another name; None when they are not there any more. Raises as ``place``."""
        ...

    def find(self, blob: Blob) -> Path | None:
        """The file, or None: it is not there, or has other bytes by now."""
        ...

    def remove(self, blob: Blob) -> None:
        """Remove a file of ours that nobody needs any more. Never raises."""
        ...

    def digest(self, path: Path) -> str | None:
        """The hash of a file, or None where that is not possible."""
        ...
