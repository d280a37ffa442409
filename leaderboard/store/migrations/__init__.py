"""Schema migrations, run by Alembic: one file per change in `versions`; a released file is never edited."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

MIGRATIONS_LOCK = 7_371_643  # any number, the same in every process


def migrate(connection: Connection) -> None:
    """Upgrade the schema inside the connection's transaction, one process at a time."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATIONS_LOCK})")
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
