"""Signatures after Standard Webhooks 1.0 (standardwebhooks.com): HMAC-SHA256 over id, timestamp and body. Pure.

A secret is ``whsec_`` and the base64 of 24 to 64 bytes. Several secrets sign side by side, so that one can be replaced while
receivers still have the other. A secret is never part of an error or of a ``repr``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence

PREFIX = "whsec_"
NEW_SECRET_BYTES = 32
_LEAST_BYTES, _MOST_BYTES = 24, 64


class BadSecret(ValueError):
    """The text is no secret; says why without it."""


class Signer:
    """Signs messages with one secret or several."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """``secrets`` as texts; raises ``BadSecret``."""
        if not secrets:
            raise BadSecret("There is no secret to sign with.")
        self._keys = tuple(_key_of(secret) for secret in secrets)

    def headers(self, message_id: str, at_s: float, body: bytes) -> dict[str, str]:
        """``webhook-id``, ``webhook-timestamp`` and ``webhook-signature`` of one try at ``at_s`` of the wall clock."""
        timestamp = str(int(at_s))
        signed = f"{message_id}.{timestamp}.".encode() + body
        digests = (base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode() for key in self._keys)
        signatures = " ".join(f"v1,{digest}" for digest in digests)
        return {"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": signatures}


class Signers:
    """Who signs what: the server, and tokens that have secrets of their own."""

    def __init__(self, server: Signer, tokens: Mapping[str, Signer]) -> None:
        """``tokens`` by name."""
        self._server = server
        self._tokens = tokens

    def of(self, name: str) -> Signer:
        """The signer of a token's messages; the server's for one that has none of its own, and for no name."""
        return self._tokens.get(name, self._server)


def secrets_of(text: str) -> tuple[str, ...]:
    """The secrets in a text that has one or several, separated by blanks or line breaks; raises ``BadSecret``."""
    secrets = tuple(text.split())
    if not secrets:
        raise BadSecret("There is no secret in it.")
    for secret in secrets:
        _key_of(secret)
    return secrets


def new_secret(random_bytes: bytes) -> str:
    """The secret of ``NEW_SECRET_BYTES`` random bytes."""
    return PREFIX + base64.b64encode(random_bytes).decode()


def _key_of(secret: str) -> bytes:
    if not secret.startswith(PREFIX):
        raise BadSecret(f"A webhook secret begins with {PREFIX}.")
    try:
        key = base64.b64decode(secret[len(PREFIX) :], validate=True)
    except (binascii.Error, ValueError):
        raise BadSecret(f"A webhook secret is {PREFIX} and base64.") from None
    if not _LEAST_BYTES <= len(key) <= _MOST_BYTES:
        raise BadSecret(f"A webhook secret holds {_LEAST_BYTES} to {_MOST_BYTES} bytes.")
    return key
