"""Tenants, their keys, and how far each edge has copied them."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table

from edge.store.tables.base import metadata

tenants = Table(
    "tenants",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("billing", String, nullable=False),
    Column("requests_per_minute", Integer),
    Column("tokens_per_minute", Integer),
    Column("concurrent_requests", Integer),
    Column("created_at", String, nullable=False),
    Column("version", BigInteger, nullable=False, index=True),
)
"""Who owns keys. ``billing`` is ``prepaid``, ``postpaid`` or ``unmetered``; a limit that is null is none."""

keys = Table(
    "keys",
    metadata,
    Column("id", String, primary_key=True),
    Column("tenant_id", String, ForeignKey("tenants.id"), nullable=False),
    Column("name", String, nullable=False),
    Column("sha256", String, nullable=False, unique=True),
    Column("scopes", String, nullable=False),
    Column("models", String),
    Column("regions", String),
    Column("requests_per_minute", Integer),
    Column("tokens_per_minute", Integer),
    Column("concurrent_requests", Integer),
    Column("created_at", String, nullable=False),
    Column("expires_at", String),
    Column("revoked_at", String),
    Column("rotated_from", String),
    Column("version", BigInteger, nullable=False, index=True),
)
"""API keys. ``sha256`` is the hex digest of the raw key, which is stored nowhere. ``scopes``, ``models`` and
``regions`` are joined by spaces; null models or regions are all of them. ``rotated_from`` is the id of the
key that this one takes over from."""

Index("ix_keys_created_at_id", keys.c.created_at, keys.c.id)
Index("ix_keys_tenant_id_created_at_id", keys.c.tenant_id, keys.c.created_at, keys.c.id)

versions = Table(
    "versions",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""Counters. Every change of a tenant or key takes the next value of ``accounts`` while it holds that row, so
that whoever has seen a version has seen all before it."""

database_ids = Table("database_ids", metadata, Column("id", String, primary_key=True))
"""One row: a random name of this database, so that a copy of another one is not taken for one of it."""

snapshots = Table(
    "snapshots",
    metadata,
    Column("name", String, primary_key=True),
    Column("source", String, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("confirmed_at", String),
)
"""What an edge's own file holds of the fleet's database ``source``: all up to ``version``, as of
``confirmed_at``; null while the first copy is not whole."""
