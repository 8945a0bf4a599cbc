import pytest

from edge.store import Account, CreditStore, UsageStore
from tests.edge.store.databases import Place
from tests.edge.store.lease_steps import NOW, explained, grant
from tests.edge.store.usage_events import usage_event

pytestmark = pytest.mark.anyio


async def test_grants_add_up_and_are_listed_newest_first(place: Place) -> None:
    async with place.open() as database:
        store = CreditStore(database)
        assert await store.account("default") == Account(0, 0)
        for number, micro in enumerate((100, -30, 5)):
            assert await store.grant(grant(number, micro))
        assert not await store.grant(grant(9, 1, "nobody"))
        assert await store.account("default") == Account(75, 0)
        first = await store.ledger("default", limit=2)
        rest = await store.ledger("default", before=(first[-1].at, first[-1].id), limit=2)
    assert [*first, *rest] == [grant(2, 5), grant(1, -30), grant(0, 100)]


async def test_one_who_pays_later_goes_below_zero(place: Place) -> None:
    async with place.open() as database:
        await UsageStore(database).take_in([usage_event(charged_micro=30)], NOW)
        assert await CreditStore(database).account("default") == Account(-30, 0)
        assert await explained(database)
