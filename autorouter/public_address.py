"""Which address says where a caller is: the IPv4 address within an IPv6 one, if it is public at all."""

from ipaddress import IPv4Address, IPv6Address

from autorouter.networks import Address, Networks

NOT_PUBLIC_IPV4 = Networks.of(
    [
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private use
        "100.64.0.0/10",  # between a carrier and its customers
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local
        "172.16.0.0/12",  # private use
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays, no host's
        "192.168.0.0/16",  # private use
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/3",  # multicast, reserved, broadcast
    ]
)
"""IANA's registry of special-purpose IPv4 addresses, and multicast.

``ipaddress.is_global`` answers otherwise from one patch release of Python to the next, calls multicast
global and takes ten times as long.
"""

GLOBAL_UNICAST = Networks.of(["2000::/3"])
"""All that IANA has given out so far of IPv6 for hosts (RFC 4291, 2.4)."""

NOT_PUBLIC_IPV6 = Networks.of(
    [
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
    ]
)

_LOW_32 = 0xFFFF_FFFF


def public_address(address: Address) -> Address | None:
    """Return the address to look for in a GeoIP file, or None if *address* is not a public one.

    An IPv6 address that holds its host's IPv4 address counts as that one: mapped (``::ffff:0:0/96``),
    translated (``::ffff:0:0:0/96``), compatible (``::/96``), NAT64 (``64:ff9b::/96``), 6to4
    (``2002::/16``) and Teredo (``2001::/32``). If that is not public, neither is the whole. The local
    NAT64 prefix (``64:ff9b:1::/48``) says nothing: where in it the address lies is up to each network.

    This is for telling where a host is, never for telling who it is: anybody may send from such
    addresses, so a network that is trusted must not be matched against what is within them.
    """
    if isinstance(address, IPv6Address):
        within = _ipv4_within(address)
        if within is None:
            return address if address in GLOBAL_UNICAST and address not in NOT_PUBLIC_IPV6 else None
        address = within
    return None if address in NOT_PUBLIC_IPV4 else address


def _ipv4_within(address: IPv6Address) -> IPv4Address | None:
    number = int(address)
    match number >> 96:
        case 0x2001_0000:  # Teredo: the client's, all bits inverted (RFC 4380, 4)
            return IPv4Address(~number & _LOW_32)
        case high if high >> 16 == 0x2002:  # 6to4: the site's (RFC 3056, 2)
            return IPv4Address(number >> 80 & _LOW_32)
        # Mapped, translated, compatible (RFC 4291, 2.5.5; RFC 2765, 2.1), NAT64 (RFC 6052, 2.1).
        case 0 if number >> 32 in (0xFFFF, 0xFFFF_0000, 0):
            return IPv4Address(number & _LOW_32)
        case 0x0064_FF9B if number >> 32 == 0x0064_FF9B << 64:
            return IPv4Address(number & _LOW_32)
    return None
