"""Starts the app as `make app` does, and finds a browser; for the tests and for the screenshot."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Playwright

from adapters.base_model import EMBEDDED_ID

ROOT = Path(__file__).parents[1]
# Sandboxes need rights that root in a container lacks; the rest keeps the browser from talking to its maker.
BROWSER_OPTIONS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--no-first-run"]


def home() -> Path:
    """The folder of the app's own files."""
    return Path(os.environ.get("STEERBOARD_HOME", ROOT / ".steerboard"))


def has_model() -> bool:
    return (home() / EMBEDDED_ID).is_dir()


def browser_path(playwright: Playwright) -> str | None:
    """The system's Chromium, or Playwright's own; None if there is neither."""
    own = playwright.chromium.executable_path
    return shutil.which("chromium") or (own if Path(own).exists() else None)


def free_port() -> int:
    """A port of this machine on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_app(port: int | None = None, database: Path | None = None) -> Iterator[str]:
    """The address of the real app with the real model, in a process of its own; without a database it keeps nothing."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "STEERBOARD_MODEL": "",
            "STEERBOARD_HOME": str(home()),
            "STEERBOARD_HOST": "127.0.0.1",
            "STEERBOARD_PORT": str(port or free_port()),
            "STEERBOARD_DATABASE_URL": f"sqlite:///{database or Path(folder) / 'steerboard.db'}",
            "OMP_WAIT_POLICY": "PASSIVE",
        }
        yield from serve(settings)


def serve(settings: dict[str, str]) -> Iterator[str]:
    """Runs the app with these settings until the caller is done with it."""
    command = [sys.executable, "app.py"]
    app = subprocess.Popen(command, cwd=ROOT, env=os.environ | settings, stdout=subprocess.PIPE, text=True)
    try:
        line = app.stdout.readline() if app.stdout else ""
        assert line.startswith("Steerboard is at "), f"the app did not start: {line!r}"
        yield line.split()[-1]
    finally:
        app.terminate()
        app.wait(timeout=30)
