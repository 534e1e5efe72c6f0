"""One upload in the making: bytes that go to the disk as they come, bounded; and what its client says of it, checked.

Owns the bound and the form of the fields. What becomes of a whole upload is ``assets``'.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..jobs.assets import is_hash
from ..jobs.errors import Fault, InputInvalid, LimitExceeded
from .asset_names import checked_name
from .asset_ports import AssetFiles, Receiving
from .v2.refusals import INVALID_REQUEST, ContractRefusal

EXPIRES_MIN_S = 60
EXPIRES_MAX_S = 604_800
MOST_TAGS = 32
MOST_TAG_BYTES = 128
_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,100}/[A-Za-z0-9!#$&^_.+-]{1,100}(?: *;[\x20-\x7e]{0,200})?")
_MOST_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Described:
    """What a client says of an asset. Empty texts where it may say nothing."""

    file_path: str
    content_type: str
    expected_hash: str | None = None
    tags: tuple[str, ...] = ()
    expires_in_s: float | None = None


class Upload:
    """See the module's docstring. ``stored`` once there may be an asset of it."""

    def __init__(self, files: AssetFiles, max_bytes: int) -> None:
        """Touches the disk with the first bytes."""
        self._files = files
        self._max_bytes = max_bytes
        self._received: Receiving | None = None
        self.stored = False

    async def begin(self) -> None:
        """The file's bytes follow. Raises ``ContractRefusal`` the second time, ``StoreUnavailable`` when the disk takes nothing."""
        if self._received is not None:
            raise _refused("file", "is given twice")
        self._received = await asyncio.to_thread(self._files.begin)

    async def write(self, data: bytes) -> None:
        """Some of the bytes. Raises ``LimitExceeded``, or ``StoreUnavailable`` when the disk is full."""
        received = self._begun()
        if received.size_bytes + len(data) > self._max_bytes:
            raise too_large(self._max_bytes)
        await asyncio.to_thread(received.write, data)

    async def whole(self) -> Receiving:
        """All has arrived. Raises ``ContractRefusal`` when there was no file at all."""
        received = self._begun()
        await asyncio.to_thread(received.close)
        return received

    async def discard(self) -> None:
        """Leave nothing behind but what was given its name."""
        if self._received is not None:
            await asyncio.to_thread(self._received.discard)

    def _begun(self) -> Receiving:
        if self._received is None:
            raise _refused("file", "is missing")
        return self._received


def described(fields: Mapping[str, str], tags: Sequence[str], *, named: bool) -> Described:
    """The texts of a request, checked. ``named``: its name and type must be given. Raises ``ContractRefusal`` with all faults."""
    faults: list[Fault] = []
    file_path, content_type = fields.get("file_path", ""), fields.get("content_type", "")
    if file_path or named:
        try:
            checked_name(file_path)
        except InputInvalid as error:
            faults.extend(error.faults)
    if (content_type or named) and not _TYPE.fullmatch(content_type):
        faults.append(_fault("content_type", "must be a media type such as image/png"))
    digest = fields.get("expected_hash")
    if digest is not None and not is_hash(digest):
        faults.append(_fault("expected_hash", "must be blake3:<64 hexadecimal digits>"))
    expires_in_s = _seconds(fields.get("expires_in"), faults)
    if len(tags) > MOST_TAGS or any(len(tag.encode("utf-8", "replace")) > MOST_TAG_BYTES for tag in tags):
        faults.append(_fault("tags", f"must be at most {MOST_TAGS} texts of at most {MOST_TAG_BYTES} bytes"))
    if faults:
        raise ContractRefusal(INVALID_REQUEST, faults[0].message, faults=tuple(faults))
    return Described(file_path, content_type, digest, tuple(tags), expires_in_s)


def too_large(max_bytes: int) -> LimitExceeded:
    """The refusal of an upload beyond the bound."""
    return LimitExceeded(
        f"The upload is larger than this server accepts: {max_bytes} bytes.",
        details={"limit_bytes": max_bytes},
        too_large=True,
    )


def _seconds(text: str | None, faults: list[Fault]) -> float | None:
    if text is None:
        return None
    sound = text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
    if not sound or not EXPIRES_MIN_S <= int(text) <= EXPIRES_MAX_S:
        faults.append(_fault("expires_in", f"must be whole seconds from {EXPIRES_MIN_S} to {EXPIRES_MAX_S}"))
        return None
    return float(text)


def _fault(name: str, what: str) -> Fault:
    return Fault(f"/{name}", InputInvalid.code, f"{name} {what}.")


def _refused(name: str, what: str) -> ContractRefusal:
    fault = _fault(name, what)
    return ContractRefusal(INVALID_REQUEST, fault.message, faults=(fault,))
