"""Grants and draws for tests, of the tenant ``default``."""

from edge.store import CreditStore, Cut, Database, LeaseRow, LeaseStore, LedgerRow, Short, Wish

NOW, SOON, LATER = "2026-03-01T12:00:00Z", "2026-03-01T12:05:00Z", "2026-03-01T13:00:00Z"


def grant(number: int, micro: int, tenant_id: str = "default") -> LedgerRow:
    return LedgerRow(
        f"led_{number}", tenant_id, f"2026-03-01T12:00:0{number}.000Z", "grant", micro, None, "note"
    )


async def draw(database: Database, need: int, most: int = 0, holder: str = "here") -> LeaseRow | Short:
    return await LeaseStore(database).draw(Wish("default", holder, need, most), now=NOW, expires_at=SOON)


async def drawn(database: Database, need: int, most: int = 0, holder: str = "here") -> LeaseRow:
    row = await draw(database, need, most, holder)
    assert isinstance(row, LeaseRow)
    return row


async def cut(database: Database, row: LeaseRow, micro: int, *, close: bool = False) -> LeaseRow | None:
    order = Cut(row.id, row.tenant_id, row.moves, micro, close)
    return (await LeaseStore(database).cut([order], NOW)).get(row.id)


async def explained(database: Database, tenant_id: str = "default") -> bool:
    """Whether the ledger's sum is the balance and what leases have left."""
    store = CreditStore(database)
    entries = await store.ledger(tenant_id, limit=10_000)
    account = await store.account(tenant_id)
    return sum(entry.amount_micro for entry in entries) == account.credits_micro
