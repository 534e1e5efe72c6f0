"""Who a job belongs to (DESIGN 14), decided from plain facts of the request. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from .model import Principal

ANONYMOUS = Principal("anonymous")
MAX_NAME_LENGTH = 200


@dataclass(frozen=True, slots=True)
class PrincipalRules:
    """The settings that decide. ``user_header`` is believed only from ``proxies`` (addresses or networks)."""

    from_client_id: bool = True
    user_header: str | None = None
    proxies: Sequence[str] = ()


def principal_of(
    rules: PrincipalRules, remote: str | None, user: str | None, client_id: object, token: str | None = None
) -> Principal:
    """The principal: the token's name, else a trusted proxy's user, else the client id, else ``anonymous``.

    ``user`` is the header's value; ``token`` the name of the token that was shown and found right.
    """
    if token is not None:
        return Principal(token, trusted=True)
    if rules.user_header and user and remote and _is_trusted(remote, rules.proxies):
        return Principal(user[:MAX_NAME_LENGTH], trusted=True)
    if rules.from_client_id and isinstance(client_id, str) and client_id:
        return Principal(client_id[:MAX_NAME_LENGTH])
    return ANONYMOUS


def _is_trusted(remote: str, proxies: Sequence[str]) -> bool:
    try:
        address = ipaddress.ip_address(remote)
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            # What a socket that listens on IPv6 says of an IPv4 peer.
            address = address.ipv4_mapped
        return any(address in ipaddress.ip_network(proxy, strict=False) for proxy in proxies)
    except ValueError:
        return False
