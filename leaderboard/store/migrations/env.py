"""Alembic's entry: run the migrations over the given connection."""

from alembic import context

from leaderboard.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
