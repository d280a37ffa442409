"""Starts the app as `make app` does and finds a browser, for the tests and for the screenshot."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the models' fixtures need no browser
    from playwright.sync_api import Playwright

ROOT = Path(__file__).parents[1]
# Root in a container has no right to make sandboxes; the other options stop requests to the browser's maker.
BROWSER_OPTIONS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--no-first-run"]


def home() -> Path:
    """The folder in which `make` puts the embedded model; `make` names it from where it runs."""
    return ROOT / os.environ.get("STEERBOARD_HOME", ".steerboard")


def model_folder() -> Path:
    """The folder of the embedded model, whether it is there or not."""
    from adapters.base_model import EMBEDDED_ID  # imports torch, which xdist's controlling process does without

    return home() / EMBEDDED_ID


def new_home(folder: Path) -> Path:
    """Make a folder a home of the app with the embedded model in it; return it."""
    (folder / model_folder().name).symlink_to(model_folder().resolve())
    return folder


def browser_path(playwright: "Playwright") -> str | None:
    """The system's Chromium, or Playwright's own; None if there is neither."""
    own = playwright.chromium.executable_path
    return shutil.which("chromium") or (own if Path(own).exists() else None)


def free_port() -> int:
    """A port of this machine on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """The real app in a process of its own, which can be stopped and started again at the same address."""

    def __init__(self, folder: Path, model: str = "", settings: dict[str, str] | None = None) -> None:
        self.folder, self.database = folder, folder / "steerboard.db"
        self.settings = {
            "STEERBOARD_MODEL": model,
            "STEERBOARD_HOME": str(folder),
            "STEERBOARD_HOST": "127.0.0.1",
            "STEERBOARD_PORT": str(free_port()),
            "STEERBOARD_DATABASE_URL": f"sqlite:///{self.database}",
            "OMP_WAIT_POLICY": "PASSIVE",
        } | (settings or {})
        self.start()

    def start(self) -> None:
        environment = os.environ | self.settings
        self.app = subprocess.Popen(
            [sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        )
        line = self.app.stdout.readline() if self.app.stdout else ""
        assert line.startswith("Steerboard is at "), f"the app did not start: {line!r}"
        self.address = line.split()[-1]

    def stop(self) -> None:
        self.app.terminate()
        self.app.communicate(timeout=30)


@contextmanager
def running_app() -> Iterator[str]:
    """The address of the real app with the embedded model; nothing that it writes is kept."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(new_home(Path(folder)))
        try:
            yield server.address
        finally:
            server.stop()
