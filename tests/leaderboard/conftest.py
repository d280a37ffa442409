"""Databases of both kinds, a real PostgreSQL server among them, and a Hub."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi
from sqlalchemy import create_engine, text

from leaderboard.store.database import Database
from leaderboard.store.schema import new_id
from tests.adapters.conftest import bench, benches
from tests.model_fixtures import missing

TOKEN = "hf_not_a_real_one"
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


class Hub(BaseHTTPRequestHandler):
    """The few calls of a Hub that an upload makes; remembers what it was told."""

    requests: list[tuple[str, str, bytes, str | None]]
    files: dict[str, bytes]  # of its one dataset, by name
    refuse = False

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.requests.append(("POST", self.path, body, self.headers["Authorization"]))
        if self.refuse:
            self.answer(403, {"error": "You have no right to write here\nreally"})
        elif self.path == "/api/repos/create":
            self.answer(200, {"url": f"http://{self.headers['Host']}/datasets/me/runs", "id": "me/runs"})
        elif self.path == "/api/validate-yaml":
            self.answer(200, {"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            files = [file["path"] for file in json.loads(body)["files"]]
            self.answer(
                200, {"files": [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in files]}
            )
        elif "/commit/" in self.path:
            self.answer(
                200, {"commitUrl": f"http://{self.headers['Host']}/datasets/me/runs/commit/1", "commitOid": "1"}
            )
        else:
            self.answer(404, {})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.requests.append((self.command, self.path, b"", self.headers["Authorization"]))
        content = self.files.get(self.path.rpartition("/")[2])
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        for header in ("X-Error-Code: EntryNotFound",) if content is None else ('ETag: "1"', "X-Repo-Commit: 1"):
            self.send_header(*header.split(": "))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content or b"")

    def answer(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[HfApi, type[Hub]]]:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)  # as where a run is really sent
    handler = type("OneHub", (Hub,), {"requests": [], "files": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield HfApi(endpoint=f"http://127.0.0.1:{server.server_port}", token=TOKEN), handler
    server.shutdown()
    server.server_close()
