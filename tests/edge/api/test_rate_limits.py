import pytest
from starlette.requests import Request

from edge.accounts import Billing, Key, Limits, Tenant
from edge.accounts.limits import Limit, Subject, Use, Verdict
from edge.api.rate_limits import address_of, refusal, subjects_of

NO_LIMITS = Limits()


def key(own: Limits = NO_LIMITS, tenants: Limits = NO_LIMITS) -> Key:
    tenant = Tenant("t", "t", Billing.UNMETERED, tenants, "2026-01-01T00:00:00Z")
    return Key("k", tenant, "k", frozenset(), "2026-01-01T00:00:00Z", limits=own)


def test_a_key_without_a_limit_of_its_own_has_the_default() -> None:
    (subject,) = subjects_of(key(), 100)
    assert subject == Subject("key", "k", "t", Limits(requests_per_minute=100))


def test_a_default_of_0_is_no_limit() -> None:
    (subject,) = subjects_of(key(Limits(tokens_per_minute=5)), 0)
    assert subject.limits == Limits(tokens_per_minute=5)


def test_the_limits_of_a_tenant_hold_for_all_its_keys_together() -> None:
    own, tenant = subjects_of(key(Limits(7, 8, 9), Limits(concurrent_requests=3)), 100)
    assert own.limits == Limits(7, 8, 9)
    assert tenant == Subject("tenant", "t", "t", Limits(concurrent_requests=3))


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
        (None, "unknown"),
    ],
)
def test_an_address_stands_for_all_that_its_owner_has(host: str | None, name: str) -> None:
    request = Request({"type": "http", "headers": [], "client": (host, 1) if host else None})
    (subject,) = address_of(request, 100)
    assert (subject.kind, subject.id, subject.limits) == ("address", name, Limits(100))
    assert address_of(request, 0) == ()


@pytest.mark.parametrize(
    ("limit", "words", "seconds"),
    [
        (Limit.REQUESTS, "7 requests a minute per key; try again in 20 s", "20"),
        (Limit.TOKENS, "8 tokens a minute per key; try again in 20 s", "20"),
        (Limit.CONCURRENT, "9 requests at a time per key; try again in 1 s", "1"),
    ],
)
def test_a_refusal_says_what_is_allowed_and_when_to_try_again(limit: Limit, words: str, seconds: str) -> None:
    subject = Subject("key", "k", "t", Limits(7, 8, 9))
    error = refusal(Verdict(100.0, 60, 120, (Use(),), (subject, limit)))
    assert error.status == 429
    assert error.detail == f"Rate limit exceeded: {words}"
    assert error.headers["Retry-After"] == seconds
    assert error.body()["error"]["type"] == "rate_limit_error"
    assert error.body()["error"]["code"] == "rate_limit_exceeded"
