"""Copies of the SQLite database in a place that outlives the disk: a private dataset on the Hub.

Knows one file, and where to fetch from and send to. PostgreSQL keeps its own data: nothing is copied there.
"""

import hashlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from huggingface_hub import HfApi

from adapters.library.library import HUB_ERRORS, one_line
from adapters.methods import UserError
from leaderboard.store.connection import BUSY_SECONDS

LOG = logging.getLogger(__name__)
FILE = "steerboard.db"  # in the dataset
SCRATCH = ".backup-"
RETRY_SECONDS = 60.0  # after a failure


def fetch_copy(folder: Path, repo: str, api: HfApi) -> Path | None:
    """Fetch the copy from a dataset, created private if missing; None if it holds none. Raises UserError."""
    try:
        api.create_repo(repo, repo_type="dataset", private=True, exist_ok=True)  # fails if the token cannot write
        if not api.file_exists(repo, FILE, repo_type="dataset"):
            return None
        return Path(api.hf_hub_download(repo, FILE, repo_type="dataset", local_dir=folder))
    except HUB_ERRORS as error:
        todo = "Start again, or unset STEERBOARD_BACKUP to begin with an empty database."
        raise UserError(f"Cannot fetch the backup from {repo!r}: {one_line(error)} {todo}") from error


def send_copy(copy: Path, repo: str, api: HfApi) -> None:
    """Upload a copy in one commit."""
    api.upload_file(path_or_fileobj=copy, path_in_repo=FILE, repo_id=repo, repo_type="dataset")


def restore(database: Path, pull: Callable[[Path], Path | None]) -> bool:
    """Put the newest copy where there is no database; False if there is one, or no copy. Raises UserError.

    `pull` fetches it into a folder.
    """
    if database.exists():
        return False
    database.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=SCRATCH, dir=database.parent) as folder:
        copy = pull(Path(folder))
        if copy is None:
            return False
        check(copy)
        for end in ("-wal", "-shm"):  # of a database that was deleted: SQLite would replay them into the copy
            Path(f"{database}{end}").unlink(missing_ok=True)
        copy.replace(database)
    return True


def check(copy: Path) -> None:
    """Raise UserError unless SQLite finds a copy whole."""
    try:
        with closing(sqlite3.connect(copy)) as connection:
            (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        raise UserError(f"The backup is damaged ({found}): put an older {FILE} of the dataset's history in its place.")


def snapshot(database: Path, copy: Path) -> str:
    """Write a consistent copy of a database that others may be writing; returns its sha256, equal for equal content."""
    with closing(sqlite3.connect(database, timeout=BUSY_SECONDS)) as connection:
        connection.execute("VACUUM INTO ?", (str(copy),))
    with copy.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class Backup:
    """Sends a copy of a database whenever it has changed."""

    def __init__(self, database: Path, push: Callable[[Path], None], restored: bool = False) -> None:
        """`restored`: what the database holds now has just been fetched."""
        self._database, self._push, self._lock = database, push, threading.Lock()
        self.failed, self._sent, self._safe = False, "", 0.0  # last time; sha256 of the last copy sent; see `age`
        if restored:
            with TemporaryDirectory(prefix=SCRATCH, dir=database.parent) as folder:
                self._sent, self._safe = snapshot(database, Path(folder) / FILE), time.monotonic()

    def age(self) -> float | None:
        """Seconds since the moment up to which everything is safe; None before the first copy."""
        return time.monotonic() - self._safe if self._sent else None

    def save(self) -> None:
        """Send a copy, unless nothing has changed. A failure is logged, and the next call tries again."""
        with self._lock:
            began = time.monotonic()
            try:
                with TemporaryDirectory(prefix=SCRATCH, dir=self._database.parent) as folder:
                    copy = Path(folder) / FILE
                    if (digest := snapshot(self._database, copy)) != self._sent:
                        self._push(copy)
                self._sent, self._safe, self.failed = digest, began, False
            except Exception:  # whatever the Hub's libraries raise: the thread must go on
                LOG.exception("The database was not backed up; it is tried again.")
                self.failed = True

    @contextmanager
    def saving(self, minutes: float) -> Iterator[None]:
        """Save at once, every so many minutes, and a last time at the end."""
        ended = threading.Event()

        def watch() -> None:
            self.save()
            while not ended.wait(RETRY_SECONDS if self.failed else 60 * minutes):
                self.save()

        threading.Thread(target=watch, daemon=True).start()
        try:
            yield
        finally:
            ended.set()
            self.save()
