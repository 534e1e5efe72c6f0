"""Takes results of this instance's jobs out of the bucket and has them land, checked and under their names (``landing``).

At once when their maker says so; what was put there while this instance was away is found by its letters, which are looked for at the
start and every few seconds: the list is in the bucket and survives everybody. Landed objects are removed, and bytes that no letter tells
of for a week: their maker died over them. Also fetches a file that still waits there for another instance. Does not own the
maker's half (``mailing``). Used on the peers' event loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import Future
from contextlib import aclosing
from datetime import datetime, timedelta, timezone
from pathlib import Path

from ..jobs.errors import Conflict, InputInvalid, StoreUnavailable
from ..jobs.letters import (
    LETTER_MAX_BYTES,
    bytes_for,
    bytes_key,
    letter_of_bytes,
    letters_to,
    own_place,
    read,
)
from ..jobs.parcels import Landing, Offer, file_from
from .bucket import Bucket, BucketAway, Listed, NotThere
from .fetching import Fetches, Wanted
from .landing import LandingGround, digest_of
from .peers import PeerAway, PeerThread
from .room import room

log = logging.getLogger("expeditor.host")

POLL_S = 10.0
HELD_S = 10.0
"""How long a maker waits for an answer; then it asks again."""
STEP_BYTES = 8 << 20
SWEEP_EVERY_S = 3600.0
LOST_AFTER = timedelta(days=7)
RETRY_AFTER_S = 10


class Collector:
    """See the module's docstring."""

    def __init__(self, name: str, bucket: Bucket, ground: LandingGround) -> None:
        """``name`` is this instance's."""
        self._name = name
        self._bucket = bucket
        self._ground = ground
        self._landing: dict[Offer, asyncio.Task[Landing]] = {}
        self._unsound: dict[str, datetime] = {}

    async def collect(self, offer: Offer) -> Landing:
        """Have an uploaded file land: how far it is after a moment. Raises ``InputInvalid`` (also: other bytes), ``StoreUnavailable``."""
        task = self._landing.get(offer)
        if task is None:
            task = self._landing[offer] = asyncio.ensure_future(self._landed(offer))
            task.add_done_callback(lambda done: self._over(offer, done))
        done, _ = await asyncio.wait([task], timeout=HELD_S)
        return task.result() if done else await asyncio.to_thread(self._ground.look, offer)

    async def watch(self) -> None:
        """Take what waits for this instance, until cancelled; a bucket that cannot be used is told once and tried again."""
        told, swept_s = "", -SWEEP_EVERY_S
        while True:
            try:
                await self.take_waiting()
                if swept_s + SWEEP_EVERY_S < time.monotonic():
                    swept_s = time.monotonic()
                    await self.sweep()
                told = ""
            except BucketAway as away:
                if str(away) != told:
                    log.error("Results cannot be taken from the bucket: %s", away, extra={"event": "bucket.away"})
                told = str(away)
            except Exception:  # noqa: BLE001 - what waits must come home also after a fault of ours
                log.exception("What waits in the bucket could not be taken", extra={"event": "mail.failed"})
            await asyncio.sleep(POLL_S)

    async def take_waiting(self) -> None:
        """Have everything land that letters tell of. Raises ``BucketAway``; a file that cannot be taken does not keep others waiting."""
        for letter in [one async for one in self._bucket.list(letters_to(self._name))]:
            if self._unsound.get(letter.key) != letter.changed_at:
                await self._take(letter)

    async def sweep(self, now: datetime | None = None) -> None:
        """Remove bytes whose maker died before it wrote their letter. Raises ``BucketAway``."""
        before = (now or datetime.now(timezone.utc)) - LOST_AFTER
        old = [one.key async for one in self._bucket.list(bytes_for(self._name)) if one.changed_at < before]
        if old:
            letters = {one.key async for one in self._bucket.list(letters_to(self._name))}
            for key in old:
                if letter_of_bytes(key) not in letters:
                    await self._bucket.remove(key)

    async def _take(self, letter: Listed) -> None:
        extra = {"event": "mail.taken"}
        try:
            offer = read(await self._bucket.whole(letter.key, LETTER_MAX_BYTES))
            landing = await self.collect(offer)
            if not landing.done:
                return  # it goes on, and is done when it is looked for again
        except NotThere:
            landing = None  # somebody read it just now, or its bytes were removed
        except InputInvalid as fault:
            self._unsound[letter.key] = letter.changed_at
            log.error("What waits in the bucket cannot be used: %s", fault, extra={"event": "mail.unsound"})
            return
        except (Conflict, StoreUnavailable) as fault:
            log.warning("What waits in the bucket cannot be stored now: %s", fault, extra={"event": "mail.not_stored"})
            return
        else:
            log.info("A result of job %s came by the bucket: %s", offer.job_id, offer.file.name, extra=extra)
            # The letter last: as long as it is there somebody knows of the bytes.
            await self._bucket.remove(bytes_key(self._name, offer))
        if landing is None:
            log.warning("A letter in the bucket has no bytes any more: %s", letter.key, extra={"event": "mail.empty"})
        await self._bucket.remove(letter.key)

    async def _landed(self, offer: Offer) -> Landing:
        landing = await asyncio.to_thread(self._ground.look, offer)
        if landing.done:
            return landing
        reception = await asyncio.to_thread(self._ground.receive, offer, landing.have_bytes)
        key = bytes_key(self._name, offer)
        try:
            async with aclosing(_chunks(self._bucket, key, landing.have_bytes, offer.size_bytes)) as chunks:
                async for chunk in chunks:
                    await asyncio.to_thread(reception.write, chunk)
            return await asyncio.to_thread(reception.end)
        finally:
            reception.close()

    def _over(self, offer: Offer, done: asyncio.Task[Landing]) -> None:
        self._landing.pop(offer, None)
        if not done.cancelled():
            done.exception()  # told to whoever waits, if anybody does


class CollectPort:
    """The collector for another thread's event loop. Fits ``routes.peers.Collects``."""

    def __init__(self, collector: Collector | None, thread: PeerThread) -> None:
        """``collector``: None where results do not go by a bucket."""
        self._collector = collector
        self._thread = thread

    async def collect(self, offer: Offer) -> Landing:
        """See ``Collector``. Also ``StoreUnavailable`` when the bucket is away."""
        if self._collector is None:
            raise InputInvalid("Setting results names no bucket here; it must be the same on all instances.")
        work: Future[Landing] = self._thread.run(self._collector.collect(offer))
        try:
            return await asyncio.wrap_future(work)
        except (BucketAway, NotThere) as fault:
            text = str(fault) if isinstance(fault, BucketAway) else "There are no such bytes in the bucket."
            raise StoreUnavailable(text, retry_after_s=RETRY_AFTER_S) from fault


class BucketFetcher:
    """Fetches from instances, and else from the bucket what waits there. Fits ``remote_outputs.Fetches``."""

    def __init__(self, fetcher: Fetches, bucket: Bucket, name: str) -> None:
        """``name`` is this instance's."""
        self._fetcher = fetcher
        self._bucket = bucket
        self._name = name

    async def fetch(self, instances: Sequence[str], wanted: Wanted) -> bool:
        """See ``Fetcher.fetch``."""
        try:
            if await self._fetcher.fetch(instances, wanted):
                return True
        except PeerAway:
            if await self._from_bucket(instances, wanted):
                return True
            raise
        return await self._from_bucket(instances, wanted)

    async def _from_bucket(self, instances: Sequence[str], wanted: Wanted) -> bool:
        home, job_id = file_from(wanted.params), wanted.params["job_id"]
        for origin in dict.fromkeys((*instances, self._name)):
            async for letter in self._bucket.list(letters_to(origin, job_id)):
                try:
                    offer = read(await self._bucket.whole(letter.key, LETTER_MAX_BYTES))
                    if own_place(offer) == home and wanted.size_bytes in (None, offer.size_bytes):
                        await self._download(bytes_key(origin, offer), offer, wanted.target)
                        return True
                except (NotThere, InputInvalid):
                    continue
        return False

    async def _download(self, key: str, offer: Offer, target: Path) -> None:
        part = target.with_name(f".{uuid.uuid4().hex}.part")
        try:
            with room(part):
                part.parent.mkdir(parents=True, exist_ok=True)
                file = await asyncio.to_thread(part.open, "wb")
            with file:
                async with aclosing(_chunks(self._bucket, key, 0, offer.size_bytes)) as chunks:
                    async for chunk in chunks:
                        with room(part):
                            await asyncio.to_thread(file.write, chunk)
            if await asyncio.to_thread(digest_of, part) != offer.digest:
                raise InputInvalid(f"The bucket has other bytes of {offer.file.name}.")
            with room(part):
                part.replace(target)
        finally:
            part.unlink(missing_ok=True)


async def _chunks(bucket: Bucket, key: str, start: int, end: int) -> AsyncGenerator[bytes, None]:
    for at in range(start, end, STEP_BYTES):
        yield await bucket.get(key, at, min(at + STEP_BYTES, end))
