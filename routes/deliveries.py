"""``/expeditor/deliveries``: the webhooks' outbox. Parse, one service call, render."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from ..intake.deliveries import DELIVERY_PAGE_MAX, DeliveryFilter, DeliveryQuery, DeliveryService, DeliveryStatus
from ..intake.faults import field_fault, short
from ..jobs.errors import Fault, InputInvalid
from ..jobs.events import EVENT_TYPES
from .fields import read_fields
from .webhooks import delivery_json, delivery_page_json, delivery_told_json

FILTERS = ("status", "job_id", "event", "host")
_CURSOR_DIGITS = 18


class DeliveryRoutes:
    """The handlers; errors are raised and rendered by the boundary."""

    def __init__(self, service: DeliveryService, *, max_bytes: int) -> None:
        """``max_bytes`` bounds a body."""
        self._service = service
        self._max_bytes = max_bytes

    async def list(self, request: web.Request) -> web.Response:
        """``GET /expeditor/deliveries?status=&job_id=&event=&host=&limit=&cursor=`` → ``{deliveries, next_cursor}``, newest first."""
        return web.json_response(delivery_page_json(await self._service.list(delivery_query(request.query))))

    async def get(self, request: web.Request) -> web.Response:
        """``GET /expeditor/deliveries/{id}`` → the delivery with its tries and its payload."""
        return web.json_response(delivery_told_json(await self._service.get(request.match_info["delivery_id"])))

    async def replay(self, request: web.Request) -> web.Response:
        """``POST /expeditor/deliveries/{id}/replay`` → the delivery, pending again."""
        return web.json_response(delivery_json(await self._service.replay(request.match_info["delivery_id"])))

    async def replay_all(self, request: web.Request) -> web.Response:
        """``POST /expeditor/deliveries/replay`` with ``{status?, job_id?, event?, host?}`` → ``{replayed}``; failed ones unless it says."""
        fields = await read_fields(request, max_bytes=self._max_bytes) if request.can_read_body else {}
        wanted = replay_filter(fields)
        return web.json_response({"replayed": await self._service.replay_all(wanted)})


def delivery_query(query: Mapping[str, str]) -> DeliveryQuery:
    """The filter, ``limit`` 1..500 (default 50) and ``cursor``. Raises ``InputInvalid`` with every fault."""
    faults = _unknown(query, (*FILTERS, "limit", "cursor"))
    limit, cursor = query.get("limit", "50"), query.get("cursor")
    if not (limit.isascii() and limit.isdigit() and len(limit) < 6 and 1 <= int(limit) <= DELIVERY_PAGE_MAX):
        faults.append(field_fault("limit", f"limit must be a whole number from 1 to {DELIVERY_PAGE_MAX}."))
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) <= _CURSOR_DIGITS):
        faults.append(
            field_fault("cursor", "This cursor is not one of this server.", "Use next_cursor of an earlier page.")
        )
    wanted = _filter(query, faults)
    if faults:
        raise InputInvalid(faults[0].message, faults=tuple(faults))
    return DeliveryQuery(wanted, None if cursor is None else int(cursor), int(limit))


def replay_filter(fields: Mapping[str, Any]) -> DeliveryFilter:
    """Which to send again; those that failed unless ``status`` says ``delivered``. Raises ``InputInvalid``."""
    faults = _unknown(fields, FILTERS)
    wanted = _filter({"status": DeliveryStatus.FAILED.value, **fields}, faults)
    if wanted.status is DeliveryStatus.PENDING:
        faults.append(field_fault("status", "Those that are pending are sent anyway."))
    if faults:
        raise InputInvalid(faults[0].message, faults=tuple(faults))
    return wanted


def _filter(given: Mapping[str, Any], faults: list[Fault]) -> DeliveryFilter:
    values: dict[str, str] = {}
    for name in FILTERS:
        value = given.get(name, "")
        if not isinstance(value, str) or not value.isascii():  # whatever is kept is ASCII
            faults.append(field_fault(name, f"{name} must be text in ASCII."))
        elif name in given:
            values[name] = value
    status, event, host = values.get("status"), values.get("event"), values.get("host")
    if status is not None and status not in {each.value for each in DeliveryStatus}:
        faults.append(
            field_fault("status", f"status must be one of {', '.join(each.value for each in DeliveryStatus)}.")
        )
        status = None
    if event is not None and event not in EVENT_TYPES:
        faults.append(field_fault("event", f"There is no event {short(event)}."))
    return DeliveryFilter(
        None if status is None else DeliveryStatus(status),
        values.get("job_id"),
        event,
        None if host is None else host.lower(),
    )


def _unknown(given: Mapping[str, Any], known: tuple[str, ...]) -> list[Fault]:
    names = [name for name in dict.fromkeys(given) if name not in known][:20]
    return [field_fault(name, f"Unknown field {short(name)}.", f"Known: {', '.join(known)}.") for name in names]
