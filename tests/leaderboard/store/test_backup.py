"""Copies of the database: whole at any moment, sent when something changed, tried again, fetched at the next start."""

import json
import logging
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from base64 import b64decode
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from adapters.methods import UserError
from leaderboard.store.backup import FILE, Backup, check, fetch_copy, restore, send_copy, snapshot
from leaderboard.store.connection import sqlite_file
from leaderboard.store.database import Database
from tests.leaderboard.conftest import TOKEN, Hub
from tests.serving import ROOT

ME = "me"


def fetch_from_folder(into: Path, repo: Path, api: object = None) -> Path | None:
    """A local folder in the place of the dataset."""
    return Path(shutil.copy(repo / FILE, into)) if (repo / FILE).exists() else None


def send_to_folder(copy: Path, repo: Path, api: object = None) -> None:
    """As in a dataset, a copy is there whole or not at all."""
    repo.mkdir(exist_ok=True)
    Path(shutil.copy(copy, repo / "part")).replace(repo / FILE)


class Place:
    """A home, a dataset in a folder, and what was sent there."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "home" / FILE
        self.pull = partial(fetch_from_folder, repo=folder / "dataset")
        self.kept = folder / "dataset" / FILE
        self.sent, self.down = 0, False

    def open(self) -> tuple[Database, Backup]:
        restored = restore(self.file, self.pull)
        return Database(f"sqlite:///{self.file}"), Backup(self.file, self.push, restored)

    def push(self, copy: Path) -> None:
        if self.down:
            raise RuntimeError("the Hub is down")
        send_to_folder(copy, self.folder / "dataset")
        self.sent += 1

    def lose_the_disk(self) -> None:
        shutil.rmtree(self.file.parent)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.file.parent.mkdir()
    return made


def links(file: Path) -> set[str]:
    with closing(sqlite3.connect(file)) as connection:
        return {id for (id,) in connection.execute("SELECT id FROM comparisons")}


def test_what_was_saved_is_there_after_the_disk_is_lost(place: Place) -> None:
    database, backup = place.open()
    id = database.add_comparison({"prompt": "The sea"}, ME)
    backup.save()
    place.lose_the_disk()
    again, _ = place.open()
    assert again.comparison(id) == {"prompt": "The sea"}
    assert again.delete_comparison(id, ME), "its owner still owns it"


def test_a_database_that_is_there_is_never_replaced(place: Place) -> None:
    database, backup = place.open()
    backup.save()
    id = database.add_comparison({}, ME)
    assert restore(place.file, place.pull) is False
    assert place.open()[0].comparison(id) == {}


def test_what_nobody_changed_is_not_sent_again_not_even_after_a_restart(place: Place) -> None:
    database, backup = place.open()
    database.add_comparison({}, ME)
    for _ in range(3):
        backup.save()
    assert place.sent == 1
    database.add_comparison({}, ME)
    backup.save()
    assert place.sent == 2
    place.lose_the_disk()
    database, backup = place.open()
    assert backup.age() is not None
    backup.save()
    assert place.sent == 2
    database.add_comparison({}, ME)
    backup.save()
    assert place.sent == 3


def test_a_failure_is_logged_and_shown_and_nothing_is_lost(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    database, backup = place.open()
    id = database.add_comparison({}, ME)
    assert (backup.age(), backup.failed) == (None, False)
    place.down = True
    with caplog.at_level(logging.ERROR):
        backup.save()
    assert "the Hub is down" in caplog.text
    assert (backup.age(), backup.failed) == (None, True)
    place.down = False
    backup.save()
    assert not backup.failed
    age = backup.age()
    assert age is not None
    assert 0 <= age < 60
    assert links(place.kept) == {id}
    assert [path.name for path in place.file.parent.iterdir() if path.name.startswith(".backup")] == []


def test_the_thread_tries_again_by_itself(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leaderboard.store.backup.RETRY_SECONDS", 0.02)
    _, backup = place.open()
    place.down = True
    with backup.saving(minutes=60):
        wait_for(lambda: backup.failed)
        place.down = False
        wait_for(lambda: place.sent == 1)


def test_the_end_saves_what_came_last(place: Place) -> None:
    database, backup = place.open()
    with backup.saving(minutes=60):
        wait_for(lambda: place.sent == 1)
        id = database.add_comparison({}, ME)
    assert links(place.kept) == {id}


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_copy_made_while_others_write_is_whole(place: Place) -> None:
    database, _ = place.open()
    ended, told = threading.Event(), []

    def write() -> None:
        while not ended.is_set():
            told.append(database.add_comparison({"text": "x" * 20_000}, ME))

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        for number in range(8):
            known = set(told)
            snapshot(place.file, place.folder / f"{number}.db")
            check(place.folder / f"{number}.db")
            assert known <= links(place.folder / f"{number}.db"), "what was told to a visitor before is in the copy"
    finally:
        ended.set()
        for writer in writers:
            writer.join()


WRITER = r"""
import os, sys, threading
from pathlib import Path
from tests.leaderboard.store.test_backup import Place
place = Place(Path(sys.argv[1]))
database, backup = place.open()
def write():
    while True:
        os.write(1, f"{database.add_comparison({'text': 'x' * 5000}, 'me')}\n".encode())
threading.Thread(target=write, daemon=True).start()
while True:
    backup.save()
    os.write(1, b"saved\n")
"""


@pytest.mark.slow
def test_killed_at_any_moment_it_starts_again_with_what_was_saved(place: Place) -> None:
    before: set[str] = set()
    for round in range(2):
        command = [sys.executable, "-c", WRITER, str(place.folder)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        lines: list[str] = []
        while lines.count("saved") < 2:
            lines.append(process.stdout.readline().strip())
        time.sleep(0.05 * round)  # each time at another point of a copy
        process.send_signal(signal.SIGKILL)
        lines += process.communicate()[0].split()
        saves = [index for index, line in enumerate(lines) if line == "saved"]
        safe = {line for line in lines[: saves[-2]] if line != "saved"}  # told before the last save began
        place.lose_the_disk()
        check(place.kept)
        found = links(place.kept)
        assert before | safe <= found
        before = found


def test_without_a_copy_it_begins_empty(place: Place) -> None:
    assert restore(place.file, place.pull) is False
    assert not place.file.exists()


def test_a_damaged_copy_is_refused_and_nothing_is_put_in_place(place: Place) -> None:
    database, backup = place.open()
    for _ in range(20):
        database.add_comparison({"text": "x" * 5000}, ME)
    backup.save()
    whole = place.kept.read_bytes()
    place.lose_the_disk()
    for damaged in (b"no database at all" * 100, whole[: len(whole) // 2], whole[:4096] + bytes(len(whole) - 4096)):
        place.kept.write_bytes(damaged)
        with pytest.raises(UserError, match="backup is damaged"):
            place.open()
        assert not place.file.exists()


def test_the_log_of_a_deleted_database_is_not_replayed(place: Place) -> None:
    database, backup = place.open()
    id = database.add_comparison({}, ME)
    backup.save()
    for _ in range(5):
        database.add_comparison({}, ME)
    place.file.unlink()
    assert Path(f"{place.file}-wal").exists()
    restore(place.file, place.pull)
    assert links(place.file) == {id}


def test_the_file_of_a_database() -> None:
    assert sqlite_file("sqlite:///home/steerboard.db") == Path("home/steerboard.db")
    assert sqlite_file("sqlite:////data/steerboard.db") == Path("/data/steerboard.db")
    assert sqlite_file("postgresql://somewhere/runs") is None
    assert sqlite_file("sqlite://") is None


def test_a_hub_that_does_not_answer_stops_the_start(place: Place) -> None:
    """An empty database in place of the lost one would be sent over the copy."""
    pull = partial(fetch_copy, repo="me/backup", api=HfApi(endpoint="http://127.0.0.1:9", token="hf_secret"))
    with pytest.raises(UserError, match="Cannot fetch the backup from 'me/backup'.*unset STEERBOARD_BACKUP") as caught:
        restore(place.file, pull)
    assert "hf_secret" not in str(caught.value)
    assert not place.file.exists()


def test_a_copy_goes_to_a_private_dataset_in_one_commit(place: Place, hub: tuple[HfApi, type[Hub]]) -> None:
    api, seen = hub
    pull = partial(fetch_copy, repo="me/backup", api=api)
    assert restore(place.file, pull) is False, "the dataset is empty"
    created = next(json.loads(body) for _, path, body, _ in seen.requests if path == "/api/repos/create")
    assert (created["name"], created["type"]) == ("backup", "dataset")
    assert created.get("private") or created.get("visibility") == "private"
    database = Database(f"sqlite:///{place.file}")
    id = database.add_comparison({}, ME)
    backup = Backup(place.file, partial(send_copy, repo="me/backup", api=api))
    backup.save()
    backup.save()
    assert not backup.failed
    (commit,) = [body for _, path, body, _ in seen.requests if "/commit/" in path]
    lines = [json.loads(line) for line in commit.decode().split("\n") if line]
    (file,) = [line["value"] for line in lines if line["key"] == "file"]
    assert file["path"] == FILE
    seen.files[FILE] = b64decode(file["content"])
    place.lose_the_disk()
    assert restore(place.file, pull)
    assert links(place.file) == {id}
    assert [path.name for path in place.file.parent.iterdir()] == [FILE]
    assert {token for *_, token in seen.requests} == {f"Bearer {TOKEN}"}


def test_a_token_that_may_not_write_stops_the_start(place: Place, hub: tuple[HfApi, type[Hub]]) -> None:
    api, seen = hub
    seen.refuse = True
    with pytest.raises(UserError, match="Cannot fetch the backup.*403"):
        restore(place.file, partial(fetch_copy, repo="me/backup", api=api))
