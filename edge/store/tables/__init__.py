"""The tables: the same in an edge's own SQLite file and in the PostgreSQL of a fleet.

Times are RFC 3339 in UTC, to the second, so that they sort as text. What these tables say is what a migration
makes: a test compares the two on both kinds of database.
"""

from edge.store.tables.accounts import database_ids, keys, snapshots, tenants, versions
from edge.store.tables.base import metadata
from edge.store.tables.credits import balances, leases, ledger
from edge.store.tables.idempotency import idempotency
from edge.store.tables.usage import usage_days, usage_events, usage_outbox

__all__ = [
    "balances",
    "database_ids",
    "idempotency",
    "keys",
    "leases",
    "ledger",
    "metadata",
    "snapshots",
    "tenants",
    "usage_days",
    "usage_events",
    "usage_outbox",
    "versions",
]
