from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.outbound.addresses import is_public, parse


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254"),
        *("169.254.169.254", "168.63.129.16", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1"),
        *("192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.7", "203.0.113.9", "224.0.0.1"),
        *("239.255.255.250", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254"),
        *("64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1"),
        *("2002:7f00:1::", "2002:808:808::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1"),
        *("fec0::1", "ff02::1", "ff0e::1"),
    ],
)
def test_what_is_not_public_is_refused(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.0.1.1"),
        *("198.17.0.1", "198.20.0.1", "223.255.255.254", "2606:4700:4700::1111", "2a00:1450::1"),
        *("::ffff:8.8.8.8", "64:ff9b::808:808", "2001:4860:4860::8888"),
    ],
)
def test_what_is_public_is_allowed(address: str) -> None:
    assert is_public(ip_address(address))


@given(st.ip_addresses(v=4))
def test_python_knows_nothing_private_that_is_allowed(address: IPv4Address) -> None:
    if is_public(address):
        assert address.is_global
        assert not address.is_multicast


@given(st.ip_addresses(v=4))
def test_an_address_inside_another_counts_as_itself(address: IPv4Address) -> None:
    for prefix in ("::ffff:0:0", "64:ff9b::"):
        inside = IPv6Address(int(IPv6Address(prefix)) | int(address))
        assert is_public(inside) == is_public(address)


@given(st.ip_addresses(v=6))
def test_python_knows_nothing_private_that_is_allowed_in_version_6(address: IPv6Address) -> None:
    if is_public(address) and address.ipv4_mapped is None:
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_site_local


def test_a_zone_does_not_matter() -> None:
    assert parse("fe80::1%eth0") == ip_address("fe80::1")
