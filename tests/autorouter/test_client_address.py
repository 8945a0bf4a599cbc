import time
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autorouter.client_address import MAX_HOPS, NOBODY, client_trail, parse_address
from autorouter.networks import Address, Networks

PROXIES = Networks.of(["10.0.0.0/8", "2001:db8:ffff::/48"])

addresses = st.ip_addresses().filter(lambda a: a not in PROXIES)
callers = addresses.filter(lambda a: a.version == 4 or a.ipv4_mapped is None)
proxies = st.ip_addresses(v=4, network="10.0.0.0/8") | st.ip_addresses(v=6, network="2001:db8:ffff::/48")
junk = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=40)


@st.composite
def headers(draw: st.DrawFn, entries: Sequence[str]) -> list[str]:
    """Spread *entries* over one header or several, as proxies do."""
    cuts = sorted(draw(st.lists(st.integers(0, len(entries)), max_size=3, unique=True)))
    parts = [entries[a:b] for a, b in zip([0, *cuts], [*cuts, len(entries)], strict=True)]
    return [draw(st.sampled_from([",", ", ", " ,\t"])).join(part) for part in parts if part]


def client_address(
    peer: str | None, x_forwarded_for: Sequence[str], proxies: Networks = PROXIES
) -> Address | None:
    return client_trail(peer, proxies, x_forwarded_for=x_forwarded_for).caller


def by_forwarded(peer: str, lines: Sequence[str]) -> Address | None:
    return client_trail(peer, PROXIES, forwarded=lines).caller


def element(address: Address) -> str:
    return f"for={address};proto=https" if address.version == 4 else f'for="[{address}]:443"'


@given(callers, st.lists(junk, max_size=4))
def test_headers_of_an_untrusted_peer_change_nothing(peer: Address, forwarded: list[str]) -> None:
    assert client_address(str(peer), forwarded, PROXIES) == peer
    assert client_address(str(peer), [*forwarded, "10.0.0.1"], PROXIES) == peer
    assert by_forwarded(str(peer), forwarded) == peer
    assert by_forwarded(str(peer), [*forwarded, "for=10.0.0.1"]) == peer


@given(st.data(), callers, st.lists(proxies, min_size=1, max_size=4), st.lists(junk, max_size=3))
def test_nearest_untrusted_hop_is_the_caller_whatever_he_wrote_before_it(
    data: st.DataObject, caller: Address, hops: list[Address], written: list[str]
) -> None:
    chain = [*written, str(caller), *map(str, hops[:-1])]
    x_forwarded_for = data.draw(headers(chain))
    assert client_address(str(hops[-1]), x_forwarded_for, PROXIES) == caller
    # A proxy adds a line of its own, or to one that it cannot make sense of at its own risk.
    forwarded = [*written, *data.draw(headers([element(hop) for hop in (caller, *hops[:-1])]))]
    assert by_forwarded(str(hops[-1]), forwarded) == caller


@given(proxies, st.lists(junk, max_size=5))
def test_anything_in_the_header_is_survived(peer: Address, forwarded: list[str]) -> None:
    entries = {parse_address(entry) for header in forwarded for entry in header.split(",")}
    assert client_address(str(peer), forwarded, PROXIES) in entries | ({None} if forwarded else {peer})
    by_forwarded(str(peer), forwarded)


@given(proxies, callers, proxies, junk.filter(lambda text: "," not in text and parse_address(text) is None))
def test_who_is_behind_a_bad_entry_is_unknown(peer: Address, caller: Address, hop: Address, bad: str) -> None:
    for chain, hops in (
        (bad, (peer,)),
        (f"{caller}, {bad}", (peer,)),
        (f"{caller}, {bad}, {hop}", (peer, hop)),
    ):
        assert client_trail(str(peer), PROXIES, x_forwarded_for=[chain]) == (hops, None)


@given(proxies)
def test_trusted_proxy_that_forwards_for_nobody_calls_itself(peer: Address) -> None:
    assert client_trail(str(peer), PROXIES) == ((peer,), peer)


@pytest.mark.parametrize("said", ["", "unknown", "for=unknown", "for=_hidden", "proto=https", 'for="'])
def test_trusted_proxy_that_forwards_for_somebody_unknown_is_not_the_caller(said: str) -> None:
    assert client_address("10.0.0.1", [said]) is None
    assert by_forwarded("10.0.0.1", [said]) is None


@given(callers, callers, proxies, junk)
def test_header_that_the_proxy_does_not_write_never_leads_elsewhere(
    caller: Address, other: Address, proxy: Address, written: str
) -> None:
    """Whichever of the two a proxy writes, the caller can only lose his place by sending the other."""
    for spoof in (element(other), element(proxy), f"{element(other)}, {element(caller)}", written, ""):
        trail = client_trail(str(proxy), PROXIES, x_forwarded_for=[str(caller)], forwarded=[spoof])
        assert trail.caller in (caller, None)
    for spoof in (str(other), str(proxy), f"{other}, {caller}", written, ""):
        trail = client_trail(str(proxy), PROXIES, x_forwarded_for=[spoof], forwarded=[element(caller)])
        assert trail.caller in (caller, None)


@given(callers, st.lists(proxies, min_size=1, max_size=4))
def test_proxies_may_write_both_headers(caller: Address, hops: list[Address]) -> None:
    chain = [caller, *hops[:-1]]
    both = client_trail(
        str(hops[-1]),
        PROXIES,
        x_forwarded_for=[", ".join(map(str, chain))],
        forwarded=[", ".join(map(element, chain))],
    )
    assert both == ((*reversed(hops), caller), caller)


def test_hops_go_from_the_socket_to_the_caller() -> None:
    trail = client_trail("10.0.0.1", PROXIES, x_forwarded_for=["9.9.9.9, 8.8.8.8, 10.0.0.3", "10.0.0.2"])
    assert [str(hop) for hop in trail.hops] == ["10.0.0.1", "10.0.0.2", "10.0.0.3", "8.8.8.8"]


def test_who_is_behind_a_chain_that_is_too_long_is_unknown() -> None:
    chain = ["8.8.8.8", *["10.0.0.2"] * MAX_HOPS]
    assert client_address("10.0.0.1", [",".join(chain[:-1])]) == IPv4Address("8.8.8.8")
    assert client_address("10.0.0.1", [",".join(chain)]) is None


def test_huge_header_costs_little() -> None:
    started = time.process_time()
    for filler in (",", "1.1.1.1,", "10.0.0.2,", "a", "[", "for=", '"'):
        line = filler * (1_000_000 // len(filler)) + ", 8.8.8.8"
        client_trail("10.0.0.1", PROXIES, x_forwarded_for=[line], forwarded=[line])
    assert time.process_time() - started < 1.0


@given(st.lists(proxies, min_size=1, max_size=5))
def test_chain_of_trusted_hops_only_leads_to_nobody(hops: list[Address]) -> None:
    trail = client_trail(str(hops[-1]), PROXIES, x_forwarded_for=[",".join(map(str, hops[:-1]))])
    assert trail == (tuple(reversed(hops)), None)


@pytest.mark.parametrize("peer", [None, "", "testclient", "/run/autorouter.sock"])
def test_peer_without_an_address_is_nobody(peer: str | None) -> None:
    assert client_trail(peer, PROXIES, x_forwarded_for=["8.8.8.8"]) == NOBODY


def test_mapped_peer_is_matched_as_the_ipv4_address_that_it_is() -> None:
    assert client_address("::ffff:10.0.0.1", ["::ffff:8.8.8.8"], PROXIES) == IPv4Address("8.8.8.8")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1\t", "192.0.2.1"),
        ("192.0.2.1:8080", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("[::ffff:c000:201]:1", "192.0.2.1"),
    ],
)
def test_address_is_read(text: str, expected: str) -> None:
    assert parse_address(text) == ip_address(expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "unknown",
        "_hidden",
        "for=192.0.2.1",
        '"192.0.2.1"',
        "192.0.2",
        "192.0.2.01",
        "192.0.2.1:",
        "192.0.2.1:http",
        "192.0.2.1/24",
        "192.0.2.1 8.8.8.8",
        "١٩٢.0.2.1",
        "3221225985",
        "0x7f.1",
        "[2001:db8::1",
        "2001:db8::1]:443",
        "[]",
        "fe80::1%eth0",
        "2001:db8::12345",
        "1:2:3:4:5:6:7:8:9",
        "1" * 100_000,
        "1:" * 100_000,
    ],
)
def test_what_is_no_address_is_not_read_as_one(text: str) -> None:
    assert parse_address(text) is None


@given(st.ip_addresses())
def test_every_address_is_read_back(address: IPv4Address | IPv6Address) -> None:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    assert parse_address(str(address)) == (mapped or address)
