"""Tenants, keys, their versions, and the snapshots of them.

A file of before there were migrations has its keys in a smaller table: they become the default tenant's.
"""

import secrets
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from shared.clock import rfc3339

revision = "0001"
down_revision = None


def upgrade() -> None:
    adopt = sa.inspect(op.get_bind()).has_table("keys")
    if adopt:
        op.rename_table("keys", "old_keys")
    _create()
    _fill()
    if adopt:
        op.execute("UPDATE versions SET value = 1 + (SELECT count(*) FROM old_keys)")
        op.execute(
            "INSERT INTO keys (id, tenant_id, name, sha256, scopes, created_at, revoked_at, version) "
            "SELECT id, 'default', name, sha256, scopes, created_at, revoked_at, "
            "1 + row_number() OVER (ORDER BY created_at, id) FROM old_keys"
        )
        op.drop_table("old_keys")


def _create() -> None:
    op.create_table(
        "tenants",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("billing", sa.String(), nullable=False),
        *_limits(),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tenants"),
    )
    op.create_index("ix_tenants_version", "tenants", ["version"])
    op.create_table(
        "keys",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("scopes", sa.String(), nullable=False),
        sa.Column("models", sa.String()),
        sa.Column("regions", sa.String()),
        *_limits(),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.Column("expires_at", sa.String()),
        sa.Column("revoked_at", sa.String()),
        sa.Column("rotated_from", sa.String()),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_keys_tenant_id"),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
        sa.UniqueConstraint("sha256", name="uq_keys_sha256"),
    )
    op.create_index("ix_keys_version", "keys", ["version"])
    op.create_index("ix_keys_created_at_id", "keys", ["created_at", "id"])
    op.create_index("ix_keys_tenant_id_created_at_id", "keys", ["tenant_id", "created_at", "id"])
    op.create_table(
        "versions",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_versions"),
    )
    op.create_table(
        "database_ids",
        sa.Column("id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_database_ids"),
    )
    op.create_table(
        "snapshots",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_at", sa.String()),
        sa.PrimaryKeyConstraint("name", name="pk_snapshots"),
    )


def _limits() -> list[sa.Column[int]]:
    names = ("requests_per_minute", "tokens_per_minute", "concurrent_requests")
    return [sa.Column(name, sa.Integer()) for name in names]


def _fill() -> None:
    op.execute("INSERT INTO versions (name, value) VALUES ('accounts', 1)")
    op.execute(sa.text("INSERT INTO database_ids (id) VALUES (:id)").bindparams(id=secrets.token_hex(16)))
    op.execute(
        sa.text(
            "INSERT INTO tenants (id, name, billing, created_at, version) "
            "VALUES ('default', 'Default', 'unmetered', :now, 1)"
        ).bindparams(now=rfc3339(datetime.now(UTC)))
    )
