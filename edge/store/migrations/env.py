"""What Alembic runs: the steps, on the connection and in the transaction of whoever called it."""

from alembic import context

from edge.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # SQLite's too: the transaction was begun by a statement of ours
)
context.run_migrations()
