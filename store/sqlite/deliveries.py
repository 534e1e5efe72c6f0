"""The webhooks' outbox on a SQLite file of its own: fits ``store.deliveries.DeliveryStore``. What a verb does; the file is ``side``'s."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from ...jobs.deliveries import Delivery, DeliveryAttempt, DeliveryStatus, NewDelivery, TargetOrigin, Verdict
from ..base import Clock, StoreState
from ..deliveries import (
    ATTEMPTS_KEPT,
    DUE_MAX,
    DeliveryFilter,
    DeliveryPage,
    DeliveryQuery,
    DeliveryTold,
    KeptDeliveries,
)
from .side import SideDatabase, SideKind

PRUNE_STEP = 1_000
GONE_LIFE_S = 90 * 86_400.0
"""How long it is known that a job's target wants no more: longer than anybody drives a job again."""
GONE = "The target answered 410 to an earlier message: it wants no more of this job."
_KIND = SideKind("deliveries", 1, "the webhooks", "expeditor-deliveries")
_NEWEST = sys.maxsize


class SqliteDeliveries:
    """See the module's docstring; ``path`` None lives in memory."""

    def __init__(self, path: Path | None, clock: Clock, *, longest_delay_s: float) -> None:
        """Closed at first. ``longest_delay_s``: no try is further away; one that is, after the clock was set, comes that soon."""
        self._side = SideDatabase(_KIND, path, clock)
        self._clock = clock
        self._longest_delay_s = longest_delay_s

    def open(self) -> bool:
        """See ``DeliveryStore.open``."""
        damaged = self._side.open()
        latest_s = self._clock() + self._longest_delay_s
        self._side.ask(lambda: self._side.change("not_later", latest_s=latest_s))
        return damaged

    def close(self) -> None:
        """See ``DeliveryStore.close``."""
        self._side.close()

    def state(self) -> StoreState:
        """See ``DeliveryStore.state``."""
        return self._side.state()

    def cursor(self) -> Future[int]:
        """See ``DeliveryStore.cursor``."""
        return self._side.ask(lambda: int(self._side.rows("cursor")[0]["position"]))

    def add(self, deliveries: Sequence[NewDelivery], cursor: int, at_s: float) -> Future[int]:
        """See ``DeliveryStore.add``."""

        def verb() -> int:
            added = sum(self._side.change("add", at_s=at_s, **_columns(each)) for each in deliveries)
            self._side.change("set_cursor", position=cursor)
            return added

        return self._side.ask(verb)

    def due(
        self, now_s: float, closed: AbstractSet[str], busy: AbstractSet[str], per_place: int
    ) -> Future[tuple[Delivery, ...]]:
        """See ``DeliveryStore.due``."""

        def verb() -> tuple[Delivery, ...]:
            heads: list[sqlite3.Row] = []
            for place in (row["place"] for row in self._side.rows("places")):
                if place in closed:
                    continue
                rows = self._side.rows("due_of_place", place=place, now_s=now_s, limit=per_place + len(busy))
                heads += [row for row in rows if row["id"] not in busy][:per_place]
            heads.sort(key=lambda row: (row["next_try_at_s"], row["seq"]))
            found = (self._find(row["id"]) for row in heads[:DUE_MAX])
            return tuple(each for each in found if each is not None)

        return self._side.ask(verb)

    def settle(self, delivery_id: str, attempt: DeliveryAttempt, verdict: Verdict) -> Future[Delivery | None]:
        """See ``DeliveryStore.settle``."""
        return self._side.ask(lambda: self._settle(delivery_id, attempt, verdict))

    def get(self, delivery_id: str) -> Future[DeliveryTold | None]:
        """See ``DeliveryStore.get``."""

        def verb() -> DeliveryTold | None:
            found = self._find(delivery_id)
            if found is None:
                return None
            tries = tuple(_attempt_of(row) for row in self._side.rows("attempts", seq=found.seq))
            return DeliveryTold(found, tries)

        return self._side.ask(verb)

    def page(self, query: DeliveryQuery) -> Future[DeliveryPage]:
        """See ``DeliveryStore.page``."""

        def verb() -> DeliveryPage:
            name = "page" if query.wanted.job_id is None else "page_of_job"
            before = _NEWEST if query.before is None else query.before
            rows = self._side.rows(name, before=before, limit=query.limit + 1, **_picked(query.wanted))
            found = tuple(delivery_of(row) for row in rows[: query.limit])
            return DeliveryPage(found, found[-1].seq if len(rows) > query.limit else None)

        return self._side.ask(verb)

    def replay(self, delivery_id: str, now_s: float) -> Future[Delivery | None]:
        """See ``DeliveryStore.replay``."""

        def verb() -> Delivery | None:
            found = self._find(delivery_id)
            if found is not None and (found.status is not DeliveryStatus.PENDING or found.next_try_at_s is not None):
                self._side.change("replay", seq=found.seq, now_s=now_s)
            return self._find(delivery_id)

        return self._side.ask(verb)

    def replay_all(self, wanted: DeliveryFilter, now_s: float) -> Future[int]:
        """See ``DeliveryStore.replay_all``."""
        return self._side.ask(lambda: self._side.change("replay_all", now_s=now_s, **_picked(wanted)))

    def prune(self, kept: KeptDeliveries, now_s: float) -> Future[int]:
        """See ``DeliveryStore.prune``."""
        return self._side.ask(lambda: self._prune(kept, now_s))

    # -- on the thread -----------------------------------------------------------------------------------------------

    def _settle(self, delivery_id: str, attempt: DeliveryAttempt, verdict: Verdict) -> Delivery | None:
        found = self._find(delivery_id)
        if found is None:
            return None
        ended_at_s = attempt.at_s + attempt.duration_s
        self._side.change(
            "note_attempt",
            seq=found.seq,
            number=attempt.number,
            at_s=attempt.at_s,
            duration_s=attempt.duration_s,
            code=attempt.code,
            error=attempt.error,
        )
        self._side.change("forget_attempts", seq=found.seq, number=attempt.number - ATTEMPTS_KEPT)
        self._side.change(
            "settle",
            seq=found.seq,
            status=verdict.status.value,
            number=attempt.number,
            next_try_at_s=verdict.next_try_at_s,
            ended_at_s=ended_at_s,
            code=attempt.code,
            error=attempt.error,
        )
        if verdict.status is not DeliveryStatus.PENDING:
            self._end_of_lane(found.message, verdict, ended_at_s)
        return self._find(delivery_id)

    def _end_of_lane(self, message: NewDelivery, verdict: Verdict, at_s: float) -> None:
        lane = {"job_id": message.job_id, "url": message.url}
        if verdict.gone and message.origin is TargetOrigin.JOB:
            self._side.change("note_gone", at_s=at_s, **lane)
            self._side.change("fail_lane", at_s=at_s, error=GONE, **lane)
        self._side.change("release_lane", now_s=at_s, **lane)

    def _prune(self, kept: KeptDeliveries, now_s: float) -> int:
        pruned = 0
        for status, age_s in ((DeliveryStatus.DELIVERED, kept.delivered_s), (DeliveryStatus.FAILED, kept.failed_s)):
            if age_s:
                before_s = now_s - age_s
                pruned += self._side.change("prune_old", status=status.value, before_s=before_s, limit=PRUNE_STEP)
        over = self._side.rows("count_over")[0]["over"] - kept.count if kept.count else 0
        if over > 0:
            pruned += self._side.change("prune_oldest", limit=min(over, PRUNE_STEP))
        self._side.change("forget_gone", before_s=now_s - GONE_LIFE_S)
        return pruned

    def _find(self, delivery_id: str) -> Delivery | None:
        rows = self._side.rows("delivery", id=delivery_id)
        return delivery_of(rows[0]) if rows else None


def delivery_of(row: sqlite3.Row) -> Delivery:
    """The record of a row of ``deliveries``."""
    return Delivery(
        seq=row["seq"],
        message=NewDelivery(
            id=row["id"],
            job_id=row["job_id"],
            event_type=row["event_type"],
            event_number=row["event_number"],
            url=row["url"],
            place=row["place"],
            origin=TargetOrigin(row["origin"]),
            signer=row["signer"],
            body=row["body"],
        ),
        status=DeliveryStatus(row["status"]),
        created_at_s=row["created_at_s"],
        attempts=row["attempts"],
        tries=row["tries"],
        next_try_at_s=row["next_try_at_s"],
        finished_at_s=row["finished_at_s"],
        last_code=row["last_code"],
        last_error=row["last_error"],
    )


def _columns(new: NewDelivery) -> dict[str, Any]:
    return {
        "id": new.id,
        "job_id": new.job_id,
        "event_type": new.event_type,
        "event_number": new.event_number,
        "url": new.url,
        "place": new.place,
        "origin": new.origin.value,
        "signer": new.signer,
        "body": new.body,
    }


def _attempt_of(row: sqlite3.Row) -> DeliveryAttempt:
    return DeliveryAttempt(row["number"], row["at_s"], row["duration_s"], row["code"], row["error"])


def _picked(wanted: DeliveryFilter) -> dict[str, Any]:
    escaped = None
    if wanted.place is not None:
        escaped = wanted.place.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + ":%"
    return {
        "status": wanted.status.value if wanted.status else None,
        "job_id": wanted.job_id,
        "event_type": wanted.event_type,
        "place": wanted.place,
        "place_prefix": escaped,
    }
