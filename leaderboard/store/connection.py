"""Connections to SQLite in one file, or to PostgreSQL, and the upgrade of their schema.

A new database has the tables of `schema.py`. Alembic upgrades an older one: one file per change in
`migrations/versions`; a test upgrades the tables of release 1 and compares.
"""

import sqlite3
import time
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import URL, Connection, Engine, MetaData, create_engine, event, make_url

from adapters.methods import UserError

BUSY_SECONDS = 30  # that SQLite waits for other writers
MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATIONS_LOCK = 7_371_643  # any number, the same in every process


def open_engine(url: URL) -> Engine:
    """The SQLAlchemy engine of a URL. Raises UserError for another kind of database."""
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise UserError(f"{url.get_backend_name()!r} databases do not work here: use sqlite or postgresql.")
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    engine = create_engine(url, pool_pre_ping=True)
    if url.get_backend_name() == "sqlite":
        event.listen(engine, "connect", configure_sqlite)
        event.listen(engine, "begin", begin_sqlite)
    return engine


def sqlite_file(url: str) -> Path | None:
    """The file of a SQLite database; None for another kind, or for one in memory."""
    parsed = make_url(url)
    named = parsed.get_backend_name() == "sqlite" and parsed.database not in (None, "", ":memory:")
    return Path(str(parsed.database)) if named else None


def configure_sqlite(connection: Any, _: Any) -> None:
    """Turn on foreign keys and full durability."""
    connection.isolation_level = None  # else Python's driver begins transactions late, or never
    for pragma in (f"busy_timeout = {1000 * BUSY_SECONDS}", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")
    begin_wal(connection)


def begin_wal(connection: Any) -> None:
    """Turn on WAL mode; retry while others do the same to a new file, since SQLite does not wait there."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def begin_sqlite(connection: Connection) -> None:
    """Begin a transaction; a writing one takes its turn now, because it could not wait later."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def migrate(connection: Connection, newest: MetaData) -> None:
    """Make the newest tables or upgrade to them, inside the connection's transaction, one process at a time."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATIONS_LOCK})")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    if MigrationContext.configure(connection).get_current_revision() is None:
        newest.create_all(connection)
        command.stamp(config, "head")
    command.upgrade(config, "head")
