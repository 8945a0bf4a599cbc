"""State of an edge, and the one place that knows SQL."""

from edge.store.credits import Account, CreditStore, HeldLeases, LeaseRow, LedgerRow, Wish
from edge.store.database import Database
from edge.store.errors import NewerDatabase, StoreError
from edge.store.event_rows import MOST_TOGETHER
from edge.store.keys import KeyRow, KeyStore, OwnedKey
from edge.store.outbox import OutboxStore
from edge.store.sketch import Sketch
from edge.store.snapshot import Snapshot, SnapshotStore
from edge.store.sqlite import database_file, open_sqlite
from edge.store.stores import Stores, open_fleet, open_stores
from edge.store.tenants import TenantRow, TenantStore
from edge.store.usage import UsageGroup, UsageRow, UsageStore, UsageSum
from edge.store.usage_event import UsageEvent

__all__ = [
    "MOST_TOGETHER",
    "Account",
    "CreditStore",
    "Database",
    "HeldLeases",
    "KeyRow",
    "KeyStore",
    "LeaseRow",
    "LedgerRow",
    "NewerDatabase",
    "OutboxStore",
    "OwnedKey",
    "Sketch",
    "Snapshot",
    "SnapshotStore",
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
