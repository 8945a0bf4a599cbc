"""Requests that must not be done twice, and their answers."""

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, String, Table

from edge.store.tables.base import metadata

idempotency = Table(
    "idempotency",
    metadata,
    Column("id", String, primary_key=True),
    Column("tenant_id", String, nullable=False),
    Column("fingerprint", String, nullable=False),
    Column("owner", String, nullable=False),
    Column("state", String, nullable=False),
    Column("created_at", String, nullable=False),
    Column("lease_until_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False, index=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("status", Integer),
    Column("headers", String),
    Column("body", LargeBinary),
)
"""One row per request that carries a name of its own. ``id`` is a digest of that name and whose it is,
``fingerprint`` one of what was asked. ``state`` is ``running`` while the process ``owner`` works on it, which
renews the lease; ``kept`` once the answer is here; ``lost`` once it was answered and the answer is not kept.
``created_at`` is when it was begun, which stays when another process takes over from an owner that died.
``headers`` is a JSON list of pairs. Leases and expiry are Unix milliseconds, for leases are short."""
