"""Credits: balances, the ledger that explains them, and what edges hold of them."""

from sqlalchemy import BigInteger, Column, Index, String, Table

from edge.store.tables.base import metadata

balances = Table(
    "balances",
    metadata,
    Column("tenant_id", String, primary_key=True),
    Column("balance_micro", BigInteger, nullable=False),
    Column("updated_at", String, nullable=False),
    Column("granted_at", String, nullable=False, server_default="", index=True),
)
"""What no edge holds of a tenant's credits, in micro-units; below zero for one that pays later.
``granted_at`` is the time of the last grant, empty where there was none."""

ledger = Table(
    "ledger",
    metadata,
    Column("id", String, primary_key=True),
    Column("tenant_id", String, nullable=False),
    Column("at", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("amount_micro", BigInteger, nullable=False),
    Column("lease_id", String),
    Column("note", String, nullable=False),
)
"""Every change of what a tenant has, in micro-units; rows are only ever added. ``kind`` is ``grant`` or
``usage``. A tenant's sum is his balance and what open leases have left."""

Index("ix_ledger_tenant_id_at_id", ledger.c.tenant_id, ledger.c.at, ledger.c.id)

leases = Table(
    "leases",
    metadata,
    Column("id", String, primary_key=True),
    Column("tenant_id", String, nullable=False),
    Column("holder", String, nullable=False),
    Column("granted_micro", BigInteger, nullable=False),
    Column("settled_micro", BigInteger, nullable=False),
    Column("spent_micro", BigInteger, nullable=False),
    Column("opened_at", String, nullable=False),
    Column("expires_at", String, nullable=False),
    Column("closed_at", String),
    Column("moves", BigInteger, nullable=False, server_default="0"),
    Column("recalled_at", String),
)
"""Credits that the edge ``holder`` may spend without asking. ``settled_micro``, in the holder's own file, is
what those of its calls cost that have left the outbox; ``spent_micro`` is in the ledger. ``moves`` counts the
changes of ``granted_micro``. ``recalled_at`` is when another edge asked for what the holder does not need;
null once he has answered."""

Index("ix_leases_closed_at_expires_at", leases.c.closed_at, leases.c.expires_at)
Index("ix_leases_holder_closed_at", leases.c.holder, leases.c.closed_at)
Index("ix_leases_holder_recalled_at", leases.c.holder, leases.c.recalled_at)
Index("ix_leases_tenant_id_closed_at", leases.c.tenant_id, leases.c.closed_at)
