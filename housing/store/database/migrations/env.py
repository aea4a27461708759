"""Run by Alembic: always online, on the connection that `store.database.open` hands over."""

from alembic import context

from housing.store.database.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transaction_per_migration=False,
)
context.run_migrations()
