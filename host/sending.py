"""Sends one file of this instance to the one where it belongs: offered first, then the bytes that are missing there, as often as it takes
within the time that is given. Owns that; does not own which files, when, nor what happens to what could not be sent (``handover``)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

from ..jobs.errors import InputInvalid
from ..jobs.leftovers import FileName
from ..jobs.parcels import Landing, Offer, landing_from, offer_fields
from .peers import PeerAway, PeerGone, PeerRefused, Peers

CHUNK_BYTES = 1 << 18
FIRST_WAIT_S = 0.2
LONGEST_WAIT_S = 5.0
_TOLD = 409
"""The other end has another number of bytes than we thought: ask again."""


class Changed(Exception):
    """The file is not what it was when its hash was taken: it was written over or is gone."""


class Sender:
    """Used on the peers' event loop."""

    def __init__(self, peers: Peers, rng: Callable[[], float] = random.random) -> None:
        """``rng`` spreads new tries."""
        self._peers = peers
        self._rng = rng

    async def send(self, origin: str, offer: Offer, path: Path) -> FileName:
        """Send it until it is there: its name at home. Try after try, so bound it; ``PeerGone``, ``PeerRefused`` and ``Changed`` end it."""
        wait_s = FIRST_WAIT_S
        while True:
            try:
                return await self.send_once(origin, offer, path)
            except PeerGone:
                raise
            except PeerAway:
                await asyncio.sleep(wait_s * (0.5 + self._rng() / 2))
                wait_s = min(wait_s * 2, LONGEST_WAIT_S)

    async def send_once(self, origin: str, offer: Offer, path: Path) -> FileName:
        """One try. Raises ``PeerAway``, ``PeerRefused`` or ``Changed``."""
        try:
            landing = landing_from(await self._peers.ask(origin, "/offer", offer_fields(offer)))
            if not landing.done:
                landing = await self._stream(origin, offer, path, landing)
        except InputInvalid as fault:
            raise PeerAway(f"Instance {origin} answered what cannot be read: {fault}") from fault
        if not landing.done:
            raise PeerAway(f"Instance {origin} has {landing.have_bytes} of {offer.size_bytes} bytes.")
        return landing.file

    async def _stream(self, origin: str, offer: Offer, path: Path, landing: Landing) -> Landing:
        await asyncio.to_thread(same_size, path, offer)
        fields = offer_fields(offer) | {"offset": str(landing.have_bytes)}
        try:
            return landing_from(await self._peers.send(origin, "/files", fields, _chunks(path, landing.have_bytes)))
        except PeerRefused as refusal:
            if refusal.status == _TOLD:
                raise PeerAway(str(refusal)) from refusal
            raise


def same_size(path: Path, offer: Offer) -> None:
    """Raises ``Changed`` unless the file has the offered size still. Blocks."""
    try:
        size_bytes = path.stat().st_size
    except OSError as fault:
        raise Changed(f"{path.name} cannot be read: {fault.strerror}.") from fault
    if size_bytes != offer.size_bytes:
        raise Changed(f"{path.name} has {size_bytes} bytes, it had {offer.size_bytes}.")


async def _chunks(path: Path, offset: int) -> AsyncGenerator[bytes, None]:
    file = await asyncio.to_thread(path.open, "rb")
    try:
        file.seek(offset)
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk
    finally:
        file.close()
