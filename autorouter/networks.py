"""Sets of networks that are quick to look an address up in, however many they are."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    collapse_addresses,
    ip_network,
)
from typing import Self

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

Ranges = tuple[list[int], list[int]]
"""First and last addresses of ranges that ascend and do not overlap."""


class Networks:
    """Addresses, given by the networks that they are in: ``address in networks``. Empty is false."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        given = tuple(networks)
        self._ranges: Mapping[int, Ranges] = {
            4: _ranges(collapse_addresses(n for n in given if isinstance(n, IPv4Network))),
            6: _ranges(collapse_addresses(n for n in given if isinstance(n, IPv6Network))),
        }
        self._empty = not given

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """Read networks in CIDR notation; a bare address is a network of one.

        Raises:
            ValueError: one of them is not a network, or has bits set behind its prefix.
        """
        return cls(ip_network(text) for text in texts)

    def __contains__(self, address: Address) -> bool:
        firsts, lasts = self._ranges[address.version]
        number = int(address)
        at = bisect_right(firsts, number) - 1
        return at >= 0 and number <= lasts[at]

    def __bool__(self) -> bool:
        return not self._empty


def _ranges(collapsed: Iterable[Network]) -> Ranges:
    ends = [(int(n.network_address), int(n.broadcast_address)) for n in collapsed]
    return [first for first, _ in ends], [last for _, last in ends]
