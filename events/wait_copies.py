"""Copies of the pictures of questions that another instance's parked jobs ask, fetched to the instance where the job was submitted.

So its page shows them while the other one is away. Owns the fetching, once per question; one that fails is no loss, as pictures are looked
for where they were made too. Does not own the files (``wait_pictures``) nor which questions are open (``mailbox``).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable

from ..jobs.errors import ExpeditorError
from .open_wait import PendingWait
from .ports import PicturesElsewhere
from .wait_pictures import NotStored, WaitPictures

log = logging.getLogger("expeditor.events")


class WaitCopies:
    """See the module's docstring. ``fetch`` on any thread."""

    def __init__(
        self,
        files: WaitPictures,
        elsewhere: PicturesElsewhere,
        loop: Callable[[], asyncio.AbstractEventLoop],
        is_open: Callable[[str], bool],
    ) -> None:
        """``loop``: the one on which ``elsewhere`` is asked; ``is_open``: whether a question, by token, is asked still."""
        self._files = files
        self._elsewhere = elsewhere
        self._loop = loop
        self._is_open = is_open

    def fetch(self, instance: str, waits: Iterable[PendingWait]) -> None:
        """Have what these show copied from there; does not wait for it."""
        for wait in waits:
            if not wait.ask.pictures:
                continue
            with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends
                asyncio.run_coroutine_threadsafe(self._copied(instance, wait), self._loop())

    async def _copied(self, instance: str, wait: PendingWait) -> None:
        token = wait.token
        if await asyncio.to_thread(self._files.find, token, 0) is not None:
            return
        try:
            pictures = [await self._elsewhere.picture(instance, token, number) for number in range(wait.ask.pictures)]
            await asyncio.to_thread(self._files.keep, token, pictures)
        except (ExpeditorError, NotStored) as fault:
            extra = {"event": "wait_copies.failed"}
            log.info("Pictures of a question that %s asks are not copied: %s", instance, fault, extra=extra)
        if not self._is_open(token):  # it was over meanwhile, when there was nothing to remove
            self._files.drop(token)
