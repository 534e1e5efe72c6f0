"""Which addresses on the web a webhook may have: the form of its URL, and what the settings allow. Pure.

The form and whatever can be told from the text are judged when a job is submitted; where a name leads is judged at each delivery
anew, by ``refusal_of_address``, because names change.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import SplitResult, urlsplit

from .addresses import Address, Network, address_of, is_in, is_outside

LONGEST_URL = 2_048
_SOUND = re.compile(r"[!-~]+")  # no space, no control character, nothing that needs an encoding
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?")
_BRACKETED = re.compile(r"\[[0-9A-Fa-f:.]+\](:[0-9]*)?")
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class WebhookUrl:
    """A URL that is well formed. ``host`` in small letters, without brackets and the closing dot; ``port`` always a number."""

    text: str
    scheme: str
    host: str
    port: int

    @property
    def place(self) -> str:
        """Host and port, as they may be shown and logged: a path or query may hold a secret."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class BadUrl(ValueError):
    """The text is no URL of a webhook; says why in a sentence without the text."""


def parse_url(text: object) -> WebhookUrl:
    """Read a URL. Raises ``BadUrl``."""
    if not isinstance(text, str):
        raise BadUrl("The URL must be text.")
    if not 0 < len(text) <= LONGEST_URL:
        raise BadUrl(f"The URL must have 1 to {LONGEST_URL} characters.")
    if not _SOUND.fullmatch(text) or "\\" in text:
        raise BadUrl(
            "The URL must be ASCII without spaces and backslashes; write others as %XX, and a host as punycode."
        )
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        raise BadUrl("The URL is malformed.") from None
    if "#" in text:
        raise BadUrl("The URL must not have a fragment (#).")
    _check_parts(parts, host, port)
    return WebhookUrl(text, parts.scheme, host, port or _PORTS[parts.scheme])


def _check_parts(parts: SplitResult, host: str, port: int | None) -> None:
    if parts.scheme not in _PORTS:
        raise BadUrl("The URL must begin with https://.")
    if "@" in parts.netloc:
        raise BadUrl("The URL must not hold a user name or a password.")
    if "[" in parts.netloc and not _BRACKETED.fullmatch(parts.netloc):
        raise BadUrl("The URL's address is malformed.")
    if not host or (address_of(host) is None and not _HOST.fullmatch(host)):
        raise BadUrl("The URL names no host.")
    if port == 0:
        raise BadUrl("The URL has no usable port.")


@dataclass(frozen=True, slots=True)
class WebhookRules:
    """The settings. ``networks`` that are not of the public internet and may be called all the same, at any port.

    ``hosts``: globs of host names that may be called, empty: all. ``per_job``: whether clients may name targets at all.
    """

    per_job: bool = True
    allow_http: bool = False
    networks: Sequence[Network] = ()
    ports: Sequence[int] = (80, 443, 8080, 8443)
    hosts: Sequence[str] = ()

    def refusal_of_url(self, url: WebhookUrl) -> str | None:
        """Why this URL may not be called, as far as its text tells; None if it may."""
        if url.scheme == "http" and not self.allow_http:
            return "This server calls https:// only (setting webhook_allow_http)."
        if self.hosts and not any(fnmatchcase(url.host, glob.lower()) for glob in self.hosts):
            return "This server does not call that host (setting webhook_hosts)."
        address = address_of(url.host)
        if url.host == "localhost" and not self.networks:
            return _INWARD
        return None if address is None else self.refusal_of_address(url, address)

    def refusal_of_address(self, url: WebhookUrl, address: Address) -> str | None:
        """Why the URL may not be called where its host leads to; None if it may."""
        if is_in(address, self.networks):
            return None
        if not is_outside(address):
            return _INWARD
        if url.port not in self.ports:
            return f"This server does not call port {url.port} (setting webhook_ports)."
        return None


_INWARD = "The host leads to an address that is not of the public internet (setting webhook_allow_networks)."
