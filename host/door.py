"""Our own way into ComfyUI's queue: the same ``put`` that ``/prompt`` uses, then the commit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..jobs.awaiting import Awaiter
from ..jobs.entry import Entry
from ..jobs.errors import StoreUnavailable
from ..jobs.model import Job, NewBatch, NewJob
from .context import COMMITS, SUBMISSION, Submission
from .live import LiveQueue
from .ownership import our_queue

if TYPE_CHECKING:
    from .queue import ExpeditorQueue

_DEFAULT_SECRETS = ("auth_token_comfy_org", "api_key_comfy_org")


class Door:
    """Fits ``intake.ports.QueueDoor``."""

    def __init__(
        self, server: Any, live: LiveQueue, awaiter: Awaiter, wall_clock: Callable[[], float] = time.time
    ) -> None:
        """``server`` is ComfyUI's ``PromptServer`` and ``live`` its queue; ``awaiter`` waits for commits.

        ``wall_clock`` stamps what only ComfyUI reads, as core does.
        """
        self._server = server
        self._live = live
        self._wall_clock = wall_clock
        self._awaiter = awaiter

    async def enter(self, entry: Entry) -> Job:
        """Put the job into the one queue and wait for its commit. Raises ``Busy`` or ``Refused``; then it is not in."""
        queue = self._queue()
        submission = _submission(entry)
        item = (self._number(entry), *self._rest_of_item(entry, _secret_keys()))
        commits: list[Future[Job]] = []
        tokens = SUBMISSION.set(submission), COMMITS.set(commits)
        try:
            queue.put(item)
        finally:
            submission.answered = True
            SUBMISSION.reset(tokens[0])
            COMMITS.reset(tokens[1])
        advice = f"Ask for job {entry.prompt_id} before you submit it again."
        return await self._awaiter.settled(commits[0], advice)

    async def enter_all(self, batch: NewBatch, entries: Sequence[Entry]) -> tuple[Job, ...]:
        """Put all jobs of a batch into the one queue at once and wait for their one commit. Raises as ``enter``; then none is in.

        The loop stays free while the jobs are made ready; they are listed in one step.
        """
        keys, wiring = _secret_keys(), self._queue().expeditor
        now_s = wiring.clock()
        rests: list[tuple[Any, ...]] = []
        jobs: list[NewJob] = []
        for entry in entries:
            rest = self._rest_of_item(entry, keys)
            rests.append(rest)
            jobs.append(wiring.new_job((0.0, *rest), _submission(entry), now_s))
            await asyncio.sleep(0)
        queue = self._queue()
        numbers = [self._number(entry) for entry in entries]
        items = [(number, *rest) for number, rest in zip(numbers, rests, strict=True)]
        numbered = [replace(job, number=float(number)) for job, number in zip(jobs, numbers, strict=True)]
        commit = queue.put_all(batch, items, numbered)
        return await self._awaiter.settled(commit, f"Ask for batch {batch.id} before you submit it again.")

    def wake(self) -> None:
        """Have the worker look again: the order or the set of waiting jobs changed."""
        self._live.wake()

    def _queue(self) -> ExpeditorQueue:
        queue = our_queue(self._server)
        if queue is None or queue.expeditor.stood_down:
            raise StoreUnavailable(
                "Expeditor does not own ComfyUI's queue, so it cannot take jobs; /expeditor/health says why. Stock /prompt works.",
                retry_after_s=60,
            )
        return queue

    def _rest_of_item(self, entry: Entry, secret_keys: tuple[str, ...]) -> tuple[Any, ...]:
        """ComfyUI's queue tuple without its first element."""
        extra = dict(entry.extra_data)
        sensitive = {key: extra.pop(key) for key in secret_keys if key in extra}
        extra["create_time"] = int(self._wall_clock() * 1000)
        return entry.prompt_id, entry.prompt, extra, list(entry.outputs_to_execute), sensitive

    def _number(self, entry: Entry) -> float:
        # As core does: an explicit number is used as it is, else the server's growing counter, negative for the front.
        if entry.number is not None:
            return entry.number
        number = self._server.number
        self._server.number += 1
        return -number if entry.front else number


def _submission(entry: Entry) -> Submission:
    return Submission(
        principal=entry.principal,
        source=entry.source,
        priority=entry.priority,
        front=entry.front,
        metadata=entry.metadata,
        request_key=entry.request_key,
        not_before_s=entry.not_before_s,
        expires_in_s=entry.expires_in_s,
        max_attempts=entry.max_attempts,
        slot=entry.slot,
        webhook=entry.webhook,
        pool=entry.pool,
    )


def _secret_keys() -> tuple[str, ...]:
    import execution

    return tuple(getattr(execution, "SENSITIVE_EXTRA_DATA_KEYS", _DEFAULT_SECRETS))
