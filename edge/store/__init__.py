"""State of an edge, and the one place that knows SQL."""

from edge.store.database import Database
from edge.store.errors import NewerDatabase, StoreError
from edge.store.keys import KeyRow, KeyStore, OwnedKey
from edge.store.snapshot import Snapshot, SnapshotStore
from edge.store.sqlite import database_file, open_sqlite
from edge.store.stores import Stores, open_fleet, open_stores
from edge.store.tenants import TenantRow, TenantStore

__all__ = [
    "Database",
    "KeyRow",
    "KeyStore",
    "NewerDatabase",
    "OwnedKey",
    "Snapshot",
    "SnapshotStore",
    "StoreError",
    "Stores",
    "TenantRow",
    "TenantStore",
    "database_file",
    "open_fleet",
    "open_sqlite",
    "open_stores",
]
