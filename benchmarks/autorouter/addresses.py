"""Callers from everywhere: random public addresses."""

import random
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Any

from maxminddb import Reader

Address = IPv4Address | IPv6Address

V6_BLOCKS = tuple(
    IPv6Network(block)
    for block in ("2400::/12", "2600::/12", "2800::/12", "2a00::/12", "2c00::/12", "2001:400::/22")
)
"""What the five registries hand out (IANA's table of IPv6 unicast assignments); the rest is empty."""

V6_SHARE = 0.5
V6_KNOWN = 0.5
"""So many of the IPv6 addresses are of networks that the file knows: of random ones about one in ten is."""


def random_v4(source: random.Random) -> IPv4Address:
    while True:
        address = IPv4Address(source.getrandbits(32))
        if address.is_global and not address.is_multicast:
            return address


def random_v6(source: random.Random) -> IPv6Address:
    while True:
        block = source.choice(V6_BLOCKS)
        address = block.network_address + source.getrandbits(128 - block.prefixlen)
        if address.is_global:
            return address


def random_callers(reader: Reader, source: random.Random) -> Iterator[Address]:
    """Yield public addresses without end, half of them IPv6, as the file of *reader* allows.

    IPv4 addresses come as they are drawn, so most are in the file; of the IPv6 ones every second is.
    """
    has_v6 = reader.metadata().ip_version == 6
    while True:
        if not has_v6 or source.random() >= V6_SHARE:
            yield random_v4(source)
            continue
        known = source.random() < V6_KNOWN
        address = random_v6(source)
        while known and reader.get(address) is None:
            address = random_v6(source)
        yield address


def is_checkable(record: Any) -> bool:
    """Whether a record says where its network is, as far as anything is known of it: with coordinates."""
    if not isinstance(record, dict) or "country" not in record:
        return True
    return "latitude" in record.get("location", {})
