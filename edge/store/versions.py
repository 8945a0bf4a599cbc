"""Versions of what edges copy."""

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from edge.store.tables import versions

ACCOUNTS = "accounts"


async def next_version(connection: AsyncConnection) -> int:
    """Take the next version of tenants and keys. The counter's row stays locked until the transaction ends,
    so that versions are committed in their order.
    """
    counter = versions.c.value
    statement = (
        update(versions).where(versions.c.name == ACCOUNTS).values(value=counter + 1).returning(counter)
    )
    return int((await connection.execute(statement)).scalar_one())
