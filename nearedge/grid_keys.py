"""The two keys of a local grid, which live as long as it runs."""

from dataclasses import dataclass
from pathlib import Path

import anyio

from edge.accounts import KeyService, NewKey, Scope
from edge.store import KeyStore, database_file, open_database

_SCOPES = {
    "local grid: inference": (Scope.INFERENCE,),
    "local grid: operator": (Scope.INFERENCE, Scope.SUPERADMIN),
}


@dataclass(frozen=True, slots=True)
class GridKeys:
    """Raw keys, to be shown and nowhere kept."""

    inference: str
    operator: str


def renew(home: Path) -> GridKeys:
    """Make both keys in the database of *home*, and revoke those of earlier runs.

    Raises:
        StoreError: the database cannot be used.
    """
    inference, operator = anyio.run(_renew, home)
    return GridKeys(inference.raw, operator.raw)


async def _renew(home: Path) -> list[NewKey]:
    async with open_database(database_file(home)) as database:
        keys = KeyService(KeyStore(database), cache_seconds=0)
        for old in await keys.all():
            if old.name in _SCOPES and old.active:
                await keys.revoke(old.id)
        return [await keys.create(name, scopes) for name, scopes in _SCOPES.items()]
