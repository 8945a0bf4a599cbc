"""Everything about accounts that a running edge has."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from edge.accounts.follower import Follower
from edge.accounts.freshness import Freshness
from edge.accounts.jwks import KeySet, is_url
from edge.accounts.kept_keys import FILE_NAME, KeptKeys
from edge.accounts.keyring import Keyring
from edge.accounts.keys import KeyService
from edge.accounts.scopes import Scope
from edge.accounts.sessions import SessionRules, Sessions
from edge.accounts.tenants import TenantService
from edge.settings import EdgeSettings
from edge.store import KeyStore, SnapshotStore, Stores, TenantStore

DOUBT_SECONDS = 10.0
"""How long after a fleet was last heard its edge may say that there is no such key."""


@dataclass(frozen=True, slots=True)
class Accounts:
    """``keyring`` finds the key of a request, ``sessions`` what a JWT may do, without leaving this node;
    ``sessions`` is None where no issuer is configured. ``keys`` and ``tenants`` change them, for the whole
    fleet. ``follower`` is None on a node without a fleet.
    """

    keyring: Keyring
    sessions: Sessions | None
    keys: KeyService
    tenants: TenantService
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
    freshness: Freshness | None = None
    keyring = Keyring(KeyStore(stores.local), cache_seconds=cache_seconds)
    follower: Follower | None = None
    if stores.in_fleet:
        poll_seconds = settings.edge_fleet_poll_seconds
        freshness = Freshness(
            stale_seconds=settings.edge_fleet_stale_seconds,
            doubt_seconds=max(DOUBT_SECONDS, 3 * poll_seconds),
        )
        keyring = Keyring(KeyStore(stores.local), cache_seconds=cache_seconds, certain=freshness.check)
        follower = Follower(SnapshotStore(stores), freshness, keyring.forget, poll_seconds=poll_seconds)
        await follower.start()
    tenants = TenantStore(stores.fleet)
    async with anyio.create_task_group() as tasks:
        if follower is not None:
            tasks.start_soon(follower.run)
        yield Accounts(
            keyring=keyring,
            sessions=_sessions(stores, settings, freshness, tasks),
            keys=KeyService(KeyStore(stores.fleet), tenants),
            tenants=TenantService(tenants),
            follower=follower,
        )
        tasks.cancel_scope.cancel()


def _sessions(
    stores: Stores, settings: EdgeSettings, freshness: Freshness | None, tasks: TaskGroup
) -> Sessions | None:
    if settings.jwt_issuer is None or settings.jwt_jwks is None:
        return None
    rules = SessionRules(
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        tenant_claim=settings.jwt_tenant_claim,
        scope_claim=settings.jwt_scope_claim,
        allowed_scopes=frozenset(map(Scope, settings.jwt_scopes)),
        default_tenant=settings.jwt_default_tenant,
        default_scopes=frozenset(map(Scope, settings.jwt_default_scopes)),
    )
    source = settings.jwt_jwks
    keys = KeySet(source, kept=KeptKeys(settings.home / FILE_NAME, source) if is_url(source) else None)
    tasks.start_soon(keys.run)
    local = TenantService(TenantStore(stores.local))
    return Sessions(rules, keys, local, freshness, cache_seconds=settings.edge_key_cache_seconds)
