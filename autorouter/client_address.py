"""Whose request it is: the socket's address, or what trusted proxies say about it."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from autorouter.forwarded import for_nodes
from autorouter.networks import Address, Networks

MAX_HOPS = 32
"""How many proxies are walked past at most; a chain that has more ends at the last of these."""

_LONGEST = 64
"""Characters of an address at most, brackets, port and what blanks may be around it included."""

_WITH_PORT = re.compile(r"\[([^\[\]]+)\](?::\d{1,5})?|([^:]+):\d{1,5}")
"""``[2001:db8::1]:443``, ``[2001:db8::1]`` and ``192.0.2.1:443``, as some proxies write an address."""


def parse_address(text: str) -> Address | None:
    """Read an address, with a port or without; None if it is none. ``::ffff:192.0.2.1`` is 192.0.2.1."""
    text = text.strip()
    return _read(text) if len(text) <= _LONGEST else None


@lru_cache(maxsize=1024)
def _read(text: str) -> Address | None:
    # Proxies are the same few at every request.
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


def client_hops(
    peer: str | None,
    trusted_proxies: Networks,
    *,
    x_forwarded_for: Sequence[str] = (),
    forwarded: Sequence[str] = (),
) -> tuple[Address, ...]:
    """Return the hops from the socket to the caller, who is the last: the nearest that is no trusted proxy.

    *peer* is the socket's address; the headers are given in the order of arrival. Each proxy appends the
    address that it was called from, so only entries right of the first untrusted hop are worth anything;
    the rest is what the caller chose to write. An entry that is no address ends the walk at the hop
    before it. Empty if the socket has no IP address.

    A proxy that writes one of the two headers passes the other on as the caller wrote it, and nobody here
    knows which it writes. So where both are given, they count only if they lead to the same caller;
    otherwise the socket is all there is.
    """
    first = parse_address(peer) if peer is not None else None
    if first is None:
        return ()
    if first not in trusted_proxies or not (x_forwarded_for or forwarded):
        return (first,)
    by_x_forwarded_for = _walk(first, _entries(x_forwarded_for), trusted_proxies)
    by_forwarded = _walk(first, _nodes(forwarded), trusted_proxies)
    if not forwarded:
        return by_x_forwarded_for
    if not x_forwarded_for or by_x_forwarded_for[-1] == by_forwarded[-1]:
        return by_forwarded
    return (first,)


def _walk(first: Address, entries: Iterable[str | None], trusted_proxies: Networks) -> tuple[Address, ...]:
    hops = [first]
    for entry in entries:
        if hops[-1] not in trusted_proxies or len(hops) > MAX_HOPS:
            break
        before = parse_address(entry) if entry is not None else None
        if before is None:
            break
        hops.append(before)
    return tuple(hops)


def _entries(lines: Sequence[str]) -> Iterator[str]:
    """Yield the entries of X-Forwarded-For from the right, without looking at those that nobody asks for."""
    for line in reversed(lines):
        end = len(line)
        while end >= 0:
            comma = line.rfind(",", 0, end)
            yield line[comma + 1 : end]
            end = comma


def _nodes(lines: Sequence[str]) -> Iterator[str | None]:
    for line in reversed(lines):
        yield from reversed(for_nodes(line))
