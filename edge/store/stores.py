"""Both databases of an edge: its own file, and the one that it shares with its fleet."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from edge.store.database import Database
from edge.store.postgresql import open_postgresql
from edge.store.sqlite import database_file, open_sqlite


@dataclass(frozen=True, slots=True)
class Stores:
    """``local`` is this node's file: the only one that a request waits for. ``fleet`` is PostgreSQL where a
    fleet is set up, which can be out of reach at any time, else it is the same object as ``local``.
    """

    local: Database
    fleet: Database

    @property
    def in_fleet(self) -> bool:
        return self.fleet is not self.local


@asynccontextmanager
async def open_stores(home: Path, database_url: str | None) -> AsyncIterator[Stores]:
    """Open the file of the node whose state lies in *home*, and the fleet's database if there is a URL.

    The file's schema is brought up to date; the fleet's database is not connected to yet.

    Raises:
        StoreError: the file cannot be used, or the URL is none.
    """
    in_fleet = database_url is not None
    async with open_sqlite(database_file(home, in_fleet=in_fleet)) as local:
        if database_url is None:
            yield Stores(local, local)
            return
        async with open_postgresql(database_url) as fleet:
            yield Stores(local, fleet)


@asynccontextmanager
async def open_fleet(home: Path, database_url: str | None) -> AsyncIterator[Database]:
    """Open the database that holds the truth, for a command: the fleet's if there is a URL, else the file.

    Raises:
        StoreError: it cannot be used.
    """
    if database_url is None:
        async with open_sqlite(database_file(home)) as local:
            yield local
        return
    async with open_postgresql(database_url) as fleet:
        await fleet.migrate()
        yield fleet
