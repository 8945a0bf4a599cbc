"""Which addresses belong to the public internet."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

_CLOSED_V4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "168.63.129.16/32",  # Azure's agent and metadata
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/3",
        ),
    )
)
"""IANA's special-purpose registry (RFC 6890) without what is globally reachable, and multicast."""

_GLOBAL_V6 = IPv6Network("2000::/3")
_CLOSED_V6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
"""Of the global range: protocol assignments with Teredo, documentation, and 6to4."""

_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")


def is_public(address: Address) -> bool:
    """Tell whether *address* is one of a public host.

    Private, loopback, link-local, shared, multicast, documentation and reserved addresses are not. An IPv4
    address inside an IPv6 one (mapped, or translated by NAT64's well-known prefix) counts as itself; the
    tunnels Teredo and 6to4, whose other end can be anything, are refused.
    """
    if isinstance(address, IPv6Address):
        if address in _MAPPED or address in _NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
        return address in _GLOBAL_V6 and not any(address in closed for closed in _CLOSED_V6)
    return not any(address in closed for closed in _CLOSED_V4)


def parse(text: str) -> Address:
    """Return the address that a resolver wrote as *text*, without its zone."""
    return ip_address(text.partition("%")[0])
