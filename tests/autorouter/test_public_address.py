from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorouter.networks import Networks
from autorouter.public_address import public_address

WHERE_PYTHON_IS_OTHERWISE = Networks.of(
    [
        "192.0.0.0/24",  # two single addresses of it are global
        "192.88.99.0/24",
        "224.0.0.0/4",  # "global" multicast
        "2001::/23",  # single blocks of it are global
        "2002::/16",
        "3fff::/20",
    ]
)
GLOBAL_UNICAST = Networks.of(["2000::/3"])

FORMS = {
    "mapped": lambda number: 0xFFFF << 32 | number,
    "translated": lambda number: 0xFFFF_0000 << 32 | number,
    "compatible": lambda number: number,
    "NAT64": lambda number: 0x0064_FF9B << 96 | number,
    "6to4": lambda number: 0x2002 << 112 | number << 80 | 0x1234,
    "Teredo": lambda number: 0x2001_0000 << 96 | 0x4136_E378_8000_63BF << 32 | number ^ 0xFFFF_FFFF,
}


@pytest.mark.parametrize(
    ("text", "within"),
    [
        ("::ffff:8.8.8.8", "8.8.8.8"),
        ("::ffff:0:8.8.8.8", "8.8.8.8"),
        ("::8.8.8.8", "8.8.8.8"),
        ("64:ff9b::8.8.8.8", "8.8.8.8"),
        ("2002:808:808::1", "8.8.8.8"),
        ("2002:808:808:ffff:ffff:ffff:ffff:ffff", "8.8.8.8"),
        # The example of RFC 4380: server 65.54.227.120, client 192.0.2.45 there; another client here.
        ("2001:0:4136:e378:8000:63bf:f7f7:f7f7", "8.8.8.8"),
    ],
)
def test_ipv4_address_within_an_ipv6_one_counts(text: str, within: str) -> None:
    assert public_address(ip_address(text)) == ip_address(within)


@given(st.ip_addresses(v=4), st.sampled_from(sorted(FORMS)))
def test_every_form_is_as_public_as_what_is_within(address: IPv4Address, form: str) -> None:
    assert public_address(IPv6Address(FORMS[form](int(address)))) == public_address(address)


@given(st.ip_addresses(v=4))
def test_public_ipv4_is_what_python_calls_global(address: IPv4Address) -> None:
    if address not in WHERE_PYTHON_IS_OTHERWISE:
        assert (public_address(address) == address) == address.is_global


@given(st.ip_addresses(v=6, network="2000::/3"))
def test_public_ipv6_is_what_python_calls_global(address: IPv6Address) -> None:
    if address not in WHERE_PYTHON_IS_OTHERWISE:
        assert (public_address(address) == address) == address.is_global


@given(st.ip_addresses(v=6).filter(lambda address: address not in GLOBAL_UNICAST and int(address) >> 96 > 0))
def test_ipv6_that_is_given_out_to_nobody_is_not_public(address: IPv6Address) -> None:
    if int(address) >> 96 != 0x0064_FF9B:
        assert public_address(address) is None


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.31.255.255",
        "192.0.0.9",
        "192.168.0.1",
        "198.19.0.1",
        "203.0.113.9",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fec0::1",
        "fc00::1",
        "ff02::1",
        "100::1",
        "2001:db8::1",
        "2001:2::1",
        "3fff::1",
        "64:ff9b:1::808:808",
        "64:ff9b::1:808:808",
        "::ffff:10.0.0.1",
        "64:ff9b::10.0.0.1",
        "2002:a00:1::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "::127.0.0.1",
    ],
)
def test_address_that_is_not_public(text: str) -> None:
    assert public_address(ip_address(text)) is None


@pytest.mark.parametrize("text", ["1.0.0.0", "8.8.8.8", "172.32.0.1", "223.255.255.255", "2600::1"])
def test_public_address_is_itself(text: str) -> None:
    assert public_address(ip_address(text)) == ip_address(text)
