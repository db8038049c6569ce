"""Alembic's entry: runs on the connection that `mdm.store.schema` hands over."""

from alembic import context

from mdm.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
context.run_migrations()
