"""Databases of both kinds, a real PostgreSQL server among them."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from leaderboard.store.database import Database
from leaderboard.store.schema import new_id
from tests.adapters.conftest import bench, benches
from tests.model_fixtures import missing

__all__ = ["bench", "benches"]  # fixtures: tiny models with random adapters


def postgres(program: str) -> str:
    """The path of one of PostgreSQL's programs, which Debian keeps out of the PATH."""
    folders = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    return (
        shutil.which(program)
        or shutil.which(program, path=os.pathsep.join(folders))
        or missing("PostgreSQL is not installed (Debian: apt-get install postgresql): its tests cannot run.")
    )


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a server of our own, without the name of a database."""
    user = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
    with tempfile.TemporaryDirectory() as scratch, socket.socket() as probe:
        if user:
            shutil.chown(scratch, user)
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        data, log = f"{scratch}/data", f"{scratch}/log"
        server = [postgres("pg_ctl"), "--pgdata", data, "--log", log]
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={scratch} -c fsync=off"
        init = [postgres("initdb"), "--pgdata", data, "--username", "test", "--auth", "trust", "--encoding", "UTF8"]
        for command in (init, [*server, "--options", options, "--wait", "start"]):
            subprocess.run(command, check=True, user=user, cwd=scratch, stdout=subprocess.DEVNULL)
        yield f"postgresql://test@127.0.0.1:{port}"
        subprocess.run(
            [*server, "--mode", "immediate", "stop"], check=True, user=user, stdout=subprocess.DEVNULL, cwd=scratch
        )


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'steerboard.db'}"
    server: str = request.getfixturevalue("postgres_server")
    name = f"test_{new_id()}"
    admin = create_engine(f"{server.replace('://', '+psycopg://')}/postgres", isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    admin.dispose()
    return f"{server}/{name}"


@pytest.fixture
def database(database_url: str) -> Database:
    return Database(database_url)
