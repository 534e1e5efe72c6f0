"""Refusals that only the Comfy API v2 contract knows, each with the contract's own word for it. Pure.

Owns the words; which HTTP status each has is told in ``routes.v2.errors``. All other refusals are those of ``jobs.errors``.
"""

from __future__ import annotations

from typing import Any

from ...jobs.errors import Fault, InputInvalid, RateLimited

INVALID_REQUEST = "invalid_request"
INVALID_WORKFLOW = "invalid_workflow"
WORKFLOW_FORMAT_UI = "workflow_format_ui"
METADATA_INVALID = "metadata_invalid"
IDEMPOTENCY_KEY_REUSE = "idempotency_key_reuse"
INVALID_METADATA_FILTER = "invalid_metadata_filter"
INVALID_CURSOR = "invalid_cursor"
METHOD_NOT_ALLOWED = "method_not_allowed"
HASH_MISMATCH = "hash_mismatch"
ASSET_IN_USE = "asset_in_use"
BLOB_NOT_FOUND = "blob_not_found"
RANGE_NOT_SATISFIABLE = "range_not_satisfiable"
WORDS = frozenset(
    {
        *(INVALID_REQUEST, INVALID_WORKFLOW, WORKFLOW_FORMAT_UI, METADATA_INVALID, IDEMPOTENCY_KEY_REUSE),
        *(INVALID_METADATA_FILTER, INVALID_CURSOR, METHOD_NOT_ALLOWED),
        *(HASH_MISMATCH, ASSET_IN_USE, BLOB_NOT_FOUND, RANGE_NOT_SATISFIABLE),
    }
)


class ContractRefusal(InputInvalid):
    """The request does not fit the Comfy API v2 contract."""

    def __init__(
        self,
        word: str,
        message: str,
        *,
        details: dict[str, Any] | None = None,
        faults: tuple[Fault, ...] = (),
        malformed: bool = False,
    ) -> None:
        """``word`` is the contract's code, one of ``WORDS``; ``malformed`` as in ``InputInvalid``."""
        super().__init__(message, details=details, faults=faults, malformed=malformed)
        self.word = word


class TooManyStreams(RateLimited):
    """There are too many event streams open."""
