"""Credits and usage."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    _credits()
    op.create_table(
        "usage_outbox",
        sa.Column("seq", sa.Integer(), nullable=False, autoincrement=True),
        sa.Column("id", sa.String(), nullable=False),
        *_event(),
        sa.PrimaryKeyConstraint("seq", name="pk_usage_outbox"),
        sa.UniqueConstraint("id", name="uq_usage_outbox_id"),
    )
    op.create_table(
        "usage_events",
        sa.Column("id", sa.String(), nullable=False),
        *_event(),
        sa.PrimaryKeyConstraint("id", name="pk_usage_events"),
    )
    op.create_index("ix_usage_events_at", "usage_events", ["at"])
    group = ["tenant_id", "key_id", "day", "model", "adapter", "region", "service", "path"]
    tokens = ["prompt_tokens", "cached_tokens", "completion_tokens"]
    op.create_table(
        "usage_days",
        *_texts(*group),
        *_counts("requests", "errors", *tokens, "audio_ms", "characters", "cost_micro", "charged_micro"),
        sa.Column("total_ms_sum", sa.Double(), nullable=False),
        sa.Column("total_ms", sa.LargeBinary(), nullable=False),
        sa.Column("first_byte_ms", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint(*group, name="pk_usage_days"),
    )


def _credits() -> None:
    op.create_table(
        "balances",
        *_texts("tenant_id"),
        *_counts("balance_micro"),
        *_texts("updated_at"),
        sa.PrimaryKeyConstraint("tenant_id", name="pk_balances"),
    )
    op.create_table(
        "ledger",
        *_texts("id", "tenant_id", "at", "kind"),
        *_counts("amount_micro"),
        sa.Column("lease_id", sa.String()),
        *_texts("note"),
        sa.PrimaryKeyConstraint("id", name="pk_ledger"),
    )
    op.create_index("ix_ledger_tenant_id_at_id", "ledger", ["tenant_id", "at", "id"])
    op.create_table(
        "leases",
        *_texts("id", "tenant_id", "holder"),
        *_counts("granted_micro", "settled_micro", "spent_micro"),
        *_texts("opened_at", "expires_at"),
        sa.Column("closed_at", sa.String()),
        sa.PrimaryKeyConstraint("id", name="pk_leases"),
    )
    op.create_index("ix_leases_closed_at_expires_at", "leases", ["closed_at", "expires_at"])
    op.create_index("ix_leases_holder_closed_at", "leases", ["holder", "closed_at"])
    op.create_index("ix_leases_tenant_id_closed_at", "leases", ["tenant_id", "closed_at"])


def _event() -> list["sa.Column[Any]"]:
    where = ("model", "adapter", "region", "service", "path")
    return [
        *_texts("at", "tenant_id", "key_id", "request_id", *where),
        *_counts("prompt_tokens", "cached_tokens", "completion_tokens", "audio_ms", "characters", "status"),
        *_counts("cost_micro", "charged_micro"),
        sa.Column("lease_id", sa.String()),
        *(sa.Column(name, sa.Double(), nullable=False) for name in ("queue_ms", "first_byte_ms", "total_ms")),
    ]


def _texts(*names: str) -> list["sa.Column[Any]"]:
    return [sa.Column(name, sa.String(), nullable=False) for name in names]


def _counts(*names: str) -> list["sa.Column[Any]"]:
    return [sa.Column(name, sa.BigInteger(), nullable=False) for name in names]
