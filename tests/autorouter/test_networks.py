from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorouter.networks import Address, Network, Networks

addresses = st.ip_addresses()


@st.composite
def networks(draw: st.DrawFn) -> Network:
    address = draw(addresses)
    prefix = draw(st.integers(0, address.max_prefixlen))
    return ip_network((address, prefix), strict=False)


@given(st.lists(networks(), max_size=8), addresses)
def test_address_is_in_them_if_it_is_in_one(given_networks: list[Network], address: Address) -> None:
    assert (address in Networks(given_networks)) == any(address in network for network in given_networks)


@given(st.lists(networks(), min_size=1, max_size=8))
def test_ends_of_each_network_are_in_and_their_neighbours_as_the_others_say(
    given_networks: list[Network],
) -> None:
    them = Networks(given_networks)
    kinds: dict[int, Callable[[int], Address]] = {4: IPv4Address, 6: IPv6Address}
    for network in given_networks:
        first, last = int(network.network_address), int(network.broadcast_address)
        for number in (first - 1, first, last, last + 1):
            if 0 <= number < 1 << network.max_prefixlen:
                address = kinds[network.version](number)
                assert (address in them) == any(address in other for other in given_networks)


def test_none_are_empty_and_hold_nothing() -> None:
    assert not Networks()
    assert ip_address("10.0.0.1") not in Networks()
    assert Networks.of(["0.0.0.0/0"])


@pytest.mark.parametrize("text", ["", "proxy", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/8/8", "::/129"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        Networks.of([text])
