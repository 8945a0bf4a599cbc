"""The tables."""

from sqlalchemy import Column, MetaData, String, Table

metadata = MetaData()

keys = Table(
    "keys",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("sha256", String, nullable=False, unique=True),
    Column("scopes", String, nullable=False),
    Column("created_at", String, nullable=False),
    Column("revoked_at", String),
)
"""API keys. ``sha256`` is the hex digest of the raw key, which is stored nowhere; ``scopes`` are joined by
spaces; times are RFC 3339 in UTC."""
