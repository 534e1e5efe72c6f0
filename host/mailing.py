"""Results go home by way of a bucket: uploaded, and the origin told to take them; where it cannot be told, a letter waits there.

Once ``send`` or ``send_once`` has returned, this instance may die. Owns the maker's half, and that bytes which the origin took at once are
removed; does not own the origin's half (``collecting``), which files, nor what happens to what could not be sent (``handover``).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from ..jobs.errors import InputInvalid
from ..jobs.leftovers import FileName
from ..jobs.letters import bytes_key, letter_key, own_place, written
from ..jobs.parcels import Offer, landing_from, offer_fields
from .bucket import Bucket, BucketAway, NotThere
from .peers import PeerAway, PeerGone, PeerRefused, Peers
from .sending import FIRST_WAIT_S, LONGEST_WAIT_S, Changed, same_size

log = logging.getLogger("expeditor.host")
_T = TypeVar("_T")

TOLD_FOR_S = 3.0
"""How long an origin that does not answer is told again before a letter is left for it."""


class Mailer:
    """Fits ``handover.Way``. Used on the peers' event loop."""

    def __init__(self, bucket: Bucket, peers: Peers, rng: Callable[[], float] = random.random) -> None:
        """``rng`` spreads new tries."""
        self._bucket = bucket
        self._peers = peers
        self._rng = rng

    async def send(self, origin: str, offer: Offer, path: Path) -> FileName:
        """Upload it, as often as it takes, so bound it; its name at home, where it is or will be. ``PeerRefused``, ``Changed`` end it."""
        await self._in_the_end(lambda: self._upload(origin, offer, path))
        try:
            place = await self._taken(origin, offer)
        except PeerAway as away:
            log.info("A result waits in the bucket for instance %s: %s", origin, away, extra=_extra(offer))
            return await self._in_the_end(lambda: self._post(origin, offer))
        with suppress(BucketAway):
            await self._bucket.remove(bytes_key(origin, offer))
        return place

    async def send_once(self, origin: str, offer: Offer, path: Path) -> FileName:
        """One try to put it and its letter into the bucket. Raises ``PeerAway`` or ``Changed``."""
        await self._upload(origin, offer, path)
        return await self._post(origin, offer)

    async def _upload(self, origin: str, offer: Offer, path: Path) -> None:
        await asyncio.to_thread(same_size, path, offer)
        try:
            await self._bucket.put(bytes_key(origin, offer), path)
        except NotThere:
            raise Changed(f"{path.name} is gone.") from None

    async def _post(self, origin: str, offer: Offer) -> FileName:
        # By the time it is read the usual name may be somebody else's, and the record of the job already names this one.
        apart = replace(offer, apart=True)
        await self._bucket.put(letter_key(origin, apart), written(apart))
        return own_place(apart)

    async def _taken(self, origin: str, offer: Offer) -> FileName:
        until_s = asyncio.get_running_loop().time() + TOLD_FOR_S
        while True:
            try:
                landing = landing_from(await self._peers.ask(origin, "/collect", offer_fields(offer)))
            except PeerGone:
                raise
            except PeerAway:
                if asyncio.get_running_loop().time() > until_s:
                    raise
                await asyncio.sleep(FIRST_WAIT_S)
                continue
            except InputInvalid as fault:
                raise PeerRefused(f"Instance {origin} answered what cannot be read: {fault}", 200) from fault
            if landing.done:
                return landing.file
            await asyncio.sleep(FIRST_WAIT_S)

    async def _in_the_end(self, step: Callable[[], Awaitable[_T]]) -> _T:
        wait_s, told = FIRST_WAIT_S, ""
        while True:
            try:
                return await step()
            except BucketAway as fault:
                if str(fault) != told:
                    told = str(fault)
                    log.warning("A result cannot be uploaded now: %s", fault, extra={"event": "bucket.away"})
                await asyncio.sleep(wait_s * (0.5 + self._rng() / 2))
                wait_s = min(wait_s * 2, LONGEST_WAIT_S)


def _extra(offer: Offer) -> dict[str, str]:
    return {"event": "mail.waits", "job_id": offer.job_id}
