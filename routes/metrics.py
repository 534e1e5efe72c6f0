"""The scrape: all metrics as text, with queue gauges that are at most one deadline old.

Owns asking the queue before a scrape, never longer than the deadline, and the content negotiation with the scraper.
Not owned: the metrics themselves (``telemetry.metrics``) and where the depths come from (handed in).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web

from ..telemetry.collector import QueueDepths
from ..telemetry.metrics import Metrics

_log = logging.getLogger("expeditor.routes")
DEADLINE_S = 1.0


class MetricsRoutes:
    """Handlers for ``GET /expeditor/metrics`` (and ``/metrics``)."""

    def __init__(
        self, metrics: Metrics, summary: Callable[[], Awaitable[QueueDepths]], deadline_s: float = DEADLINE_S
    ) -> None:
        """``summary`` asks the store for the queue's depths; a scrape waits ``deadline_s`` for it and no longer."""
        self._metrics = metrics
        self._summary = summary
        self._deadline_s = deadline_s
        self._asking: asyncio.Task[None] | None = None
        self._stale = False

    async def exposition(self, request: web.Request) -> web.Response:
        """200 with every metric, as text or OpenMetrics by ``Accept``; also when the store does not answer."""
        await self._refresh()
        body, content_type = self._metrics.render(",".join(request.headers.getall(hdrs.ACCEPT, [])))
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})

    async def _refresh(self) -> None:
        """Bring the depth gauges up to date, or leave the last values standing.

        A question that outlives its deadline is not asked twice: the next scrape waits for the same answer, so a
        stuck store does not gather questions, and none of its verbs is cancelled half way.
        """
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(self._ask())
        done, _ = await asyncio.wait({self._asking}, timeout=self._deadline_s)
        if not done:
            self._failed(f"no answer within {self._deadline_s:g} s")
        elif self._asking.cancelled():
            self._failed("the question was cancelled")

    async def _ask(self) -> None:
        try:
            self._metrics.queue(await self._summary())
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the store, the scrape still tells the rest
            self._failed(str(error))
        else:
            self._stale = False

    def _failed(self, reason: str) -> None:
        """Count it; say it once until the store answers again."""
        self._metrics.queue_refresh_failed()
        if not self._stale:
            _log.warning("The queue's metrics are not current: %s", reason)
        self._stale = True
