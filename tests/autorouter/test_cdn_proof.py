import secrets
from ipaddress import ip_address

import pytest
from starlette.datastructures import Headers

from autorouter.cdn_proof import CdnProof
from autorouter.networks import Networks

SECRET = secrets.token_urlsafe()
BY_SECRET = CdnProof(header="X-Origin-Verify", secret=SECRET)
BY_NETWORK = CdnProof(networks=Networks.of(["192.0.2.0/24"]))
ELSEWHERE = [ip_address("203.0.113.9")]


def headers(*values: str, name: str = "X-Origin-Verify") -> Headers:
    return Headers(raw=[(name.lower().encode(), value.encode("latin-1")) for value in values])


def test_secret_is_a_proof() -> None:
    assert BY_SECRET.holds(headers(SECRET), ELSEWHERE)
    assert BY_SECRET.holds(headers(SECRET), [])


@pytest.mark.parametrize(
    "given",
    [
        headers(),
        headers(""),
        headers(SECRET[:-1]),
        headers(SECRET + "x"),
        headers(SECRET.swapcase()),
        headers("\xe9" * len(SECRET)),
        headers(SECRET, SECRET),
        headers("x", SECRET),
        headers(SECRET, name="X-Other"),
    ],
)
def test_anything_else_is_none(given: Headers) -> None:
    assert not BY_SECRET.holds(given, ELSEWHERE)


@pytest.mark.parametrize("secret", [None, ""])
def test_no_secret_is_proven_by_none(secret: str | None) -> None:
    proof = CdnProof(header="X-Origin-Verify", secret=secret)
    assert not proof.holds(headers(), ELSEWHERE)
    assert not proof.holds(headers(""), ELSEWHERE)


def test_network_is_a_proof_wherever_it_is_on_the_way() -> None:
    assert BY_NETWORK.holds(headers(), [ip_address("192.0.2.1")])
    assert BY_NETWORK.holds(headers(), [ip_address("10.0.0.1"), ip_address("192.0.2.1")])
    assert not BY_NETWORK.holds(headers(), ELSEWHERE)
    assert not BY_NETWORK.holds(headers(), [])


def test_either_is_enough() -> None:
    proof = CdnProof("X-Origin-Verify", SECRET, Networks.of(["192.0.2.0/24"]))
    assert proof.holds(headers("wrong"), [ip_address("192.0.2.1")])
    assert proof.holds(headers(SECRET), ELSEWHERE)
    assert not proof.holds(headers("wrong"), ELSEWHERE)


def test_secret_is_not_shown() -> None:
    assert SECRET not in repr(BY_SECRET)
