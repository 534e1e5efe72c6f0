"""The one error tree.

::

    ExpeditorError
    ├── Refused                 the request is at fault
    │   ├── InvalidJson         INVALID_JSON
    │   ├── InvalidPrompt       INVALID_PROMPT
    │   ├── InvalidPromptId     INVALID_PROMPT_ID
    │   ├── UnknownNode         UNKNOWN_NODE
    │   ├── NodeNotAllowed      NODE_NOT_ALLOWED
    │   ├── InputInvalid        INPUT_INVALID         (``malformed`` picks 400 over 422)
    │   ├── LinkInvalid         LINK_INVALID
    │   ├── Cycle               CYCLE
    │   ├── NoOutput            NO_OUTPUT
    │   ├── MissingAsset        MISSING_ASSET
    │   ├── LimitExceeded       LIMIT_EXCEEDED        (``too_large`` picks 413 over 422)
    │   ├── Unauthenticated     UNAUTHENTICATED
    │   ├── Forbidden           FORBIDDEN
    │   ├── PriorityNotAllowed  PRIORITY_NOT_ALLOWED
    │   ├── NotFound            NOT_FOUND
    │   ├── Conflict            CONFLICT
    │   └── Gone                GONE
    ├── Busy                    come back later (``retry_after_s``)
    │   ├── QueueFull           QUEUE_FULL
    │   ├── QuotaExceeded       QUOTA_EXCEEDED
    │   ├── RateLimited         RATE_LIMITED
    │   ├── Draining            DRAINING
    │   └── StoreUnavailable    STORE_UNAVAILABLE
    └── Internal                INTERNAL

A class's docstring is its default message. ``code`` is the wire's word; HTTP statuses are given by the one
table in ``routes.errors``. An error carries every fault it found, each with a JSON pointer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a request.

    ``pointer`` is an RFC 6901 JSON pointer into the request body as the client sent it. The rest lets a stock answer
    take core's own shape: ``core_type`` is core's word (``required_input_missing`` ...), ``core_details`` its details.
    """

    pointer: str
    code: str
    message: str
    hint: str | None = None
    node_id: str | None = None
    class_type: str | None = None
    input_name: str | None = None
    core_type: str | None = None
    core_details: str | None = None
    extra: dict[str, Any] = field(default_factory=lambda: {})


class ExpeditorError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "INTERNAL"

    def __init__(
        self,
        message: str | None = None,
        *,
        details: dict[str, Any] | None = None,
        faults: tuple[Fault, ...] = (),
    ) -> None:
        """Build the error; ``message`` defaults to the class's docstring."""
        self.message = message or (type(self).__doc__ or "").strip()
        self.details: dict[str, Any] = details or {}
        self.faults = faults
        super().__init__(self.message)


class Refused(ExpeditorError):
    """The request cannot be accepted."""

    code = "INVALID_PROMPT"


class InvalidJson(Refused):
    """The body is not valid JSON."""

    code = "INVALID_JSON"


class InvalidPrompt(Refused):
    """The prompt is not a graph in ComfyUI's API format."""


class InvalidPromptId(Refused):
    """prompt_id must be a canonical lower-case UUID, or absent so that the server makes one."""

    code = "INVALID_PROMPT_ID"


class UnknownNode(Refused):
    """The prompt names a node class that this server does not have."""

    code = "UNKNOWN_NODE"


class NodeNotAllowed(Refused):
    """The prompt uses a node class that this server's settings do not allow."""

    code = "NODE_NOT_ALLOWED"


class InputInvalid(Refused):
    """An input's value does not fit its declaration."""

    code = "INPUT_INVALID"

    def __init__(
        self,
        message: str | None = None,
        *,
        details: dict[str, Any] | None = None,
        faults: tuple[Fault, ...] = (),
        malformed: bool = False,
    ) -> None:
        """Build it; ``malformed`` says that it is the form of the request (a header), not what it asks for."""
        super().__init__(message, details=details, faults=faults)
        self.malformed = malformed


class LinkInvalid(Refused):
    """A link does not lead to an output of a node in this prompt."""

    code = "LINK_INVALID"


class Cycle(Refused):
    """The prompt's links form a cycle."""

    code = "CYCLE"


class NoOutput(Refused):
    """The prompt has no output node, so there is nothing to run."""

    code = "NO_OUTPUT"


class MissingAsset(Refused):
    """The prompt refers to an asset that this server does not have."""

    code = "MISSING_ASSET"


class LimitExceeded(Refused):
    """The request is larger than this server accepts."""

    code = "LIMIT_EXCEEDED"

    def __init__(
        self,
        message: str | None = None,
        *,
        details: dict[str, Any] | None = None,
        faults: tuple[Fault, ...] = (),
        too_large: bool = False,
    ) -> None:
        """Build it; ``too_large`` says that the bytes as such are too many."""
        super().__init__(message, details=details, faults=faults)
        self.too_large = too_large


class Unauthenticated(Refused):
    """This server asks for a token."""

    code = "UNAUTHENTICATED"


class Forbidden(Refused):
    """You may not do this."""

    code = "FORBIDDEN"


class PriorityNotAllowed(Refused):
    """You may not use this priority."""

    code = "PRIORITY_NOT_ALLOWED"


class NotFound(Refused):
    """There is no such thing here."""

    code = "NOT_FOUND"


class Conflict(Refused):
    """The state of the thing does not allow this."""

    code = "CONFLICT"


class Gone(Refused):
    """It was here and is no more."""

    code = "GONE"


class Busy(ExpeditorError):
    """The server cannot take this now; try again."""

    code = "QUEUE_FULL"

    def __init__(
        self,
        message: str | None = None,
        *,
        details: dict[str, Any] | None = None,
        faults: tuple[Fault, ...] = (),
        retry_after_s: int = 5,
    ) -> None:
        """Build it; ``retry_after_s`` becomes the ``Retry-After`` header."""
        super().__init__(message, details=details, faults=faults)
        self.retry_after_s = retry_after_s


class QueueFull(Busy):
    """The queue is full."""


class QuotaExceeded(Busy):
    """Your quota is used up."""

    code = "QUOTA_EXCEEDED"


class RateLimited(Busy):
    """Too many requests."""

    code = "RATE_LIMITED"


class Draining(Busy):
    """The server finishes its work and takes no more."""

    code = "DRAINING"


class StoreUnavailable(Busy):
    """The queue's storage cannot be written, so nothing is accepted."""

    code = "STORE_UNAVAILABLE"


class Internal(ExpeditorError):
    """An error of ours; the log has it under the id given."""

    code = "INTERNAL"
