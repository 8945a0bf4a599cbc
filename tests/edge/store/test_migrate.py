import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from edge.store import (
    HeldLeases,
    KeyStore,
    NewerDatabase,
    OutboxStore,
    StoreError,
    database_file,
    open_sqlite,
)
from edge.store import migrate as module
from edge.store.event_rows import add_events
from edge.store.migrate import revisions
from edge.store.postgresql import open_postgresql
from edge.store.tables import metadata
from edge.store.tables.usage import usage_outbox
from tests.edge.store.databases import Place
from tests.edge.store.usage_events import usage_event

Schema = dict[str, Any]

BEFORE_MIGRATIONS = """
CREATE TABLE keys (
    id VARCHAR NOT NULL, name VARCHAR NOT NULL, sha256 VARCHAR NOT NULL, scopes VARCHAR NOT NULL,
    created_at VARCHAR NOT NULL, revoked_at VARCHAR, PRIMARY KEY (id), UNIQUE (sha256)
);
INSERT INTO keys VALUES ('key_b', 'b', 'd2', 'inference', '2026-01-02T00:00:00Z', NULL);
INSERT INTO keys VALUES
    ('key_a', 'a', 'd1', 'inference superadmin', '2026-01-01T00:00:00Z', '2026-01-03T00:00:00Z');
"""

LEASES_OF_BEFORE = """
INSERT INTO leases
    (id, tenant_id, holder, granted_micro, settled_micro, spent_micro, opened_at, expires_at)
VALUES
    ('lease_1', 'default', 'here', 100, 40, 26, '2026-03-01T12:00:00Z', '2026-03-01T12:05:00Z'),
    ('lease_2', 'default', 'here', 100, 5, 5, '2026-03-01T12:00:00Z', '2026-03-01T12:05:00Z')
"""

OPEN = """
import anyio, sys
from edge.store.postgresql import open_postgresql

async def main():
    sys.stdin.readline()
    async with open_postgresql(sys.argv[1]) as database:
        await database.migrate()

print("ready", flush=True)
anyio.run(main)
"""


def reflected(connection: Connection) -> Schema:
    """Return everything that the tables promise, in the terms of neither kind of database."""
    found = inspect(connection)
    return {
        table: {
            "columns": {
                column["name"]: (column["type"].as_generic().__class__.__name__, column["nullable"])
                for column in found.get_columns(table)
            },
            "primary key": found.get_pk_constraint(table)["constrained_columns"],
            "unique": sorted(
                (str(unique["name"]), unique["column_names"])
                for unique in found.get_unique_constraints(table)
            ),
            "indexes": sorted(
                (str(index["name"]), index["column_names"], bool(index["unique"]))
                for index in found.get_indexes(table)
                if "duplicates_constraint" not in index
            ),
            "foreign keys": sorted(
                (str(key["name"]), key["constrained_columns"], key["referred_table"])
                for key in found.get_foreign_keys(table)
            ),
        }
        for table in found.get_table_names()
        if table != "alembic_version"
    }


async def schema(place: Place) -> Schema:
    async with place.open() as database:
        return await database.read(lambda connection: connection.run_sync(reflected))


@pytest.mark.anyio
async def test_both_kinds_of_database_have_the_same_schema(tmp_path: Path, postgresql: str) -> None:
    on_sqlite = await schema(Place(tmp_path, None))
    on_postgresql = await schema(Place(tmp_path, postgresql))
    assert on_sqlite == on_postgresql
    assert on_sqlite.keys() == metadata.tables.keys()


@pytest.mark.anyio
async def test_the_steps_make_what_the_tables_say(place: Place) -> None:
    def differences(connection: Connection) -> list[Any]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    async with place.open() as database:
        assert await database.read(lambda connection: connection.run_sync(differences)) == []


def test_the_steps_are_one_chain_named_by_their_files() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(module.__file__).parent / "migrations"))
    steps = list(ScriptDirectory.from_config(config).walk_revisions())
    assert [step.revision for step in reversed(steps)] == list(revisions())
    for step in steps:
        assert Path(step.path).name.startswith(f"m{step.revision}_")
        assert not hasattr(step.module, "downgrade")


@pytest.mark.anyio
async def test_opening_again_changes_nothing(place: Place) -> None:
    statement = text("SELECT id FROM database_ids")
    seen = []
    for _ in range(2):
        async with place.open() as database:
            rows = await database.read(lambda connection: connection.execute(statement))
            seen.append(rows.scalars().all())
    assert seen[0] == seen[1]
    assert len(seen[0]) == 1


@pytest.mark.anyio
async def test_keys_of_before_there_were_migrations_go_on(tmp_path: Path) -> None:
    with closing(sqlite3.connect(database_file(tmp_path))) as old:
        old.executescript(BEFORE_MIGRATIONS)
    async with open_sqlite(database_file(tmp_path)) as database:
        found = await KeyStore(database).page(limit=9)
        counter = text("SELECT value, (SELECT max(version) FROM keys) FROM versions")
        version = (await database.read(lambda connection: connection.execute(counter))).one()
    assert [(row.id, row.tenant_id, row.sha256, row.scopes, row.revoked_at) for row, _ in found] == [
        ("key_a", "default", "d1", "inference superadmin", "2026-01-03T00:00:00Z"),
        ("key_b", "default", "d2", "inference", None),
    ]
    assert {tenant.billing for _, tenant in found} == {"unmetered"}
    assert tuple(version) == (3, 3)
    assert await schema(Place(tmp_path, None)) == await schema(Place(tmp_path / "new", None))


@pytest.mark.anyio
async def test_what_waits_in_an_outbox_of_before_is_settled_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alembic import command

    upgrade = command.upgrade
    monkeypatch.setattr(command, "upgrade", lambda config, _: upgrade(config, "0003"))
    events = [usage_event(lease_id="lease_1", charged_micro=7) for _ in range(2)]
    async with place.open() as database:
        await database.write_sync(lambda connection: add_events(connection, usage_outbox, events))
        await database.write(lambda connection: connection.execute(text(LEASES_OF_BEFORE)))
    monkeypatch.undo()
    async with place.open() as database:
        held = await HeldLeases(database).of("here")
        assert {lease.id: lease.settled_micro for lease in held} == {"lease_1": 40, "lease_2": 5}
        await OutboxStore(database).forget(events)
        assert await HeldLeases(database).of("here") == held


@pytest.mark.anyio
async def test_a_database_of_a_newer_version_is_refused_and_left_as_it_is(place: Place) -> None:
    change = text("UPDATE alembic_version SET version_num = '9999'")
    async with place.open() as database:
        await database.write(lambda connection: connection.execute(change))
    for _ in range(2):
        with pytest.raises(NewerDatabase, match=r"its schema is 9999.*knows \d{4} at most; upgrade Nearedge"):
            async with place.open():
                pytest.fail("it was opened")


@pytest.mark.anyio
async def test_a_step_that_fails_leaves_nothing_behind(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from alembic import command

    upgrade = command.upgrade

    def fail(config: Config, revision: str) -> None:
        upgrade(config, revision)
        raise StoreError("the last step failed")

    monkeypatch.setattr(command, "upgrade", fail)
    with pytest.raises(StoreError, match="the last step failed"):
        async with place.open():
            pytest.fail("it was opened")
    monkeypatch.undo()
    assert (await schema(place)).keys() == metadata.tables.keys()


def test_several_processes_may_migrate_at_once(postgresql: str) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, postgresql],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate(timeout=60)[1] for process in started] == [""] * 4

    async def tenants() -> int:
        async with open_postgresql(postgresql) as database:
            statement = text("SELECT count(*) FROM tenants")
            return int((await database.read(lambda connection: connection.execute(statement))).scalar_one())

    assert anyio.run(tenants) == 1
