"""What a delivery of a webhook is: the frozen records that cross rooms.

A delivery is one message to one target about one event, whatever number of tries it takes. Its ``id`` is the ``webhook-id`` of
every try, and the same when the same event is met again after a crash, so that a receiver can tell a repeat.
Times are seconds since the epoch as float. Not owned: how one is sent (``events.webhooks``), where they are kept
(``store.deliveries``).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import Enum

_NAMESPACE = uuid.UUID("5f0d3f0e-6c1b-4b6f-9d0c-5b0a4b7d7c11")


class DeliveryStatus(str, Enum):
    """Where a delivery stands. ``FAILED``: nobody tries any more, unless it is replayed."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class TargetOrigin(str, Enum):
    """Who named the target: the job, the token of its principal, or the server's settings."""

    JOB = "job"
    TOKEN = "token"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """A message to be delivered. ``place`` is host and port; ``body`` the JSON text, the same at every try.

    ``signer``: the name of the token whose secret signs it, empty for the server's.
    """

    id: str
    job_id: str
    event_type: str
    event_number: int
    url: str
    place: str
    origin: TargetOrigin
    signer: str
    body: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A stored delivery. ``seq`` is the order of arrival; ``attempts`` counts all tries, ``tries`` those since the last replay.

    ``next_try_at_s`` is None when it is over, or when it waits for an earlier message of its job to the same target.
    """

    seq: int
    message: NewDelivery
    status: DeliveryStatus
    created_at_s: float
    attempts: int = 0
    tries: int = 0
    next_try_at_s: float | None = None
    finished_at_s: float | None = None
    last_code: int | None = None
    last_error: str | None = None


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """One try. ``code`` is the HTTP status, if an answer came; ``error`` says in words why it did not succeed."""

    number: int
    at_s: float
    duration_s: float
    code: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows a try: the new status; ``next_try_at_s`` where it stays pending; ``gone``: the target wants no more."""

    status: DeliveryStatus
    next_try_at_s: float | None = None
    gone: bool = False


def delivery_id(job_id: str, event_type: str, event_number: int, url: str) -> str:
    """The one id of the message that tells this event to this URL."""
    return f"msg_{uuid.uuid5(_NAMESPACE, f'{job_id} {event_number} {event_type} {url}').hex}"
