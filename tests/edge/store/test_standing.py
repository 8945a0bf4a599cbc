import pytest
from sqlalchemy import text

from edge.store import (
    Account,
    CreditStore,
    Database,
    LeaseStore,
    LedgerRow,
    StandingStore,
    TenantRow,
    TenantStore,
    UsageStore,
)
from tests.edge.store.databases import Place
from tests.edge.store.lease_steps import LATER, NOW, SOON, explained
from tests.edge.store.usage_events import usage_event

pytestmark = pytest.mark.anyio

LEASE = 100


async def tenant(database: Database, name: str, micro: int, at: str = NOW, billing: str = "prepaid") -> None:
    await TenantStore(database).add(TenantRow(name, name, billing, NOW))
    if micro:
        await grant(database, name, micro, at)


async def grant(database: Database, name: str, micro: int, at: str = NOW) -> None:
    await CreditStore(database).grant(LedgerRow(f"led_{name}_{micro}", name, at, "grant", micro, None, ""))


async def wanting(
    database: Database, holder: str = "here", since: str | None = None, limit: int = 9
) -> list[str]:
    return list(await StandingStore(database).wanting(holder, LEASE, since=since, limit=limit))


async def stand(database: Database, *names: str, holder: str = "here") -> dict[str, int]:
    rows = await StandingStore(database).stand(holder, names, LEASE, now=NOW, expires_at=SOON)
    return {row.tenant_id: row.granted_micro for row in rows}


async def test_prepaid_tenants_with_credits_want_leases_those_granted_last_first(place: Place) -> None:
    async with place.open() as database:
        await tenant(database, "a", 5000, "2026-03-01T12:00:01Z")
        await tenant(database, "b", 5000, "2026-03-01T12:00:03Z")
        await tenant(database, "c", 17, "2026-03-01T12:00:02Z")
        await tenant(database, "too_poor", 16)
        await tenant(database, "nothing", 0)
        await tenant(database, "later", 5000, billing="postpaid")
        assert await wanting(database) == ["b", "c", "a"]
        assert await wanting(database, limit=2) == ["b", "c"]
        assert await wanting(database, since="2026-03-01T12:00:02Z") == ["b", "c"]


async def test_a_lease_stands_until_half_of_it_is_used(place: Place) -> None:
    async with place.open() as database:
        store = StandingStore(database)
        await tenant(database, "a", 5000)
        await tenant(database, "b", 170)
        assert await stand(database, "a", "b") == {"a": 100, "b": 10}
        assert await CreditStore(database).account("b") == Account(160, 10)
        assert await wanting(database) == []
        assert set(await wanting(database, "there")) == {"a", "b"}
        assert await stand(database, "a", "b") == {"a": 100, "b": 10}
        (lease,) = (row for row in await store.stand("here", ["a"], LEASE, now=NOW, expires_at=LATER))
        assert lease.expires_at == LATER
        await UsageStore(database).take_in(
            [usage_event(tenant_id="a", lease_id=lease.id, charged_micro=50)], NOW
        )
        assert await wanting(database) == []
        await UsageStore(database).take_in(
            [usage_event(tenant_id="a", lease_id=lease.id, charged_micro=1)], NOW
        )
        assert await wanting(database) == ["a"]
        assert await stand(database, "a") == {"a": 151}
        assert await CreditStore(database).account("a") == Account(4849, 100)
        assert await explained(database, "a")


async def test_who_wants_a_lease_gets_one(place: Place) -> None:
    async with place.open() as database:
        for micro in range(60):
            await tenant(database, f"t{micro}", micro)
        asked = await wanting(database, limit=100)
        assert len(asked) == 60 - 17
        assert set(await stand(database, *asked)) == set(asked)
        assert await wanting(database, limit=100) == []
        await grant(database, "t17", 19)
        assert await wanting(database, limit=100) == [], "17 parts of 36 are 2, and it has half of that"
        await grant(database, "t17", 15)
        assert await wanting(database, limit=100) == ["t17"]
        assert (await stand(database, "t17"))["t17"] == 3


async def test_who_has_two_leases_wants_one(place: Place) -> None:
    second = (
        "INSERT INTO leases (id, tenant_id, holder, granted_micro, settled_micro, spent_micro, opened_at, "
        f"expires_at) VALUES ('lease_2', 'a', 'here', 10, 0, 0, '{NOW}', '{SOON}')"
    )
    async with place.open() as database:
        await tenant(database, "a", 170)
        await stand(database, "a")
        await grant(database, "a", 5000)
        await database.write(lambda connection: connection.execute(text(second)))
        assert await wanting(database) == ["a"]


async def test_it_is_known_who_has_a_lease_and_who_is_prepaid(place: Place) -> None:
    async with place.open() as database:
        store = StandingStore(database)
        await tenant(database, "a", 5000)
        await tenant(database, "later", 5000, billing="postpaid")
        await stand(database, "a")
        assert await store.tenants_of("here") == ["a"]
        assert await store.tenants_of("there") == []
        assert await store.balances(["a", "later", "nobody"]) == {"a": 4900}
        await LeaseStore(database).expire(before=LATER, now=LATER)
        assert await store.tenants_of("here") == []
