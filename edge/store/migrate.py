"""Brings a database to the schema that this version of the code knows."""

from functools import cache
from importlib.resources import files

from sqlalchemy import Connection, inspect, text

from edge.store.errors import NewerDatabase

_FOLDER = files("edge.store") / "migrations"


@cache
def revisions() -> tuple[str, ...]:
    """Return the revisions that this code knows, the oldest first."""
    modules = [entry.name for entry in (_FOLDER / "versions").iterdir()]
    return tuple(sorted(name[1:5] for name in modules if name.startswith("m") and name.endswith(".py")))


def is_current(connection: Connection) -> bool:
    """Tell whether the database has the schema of this code.

    Raises:
        NewerDatabase: it has one that this code does not know.
    """
    if not inspect(connection).has_table("alembic_version"):
        return False
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    if unknown := [revision for revision in found if revision not in revisions()]:
        raise NewerDatabase(
            f"its schema is {', '.join(unknown)}, and this version of Nearedge knows {revisions()[-1]} at "
            "most; upgrade Nearedge here"
        )
    return found == [revisions()[-1]]


def migrate(connection: Connection) -> None:
    """Run the steps that the database has not seen, in the transaction that *connection* is in.

    Of several processes that do this at once the first one does the work and the others wait for it.

    Raises:
        NewerDatabase: the database has a schema that this code does not know.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('nearedge migrations'))"))
    if is_current(connection):
        return
    # Imported late: a database that is current, as it nearly always is, has no need of it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
