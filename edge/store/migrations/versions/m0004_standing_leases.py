"""Leases that stand before a call, and are recalled where others need them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    # With defaults, for edges of an older version write to these tables until they are upgraded.
    op.add_column("balances", sa.Column("granted_at", sa.String(), nullable=False, server_default=""))
    op.execute("UPDATE balances SET granted_at = updated_at")
    op.create_index("ix_balances_granted_at", "balances", ["granted_at"])
    op.add_column("leases", sa.Column("moves", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("leases", sa.Column("recalled_at", sa.String()))
    op.create_index("ix_leases_holder_recalled_at", "leases", ["holder", "recalled_at"])
    # What an event charges counts as settled as long as it is in the outbox, and in this column after that.
    op.execute(
        "UPDATE leases SET settled_micro = settled_micro - waiting.micro FROM (SELECT lease_id, "
        "sum(charged_micro) AS micro FROM usage_outbox GROUP BY lease_id) AS waiting "
        "WHERE waiting.lease_id = leases.id"
    )
