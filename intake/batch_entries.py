"""From the request of a batch to jobs that may enter: each is parsed, judged and made, one after the other.

Owns that every fault of every job is found, that each job has prompt and extra data of its own (nodes may write into both), and the
bound of what all of them hold. Between two jobs the event loop is free.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from ..jobs.entry import Entry
from ..jobs.errors import Fault, LimitExceeded, Refused
from ..jobs.model import BatchSlot, JsonObject, Principal, Source
from .alike import BatchJudge, Rechecking
from .batch_request import BatchRequest
from .ceilings import Wish
from .judges import Judges
from .pools import check_served
from .submission import SubmitRequest, check_times
from .webhook_field import check_webhook

MOST_FAULTS = 2_000
"""The most faults that one answer lists."""


@dataclass(frozen=True, slots=True)
class RefusedItem:
    """A job that cannot enter, by its place in the batch, and the first of its faults."""

    index: int
    fault: Fault


@dataclass(slots=True)
class JudgedBatch:
    """The jobs of a request: ``entries`` may enter, ``refused`` may not. ``faults`` are theirs, ``first`` the first refusal."""

    entries: list[Entry] = field(default_factory=lambda: [])
    refused: list[RefusedItem] = field(default_factory=lambda: [])
    faults: list[Fault] = field(default_factory=lambda: [])
    first: Refused | None = None
    size_bytes: int = 0

    def refuse(self, index: int, faults: tuple[Fault, ...], refused: Refused) -> None:
        """The job of this index may not enter."""
        self.first = self.first or refused
        self.refused.append(RefusedItem(index, faults[0]))
        self.faults += faults[: max(0, MOST_FAULTS - len(self.faults))]

    def refusal(self, count: int) -> Refused:
        """The refusal of the whole batch of ``count`` jobs: of the kind of the first one, with the faults of all."""
        assert self.first is not None, "only a batch with a refused job is refused"
        more = "" if len(self.faults) == 1 else f" (the first of {len(self.faults)} faults)"
        details = {"jobs": count, "faulty": len(self.refused), **self.first.details}
        return type(self.first)(self.faults[0].message + more, details=details, faults=tuple(self.faults))


class BatchEntries:
    """See the module's docstring."""

    def __init__(
        self,
        judges: Judges,
        rechecking: Rechecking,
        *,
        most_bytes: int,
        clock: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        """``most_bytes`` bounds the JSON text of all prompts and extra data of one batch; ``new_id`` makes canonical UUIDs."""
        self._judges = judges
        self._rechecking = rechecking
        self._most_bytes = most_bytes
        self._clock = clock
        self._new_id = new_id

    def priority(self, request: SubmitRequest, principal: Principal) -> int:
        """The priority to use. Raises ``PriorityNotAllowed``."""
        return self._judges.priority(principal, Wish(request.priority, given=request.priority_given))

    async def made(self, request: BatchRequest, principal: Principal, batch_id: str) -> JudgedBatch:
        """Every job of the request, good or not. Raises ``Refused`` for what concerns the whole batch."""
        self._check(request.common, principal)
        judge, copies, judged = BatchJudge(self._judges, self._rechecking), _Copies(), JudgedBatch()
        for index in range(request.count):
            try:
                entry, size_bytes = await self._entry(request.item(index), principal, judge, copies)
            except Refused as refused:
                if request.concerns_all(refused):
                    raise
                judged.refuse(index, request.placed(index, refused), refused)
            else:
                judged.entries.append(replace(entry, slot=BatchSlot(batch_id, index)))
                judged.size_bytes += size_bytes
                self._check_size(judged)
            await asyncio.sleep(0)
        return judged

    async def _entry(
        self, item: SubmitRequest, principal: Principal, judge: BatchJudge, copies: _Copies
    ) -> tuple[Entry, int]:
        """The job and about how many bytes it holds. Raises ``Refused``."""
        priority, job_id = self._check(item, principal), self._new_id()
        judged = await judge.judge(job_id, item.prompt, item.targets, item.pool)
        extra_data, extra_bytes = copies.of(item.extra_data)
        if item.client_id is not None:
            extra_data["client_id"] = item.client_id
        entry = Entry(
            prompt_id=job_id,
            prompt=judged.prompt,
            extra_data=extra_data,
            outputs_to_execute=judged.outputs,
            priority=priority,
            principal=principal,
            source=Source.BATCH,
            front=False,
            number=None,
            metadata=item.metadata,
            not_before_s=item.not_before_s,
            expires_in_s=item.expires_in_s,
            max_attempts=item.max_attempts,
            webhook=item.webhook,
            pool=judged.pool,
        )
        return entry, judged.size_bytes + extra_bytes

    def _check(self, request: SubmitRequest, principal: Principal) -> int:
        """The priority to use, if what stands around the prompt is allowed. Raises ``Refused``."""
        check_times(request, self._clock())
        check_webhook(request.webhook, self._judges.webhooks)
        check_served(request.pool, self._judges.roster.pools())
        return self.priority(request, principal)

    def _check_size(self, judged: JudgedBatch) -> None:
        if judged.size_bytes > self._most_bytes:
            held = f"The first {len(judged.entries)} jobs hold {judged.size_bytes} bytes"
            text = f"{held}; one batch may hold {self._most_bytes} (max_batch_bytes)."
            raise LimitExceeded(text, details={"most": self._most_bytes}, too_large=True)


class _Copies:
    """Copies of extra data. Mostly all jobs of a batch have the same: it is written once."""

    def __init__(self) -> None:
        self._known: Any = None
        self._text = ""

    def of(self, extra_data: JsonObject) -> tuple[JsonObject, int]:
        """A copy, and the length of its JSON text."""
        if extra_data is not self._known:
            self._known, self._text = extra_data, json.dumps(extra_data)
        return json.loads(self._text), len(self._text)
