"""Whose request it is: the socket's address, or what trusted proxies say about it."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

from autorouter.forwarded import for_nodes
from autorouter.networks import Address, Networks

MAX_HOPS = 32
"""How many proxies are walked past at most; who is behind more is unknown."""

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
    with_port = _WITH_PORT.fullmatch(text) if ":" in text else None
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


class Trail(NamedTuple):
    """``hops`` lead from the socket towards the caller, past trusted proxies only. ``caller`` is who is at
    the end, None where nobody can tell.
    """

    hops: tuple[Address, ...]
    caller: Address | None


NOBODY = Trail((), None)


def client_trail(
    peer: str | None,
    trusted_proxies: Networks,
    *,
    x_forwarded_for: Sequence[str] = (),
    forwarded: Sequence[str] = (),
) -> Trail:
    """Return the trail from the socket to the caller: the nearest hop that is no trusted proxy.

    *peer* is the socket's address; the headers are given in the order of arrival. Each proxy appends the
    address that it was called from, so only entries right of the first untrusted hop are worth anything;
    the rest is what the caller chose to write. A trusted proxy that forwards for nobody, without either
    header, calls on its own behalf. One whose headers lead to no caller, since an entry is no address or
    all are trusted proxies, forwards for somebody unknown, who is not where the proxy is.

    A proxy that writes one of the two headers passes the other on as the caller wrote it, and nobody here
    knows which it writes. So where both are given, they count only if they lead to the same caller.
    """
    first = parse_address(peer) if peer is not None else None
    if first is None:
        return NOBODY
    if first not in trusted_proxies or not (x_forwarded_for or forwarded):
        return Trail((first,), first)
    by_x_forwarded_for = _walk(first, _entries(x_forwarded_for), trusted_proxies)
    if not forwarded:
        return by_x_forwarded_for
    by_forwarded = _walk(first, _nodes(forwarded), trusted_proxies)
    if not x_forwarded_for or by_x_forwarded_for.caller == by_forwarded.caller:
        return by_forwarded
    return Trail((first,), None)


def _walk(first: Address, entries: Iterable[str | None], trusted_proxies: Networks) -> Trail:
    hops = [first]
    for entry in entries:
        before = parse_address(entry) if entry is not None else None
        if before is None:
            break
        hops.append(before)
        if before not in trusted_proxies:
            return Trail(tuple(hops), before)
        if len(hops) > MAX_HOPS:
            break
    return Trail(tuple(hops), None)


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
