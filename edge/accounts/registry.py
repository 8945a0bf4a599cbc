"""Tenants and keys for commands, which run beside the edges."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from edge.accounts.keys import KeyService
from edge.accounts.tenants import TenantService
from edge.store import KeyStore, TenantStore, open_fleet


@dataclass(frozen=True, slots=True)
class Registry:
    """What can be done with tenants and keys."""

    keys: KeyService
    tenants: TenantService


@asynccontextmanager
async def open_registry(home: Path, database_url: str | None) -> AsyncIterator[Registry]:
    """Open the fleet's tenants and keys if there is a URL, else those of the node whose state is in *home*.

    Raises:
        StoreError: the database cannot be used.
    """
    async with open_fleet(home, database_url) as database:
        tenants = TenantStore(database)
        yield Registry(KeyService(KeyStore(database), tenants), TenantService(tenants))
