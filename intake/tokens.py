"""Who sends a request, by its bearer token: the tokens of the settings. Pure.

Owns the reading of the ``Authorization`` header and the comparison, which takes the same time for every wrong token. Knows
tokens by their SHA-256 alone. Does not own what a principal may do (``ceilings``), nor the refusal's HTTP (``routes``).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from ..jobs.errors import Forbidden, Unauthenticated
from ..jobs.model import WebhookTarget

LONGEST_TOKEN = 4_096
"""Longer ones are wrong without being looked at."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token of the settings. ``name`` is the principal whose requests it marks; ``sha256`` is hexadecimal.

    ``priority``: of jobs that name none; ``max_priority``: in place of the server's; ``webhook``: whom to tell of its jobs.
    """

    name: str
    sha256: str
    priority: int | None = None
    max_priority: int | None = None
    webhook: WebhookTarget | None = None
    admin: bool = False


class Tokens:
    """All tokens of a server. Without any, no ``Authorization`` header means anything, as on a server that has no tokens."""

    def __init__(self, tokens: Sequence[Token] = (), *, required: bool = False) -> None:
        """``required``: a request without a token is refused."""
        self._tokens = tuple((bytes.fromhex(token.sha256), token) for token in tokens)
        self._required = required

    def check(self, authorization: str | None) -> Token | None:
        """Whose request it is; None for one that shows no token, where none is required. Raises ``Unauthenticated``.

        Schemes other than Bearer show no token: a proxy in front may use them for itself.
        """
        shown = _bearer(authorization) if self._tokens else None
        if shown is None:
            if self._required:
                raise Unauthenticated("This server asks for a token: send Authorization: Bearer with yours.")
            return None
        token = self._find(shown)
        if token is None:
            raise Unauthenticated("This server does not know the token that was sent.")
        return token

    def name_of(self, authorization: str | None) -> str | None:
        """The name of the token that is shown, or None for none and for a wrong one. Never raises."""
        shown = _bearer(authorization) if self._tokens else None
        token = None if shown is None else self._find(shown)
        return None if token is None else token.name

    def listed(self, authorization: str | None) -> tuple[Token, ...]:
        """All tokens, for one with ``admin``. Raises ``Unauthenticated`` or ``Forbidden``."""
        token = self.check(authorization)
        if token is None:
            raise Unauthenticated("Only a token with admin may see this: send Authorization: Bearer with yours.")
        if not token.admin:
            raise Forbidden("Only a token with admin may see this.")
        return tuple(known for _, known in self._tokens)

    def _find(self, shown: str) -> Token | None:
        digest = hashlib.sha256(shown.encode("utf-8", "surrogateescape")).digest()
        found: Token | None = None
        for known, token in self._tokens:  # all of them, so that time tells nothing
            if hmac.compare_digest(known, digest):
                found = token
        return found


def _bearer(authorization: str | None) -> str | None:
    """The token of a Bearer header; None for any other. An empty or endless one is as good as a wrong one."""
    scheme, _, shown = (authorization or "").strip().partition(" ")
    if scheme.lower() != "bearer":
        return None
    return shown.strip()[: LONGEST_TOKEN + 1]
