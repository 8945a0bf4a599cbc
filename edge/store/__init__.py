"""State of an edge, and the one place that knows SQL."""

from edge.store.database import Database, StoreError, database_file, open_database
from edge.store.keys import KeyRow, KeyStore

__all__ = ["Database", "KeyRow", "KeyStore", "StoreError", "database_file", "open_database"]
