"""Everything about accounts that a running edge has."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from edge.accounts.follower import Follower
from edge.accounts.freshness import Freshness
from edge.accounts.keyring import Keyring
from edge.accounts.keys import KeyService
from edge.accounts.tenants import TenantService
from edge.settings import EdgeSettings
from edge.store import KeyStore, SnapshotStore, Stores, TenantStore

DOUBT_SECONDS = 10.0
"""How long after a fleet was last heard its edge may say that there is no such key."""


@dataclass(frozen=True, slots=True)
class Accounts:
    """``keyring`` finds the key of a request. ``keys`` and ``tenants`` change them, and ``local_tenants``
    finds a tenant without leaving this node. ``follower`` is None on a node without a fleet.
    """

    keyring: Keyring
    keys: KeyService
    tenants: TenantService
    local_tenants: TenantService
    follower: Follower | None

    async def changed(self) -> None:
        """Have this edge know at once what was just changed here.

        Raises:
            StoreError: a database failed; it will know with the next poll.
        """
        if self.follower is not None:
            await self.follower.catch_up()
        self.keyring.forget()


@asynccontextmanager
async def open_accounts(stores: Stores, settings: EdgeSettings) -> AsyncIterator[Accounts]:
    """Set up the accounts of one edge, and follow its fleet if it is in one.

    Raises:
        NewerDatabase: a newer version of Nearedge has changed the fleet's database.
        StoreError: this node's own file failed.
    """
    cache_seconds = settings.edge_key_cache_seconds
    local = KeyStore(stores.local)
    keys = KeyService(KeyStore(stores.fleet), TenantStore(stores.fleet))
    tenants, local_tenants = (TenantService(TenantStore(at)) for at in (stores.fleet, stores.local))
    if not stores.in_fleet:
        yield Accounts(Keyring(local, cache_seconds=cache_seconds), keys, tenants, local_tenants, None)
        return
    poll_seconds = settings.edge_fleet_poll_seconds
    freshness = Freshness(
        stale_seconds=settings.edge_fleet_stale_seconds,
        doubt_seconds=max(DOUBT_SECONDS, 3 * poll_seconds),
    )
    keyring = Keyring(local, cache_seconds=cache_seconds, certain=freshness.check)
    follower = Follower(SnapshotStore(stores), freshness, keyring.forget, poll_seconds=poll_seconds)
    await follower.start()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follower.run)
        yield Accounts(keyring, keys, tenants, local_tenants, follower)
        tasks.cancel_scope.cancel()
