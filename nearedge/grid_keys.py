"""The two keys of a local grid, which live as long as it runs."""

import socket
from dataclasses import dataclass
from pathlib import Path

import anyio

from edge.accounts import KeyOrder, NewKey, Scope, open_registry

_SCOPES = {
    "inference": frozenset({Scope.INFERENCE}),
    "operator": frozenset({Scope.INFERENCE, Scope.SUPERADMIN}),
}


@dataclass(frozen=True, slots=True)
class GridKeys:
    """Raw keys, to be shown and nowhere kept."""

    inference: str
    operator: str


def renew(home: Path, database_url: str | None = None) -> GridKeys:
    """Make both keys in the database of *home*, or the fleet's, and revoke those of earlier runs.

    Raises:
        StoreError: the database cannot be used.
    """
    inference, operator = anyio.run(_renew, home, database_url)
    return GridKeys(inference.raw, operator.raw)


async def _renew(home: Path, database_url: str | None) -> list[NewKey]:
    # Other machines of a fleet may run a local grid too, with keys of its own.
    grid = "local grid" if database_url is None else f"local grid on {socket.gethostname()}"
    orders = [KeyOrder(f"{grid}: {name}", scopes) for name, scopes in _SCOPES.items()]
    names = {order.name for order in orders}
    async with open_registry(home, database_url) as registry:
        async for old in registry.keys.all():
            if old.name in names and old.revoked_at is None:
                await registry.keys.revoke(old.id)
        return [await registry.keys.create(order) for order in orders]
