"""Whose request it is: the socket's address, or what trusted proxies say about it."""

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_WITH_PORT = re.compile(r"\[([^\[\]]+)\](?::\d{1,5})?|([^:]+):\d{1,5}")
"""``[2001:db8::1]:443``, ``[2001:db8::1]`` and ``192.0.2.1:443``, as some proxies write an address."""


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Read networks in CIDR notation; a bare address is a network of one.

    Raises:
        ValueError: one of them is not a network, or has bits set behind its prefix.
    """
    return tuple(ip_network(text) for text in texts)


def parse_address(text: str) -> Address | None:
    """Read an address, with a port or without; None if it is none. ``::ffff:192.0.2.1`` is 192.0.2.1."""
    text = text.strip()
    with_port = _WITH_PORT.fullmatch(text)
    if with_port is not None:
        text = with_port[1] or with_port[2]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return None
        return address.ipv4_mapped or address
    return address


def client_address(
    peer: str | None, forwarded: Sequence[str], trusted_proxies: Sequence[Network]
) -> Address | None:
    """Return the caller's address: the nearest hop that is no trusted proxy.

    *peer* is the socket's address, *forwarded* every X-Forwarded-For header in the order of arrival.
    Each proxy appends the address that it was called from, so only entries right of the first untrusted
    hop are worth anything; the rest is what the caller chose to write. An entry that is no address ends
    the walk at the hop before it. None if the socket has no IP address.
    """
    hop = parse_address(peer) if peer is not None else None
    if hop is None:
        return None
    for entry in reversed(",".join(forwarded).split(",")):
        if not any(hop in network for network in trusted_proxies):
            break
        before = parse_address(entry)
        if before is None:
            break
        hop = before
    return hop
