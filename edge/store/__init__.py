"""State of an edge, and the one place that knows SQL."""

from edge.store.credits import Account, CreditStore, LedgerRow
from edge.store.database import Database
from edge.store.errors import NewerDatabase, StoreError
from edge.store.event_rows import MOST_TOGETHER
from edge.store.held_leases import HeldLeases
from edge.store.keys import KeyRow, KeyStore, OwnedKey
from edge.store.leases import Cut, Elsewhere, LeaseRow, LeaseStore, Short, Wish
from edge.store.outbox import OutboxStore
from edge.store.sketch import Sketch
from edge.store.snapshot import Snapshot, SnapshotStore
from edge.store.sqlite import database_file, open_sqlite
from edge.store.standing import StandingStore
from edge.store.stores import Stores, open_fleet, open_stores
from edge.store.tenants import TenantRow, TenantStore
from edge.store.usage import UsageGroup, UsageRow, UsageStore, UsageSum
from edge.store.usage_event import UsageEvent

__all__ = [
    "MOST_TOGETHER",
    "Account",
    "CreditStore",
    "Cut",
    "Database",
    "Elsewhere",
    "HeldLeases",
    "KeyRow",
    "KeyStore",
    "LeaseRow",
    "LeaseStore",
    "LedgerRow",
    "NewerDatabase",
    "OutboxStore",
    "OwnedKey",
    "Short",
    "Sketch",
    "Snapshot",
    "SnapshotStore",
    "StandingStore",
    "StoreError",
    "Stores",
    "TenantRow",
    "TenantStore",
    "UsageEvent",
    "UsageGroup",
    "UsageRow",
    "UsageStore",
    "UsageSum",
    "Wish",
    "database_file",
    "open_fleet",
    "open_sqlite",
    "open_stores",
]
