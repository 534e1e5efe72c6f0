"""Fetches pictures of waits from the instance where the node waits. Fits ``events.ports.PicturesElsewhere``.

Owns the way over HTTP and what a failure means. Does not own which instance that is (``events.post``). Used on ComfyUI's loop; the
request itself runs on the peers' thread.
"""

from __future__ import annotations

import asyncio

from ..jobs.errors import NotFound, StoreUnavailable
from ..jobs.waits import Picture
from .peers import PeerAway, PeerRefused, Peers, PeerThread

PATH = "/wait-pictures"
MAX_BYTES = 32 * 1024 * 1024
SHOWN = frozenset({"image/jpeg", "image/png"})


class RemotePictures:
    """See the module's docstring."""

    def __init__(self, peers: Peers, thread: PeerThread) -> None:
        """Ask by ``peers`` on ``thread``."""
        self._peers = peers
        self._thread = thread

    async def picture(self, instance: str, token: str, number: int) -> Picture:
        """``NotFound`` when it has none, ``StoreUnavailable`` when it cannot be asked now. Cancelled, it lets the request go."""
        try:
            return await asyncio.wrap_future(self._thread.run(self._fetched(instance, token, number)))
        except PeerAway as away:
            raise StoreUnavailable(str(away)) from away
        except PeerRefused as refused:
            raise NotFound(str(refused)) from refused

    async def _fetched(self, instance: str, token: str, number: int) -> Picture:
        params = {"token": token, "number": str(number)}
        async with self._peers.fetch(instance, PATH, params, 0) as answer:
            read = bytearray()
            async for piece in answer.content.iter_any():
                read += piece
                if len(read) > MAX_BYTES:
                    raise PeerAway(f"Instance {instance} answered with too much.")
            if answer.content_type not in SHOWN:
                raise PeerAway(f"Instance {instance} answered with no picture.")
            return Picture(answer.content_type, bytes(read))
