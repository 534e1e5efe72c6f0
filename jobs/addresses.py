"""Which network addresses belong to the outside world: nobody may have this server call what only it can reach. Pure.

Owns the list. Python's ``is_global`` knows most of it, but takes some for global that lead inwards: translated and tunnelled
IPv4, old site-local ranges, the cloud's own services.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_INWARD: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",  # this network, unspecified
        "10.0.0.0/8",
        "100.64.0.0/10",  # behind a carrier's NAT; some clouds have their metadata here
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's host
        "169.254.0.0/16",  # link-local: the metadata of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "::/96",  # unspecified, loopback, IPv4-compatible
        "64:ff9b::/96",  # NAT64: an IPv4 address of any kind stands inside
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",  # Teredo and other protocol assignments
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address stands inside
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)


def address_of(text: str) -> Address | None:
    """The address that ``text`` is, or None. IPv4 in IPv6 (``::ffff:``) is the IPv4 address that it leads to."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_outside(address: Address, allowed: Sequence[Network] = ()) -> bool:
    """Whether ``address`` is one of the public internet, or in one of the ``allowed`` networks."""
    if is_in(address, allowed):
        return True
    return address.is_global and not is_in(address, _INWARD)


def is_in(address: Address, networks: Sequence[Network]) -> bool:
    """Whether one of ``networks`` holds the address."""
    return any(address.version == network.version and address in network for network in networks)
