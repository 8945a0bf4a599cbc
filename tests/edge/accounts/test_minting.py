from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.accounts import Billing, Key, KeyOrder, Limits, Scope, Tenant
from edge.accounts.minting import BeyondCaller, check, may_end, order_like, within

TENANT = Tenant("acme", "Acme", Billing.PREPAID, Limits(), "2026-01-01T00:00:00Z")
CALLER = Key(
    "key_1",
    TENANT,
    "caller",
    frozenset({Scope.KEYS, Scope.INFERENCE}),
    "2026-01-01T00:00:00Z",
    models=frozenset({"a", "b"}),
    regions=frozenset({"yto-01"}),
    limits=Limits(10, None, 2),
    expires_at="2026-06-01T00:00:00Z",
)
ORDER = KeyOrder("new", frozenset({Scope.INFERENCE}), "acme")


def test_what_is_left_out_is_the_callers() -> None:
    made = within(CALLER, ORDER)
    assert (made.models, made.regions, made.limits) == (CALLER.models, CALLER.regions, CALLER.limits)
    assert made.expires_at == datetime(2026, 6, 1, tzinfo=UTC)
    assert made.scopes == {Scope.INFERENCE}


def test_less_than_the_caller_has_is_given_as_asked() -> None:
    asked = replace(
        ORDER,
        models=frozenset({"a"}),
        regions=frozenset({"yto-01"}),
        limits=Limits(10, 500, 1),
        expires_at=datetime(2026, 5, 1, tzinfo=UTC),
    )
    assert within(CALLER, asked) == asked


def test_a_caller_without_a_limit_of_requests_has_the_default() -> None:
    caller = replace(CALLER, limits=Limits())
    below, above = replace(ORDER, limits=Limits(100)), replace(ORDER, limits=Limits(101))
    assert within(caller, ORDER, default_requests=100).limits == Limits()
    assert within(caller, below, default_requests=100).limits == Limits(100)
    with pytest.raises(BeyondCaller):
        within(caller, above, default_requests=100)
    assert within(caller, above, default_requests=0).limits == Limits(101)
    with pytest.raises(BeyondCaller):
        within(replace(caller, limits=Limits(50)), replace(ORDER, limits=Limits(51)), default_requests=100)
    assert within(replace(caller, limits=Limits(500)), above, default_requests=100).limits == Limits(101)


@pytest.mark.parametrize(
    ("field", "asked"),
    [
        ("tenant_id", replace(ORDER, tenant_id="default")),
        ("scopes", replace(ORDER, scopes=frozenset({Scope.READ}))),
        ("scopes", replace(ORDER, scopes=frozenset({Scope.INFERENCE, Scope.SUPERADMIN}))),
        ("models", replace(ORDER, models=frozenset({"a", "c"}))),
        ("regions", replace(ORDER, regions=frozenset({"nyc-01"}))),
        ("limits.requests_per_minute", replace(ORDER, limits=Limits(11, None, None))),
        ("limits.concurrent_requests", replace(ORDER, limits=Limits(1, 1, 3))),
        ("expires_at", replace(ORDER, expires_at=datetime(2026, 6, 1, 0, 0, 1, tzinfo=UTC))),
    ],
)
def test_more_than_the_caller_has_is_refused_by_field(field: str, asked: KeyOrder) -> None:
    with pytest.raises(BeyondCaller) as raised:
        within(CALLER, asked)
    assert raised.value.field == field
    superadmin = replace(CALLER, scopes=frozenset({Scope.SUPERADMIN}))
    assert within(superadmin, asked) == asked


@pytest.mark.parametrize(
    "freed",
    [{"models": None}, {"regions": None}, {"limits": Limits()}, {"expires_at": None}],
)
def test_a_key_without_a_bound_of_the_caller_is_not_the_callers_to_hold(freed: dict[str, Any]) -> None:
    check(CALLER, order_like(CALLER))
    with pytest.raises(BeyondCaller):
        check(CALLER, order_like(replace(CALLER, **freed)))


def test_an_operators_key_is_an_operators_to_end() -> None:
    superadmin = replace(CALLER, scopes=frozenset({Scope.SUPERADMIN}))
    assert may_end(CALLER, CALLER)
    assert not may_end(CALLER, superadmin)
    assert may_end(superadmin, superadmin)


some = st.frozensets(st.sampled_from("abc"), min_size=1)
limits = st.builds(Limits, *[st.none() | st.integers(1, 3)] * 3)
moments = st.none() | st.integers(1, 3).map(lambda day: f"2026-01-0{day}T00:00:00Z")
keys = st.builds(
    Key,
    id=st.just("k"),
    tenant=st.just(TENANT),
    name=st.just("n"),
    scopes=st.frozensets(st.sampled_from(sorted(set(Scope) - {Scope.SUPERADMIN})), min_size=1),
    created_at=st.just("2026-01-01T00:00:00Z"),
    models=st.none() | some,
    regions=st.none() | some,
    limits=limits,
    expires_at=moments,
)


def no_more(own: int | None, new: int | None) -> bool:
    return own is None or (new is not None and new <= own)


@given(keys, keys)
def test_no_key_makes_one_that_can_do_more(caller: Key, wanted: Key) -> None:
    try:
        made = within(caller, order_like(wanted))
    except BeyondCaller:
        return
    assert made.scopes <= caller.scopes
    for own, new in [(caller.models, made.models), (caller.regions, made.regions)]:
        assert own is None or (new is not None and new <= own)
    for name in Limits.__slots__:
        assert no_more(getattr(caller.limits, name), getattr(made.limits, name))
    if caller.expires_at is not None:
        assert made.expires_at is not None
        assert made.expires_at <= datetime.fromisoformat(caller.expires_at)
