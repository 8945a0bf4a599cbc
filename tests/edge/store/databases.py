"""Databases for tests: each test has its own, which is gone after it."""

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from edge.store import Database, database_file, open_fleet

SERVER = os.environ.get("NEAREDGE_TEST_POSTGRESQL", "postgresql://postgres@127.0.0.1:5432")
"""The PostgreSQL server that tests make databases at."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a database is: a node's home and, on PostgreSQL, a URL."""

    home: Path
    url: str | None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Database]:
        async with open_fleet(self.home, self.url) as database:
            yield database

    @property
    def file(self) -> Path:
        return database_file(self.home)


def require_postgresql() -> None:
    """Skip the test where no PostgreSQL server answers; under CI that is a failure."""
    try:
        psycopg.connect(f"{SERVER}/postgres", connect_timeout=3).close()
    except psycopg.OperationalError as error:
        reason = f"needs PostgreSQL at {SERVER}: {str(error).splitlines()[0]}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@contextmanager
def postgresql_database() -> Iterator[str]:
    """Make an empty database, give its URL, and drop it."""
    require_postgresql()
    name = f"nearedge_test_{secrets.token_hex(6)}"
    with psycopg.connect(f"{SERVER}/postgres", autocommit=True, connect_timeout=3) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield f"{SERVER}/{name}"
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
