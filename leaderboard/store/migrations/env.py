"""What Alembic runs: the migrations, over the connection that it was given."""

from alembic import context

from leaderboard.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
