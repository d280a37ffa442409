"""How the app starts, and what it says when it cannot."""

import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import app
from adapters.base_model import BaseModel
from adapters.methods import UserError
from leaderboard.store.database import Database
from tests.leaderboard.store.test_backup import links
from tests.serving import ROOT, free_port

NAMES = ("STEERBOARD_MODEL", "STEERBOARD_HOME", "STEERBOARD_HOST", "STEERBOARD_PORT", "SPACE_ID")
MORE = {
    "STEERBOARD_DATABASE_URL": "postgresql://somewhere/runs",
    "STEERBOARD_JUDGES": "org/judge, another",
    "STEERBOARD_MAX_BYTES": "5000000",
    "STEERBOARD_MAX_PROMPTS": "900",
    "STEERBOARD_MAX_CHARACTERS": "9000",
    "STEERBOARD_MAX_ADAPTER_BYTES": "7000000",
    "STEERBOARD_MAX_DISK_MB": "11",
    "STEERBOARD_MAX_CACHE_MB": "12",
    "STEERBOARD_MAX_BATCH_MB": "16",
    "STEERBOARD_RUN_SHARE": "17",
    "STEERBOARD_PROXIES": "0",
    "STEERBOARD_HOURLY_TOKENS": "18",
    "STEERBOARD_HOURLY_UPLOADS": "19",
    "STEERBOARD_HOURLY_MB": "20",
    "STEERBOARD_HOURLY_TRAININGS": "21",
    "STEERBOARD_HOURLY_XRAYS": "0",
    "STEERBOARD_ADMIN_TOKEN": "drawn at random!",
    "STEERBOARD_MAX_RUN_MINUTES": "13",
    "STEERBOARD_MAX_TRAINING_MINUTES": "14",
    "STEERBOARD_MAX_TRAINING_MB": "15",
    "STEERBOARD_HUB_ADAPTERS": "1",
    "STEERBOARD_RESULTS": "org/runs",
    "STEERBOARD_BACKUP": "org/backup",
    "STEERBOARD_BACKUP_MINUTES": "18",
    "HF_TOKEN": "hf_x",
}
MAXIMA = [name for name in MORE if "_MAX_" in name]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*NAMES, *MORE, *MAXIMA):
        monkeypatch.delenv(name, raising=False)


def test_without_variables_it_is_a_local_app_with_the_embedded_model() -> None:
    assert app.read_settings() == app.Settings(None, Path(".steerboard"), "127.0.0.1", 7860)


def test_empty_variables_are_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STEERBOARD_MODEL", "STEERBOARD_HOME", "STEERBOARD_HOST"):
        monkeypatch.setenv(name, "")
    assert app.read_settings() == app.Settings(None, Path(".steerboard"), "127.0.0.1", 7860)


def test_a_space_is_reached_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPACE_ID", "someone/steerboard")
    assert (app.read_settings().host, app.read_settings().space) == ("0.0.0.0", "someone/steerboard")


def test_every_variable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(NAMES, ("org/model", "there", "::1", "8000"), strict=False):
        monkeypatch.setenv(name, value)
    assert app.read_settings() == app.Settings("org/model", Path("there"), "::1", 8000)


def test_every_further_variable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in MORE.items():
        monkeypatch.setenv(name, value)
    settings = app.read_settings()
    assert settings.database_url == "postgresql://somewhere/runs"
    assert settings.judges == ("org/judge", "another")
    assert (settings.max_bytes, settings.max_prompts, settings.max_characters) == (5_000_000, 900, 9_000)
    assert (settings.max_adapter_bytes, settings.hub_adapters) == (7_000_000, True)
    assert (settings.max_disk_mb, settings.max_cache_mb, settings.max_run_minutes) == (11, 12, 13)
    assert (settings.max_training_minutes, settings.max_training_mb) == (14, 15)
    assert (settings.max_batch_mb, settings.run_share, settings.proxies) == (16, 17, 0)
    assert (settings.results, settings.token) == ("org/runs", "hf_x")
    assert (settings.backup, settings.backup_minutes) == ("org/backup", 18)
    assert settings.admin_token == "drawn at random!"
    assert (settings.hourly_tokens, settings.hourly_uploads, settings.hourly_mb) == (18, 19, 20)
    assert (settings.hourly_trainings, settings.hourly_xrays) == (21, 0)


def test_limits_by_the_hour_reach_the_visitors(
    tiny_llama: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(f"sqlite:///{tmp_path / 'steerboard.db'}")
    monkeypatch.setenv("STEERBOARD_HOME", str(tmp_path))
    assert app.services_of(tiny_llama, database, app.read_settings()).allowance.hourly == {}
    for name, value in MORE.items():
        if "HOURLY" in name:
            monkeypatch.setenv(name, value)
    allowance = app.services_of(tiny_llama, database, app.read_settings()).allowance
    assert allowance.hourly == {"tokens": 18, "uploads": 19, "MB": 20_000_000, "trainings": 21}


def test_a_token_that_can_be_guessed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEERBOARD_ADMIN_TOKEN", "")
    assert app.read_settings().admin_token is None
    monkeypatch.setenv("STEERBOARD_ADMIN_TOKEN", "secret")
    with pytest.raises(UserError, match="STEERBOARD_ADMIN_TOKEN has 6 characters: use 16 or more"):
        app.read_settings()


def test_a_switch_is_on_or_off(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, on in (("", False), ("0", False), ("1", True)):
        monkeypatch.setenv("STEERBOARD_HUB_ADAPTERS", value)
        assert app.read_settings().hub_adapters is on
    monkeypatch.setenv("STEERBOARD_HUB_ADAPTERS", "yes")
    with pytest.raises(UserError, match="STEERBOARD_HUB_ADAPTERS is 'yes'"):
        app.read_settings()


def test_the_hub_is_asked_only_where_the_operator_says_so(
    tiny_llama: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(f"sqlite:///{tmp_path / 'steerboard.db'}")
    monkeypatch.setenv("STEERBOARD_HOME", str(tmp_path))
    monkeypatch.setenv("STEERBOARD_RESULTS", "org/runs")

    def made() -> tuple[bool, bool, bool]:
        services = app.services_of(tiny_llama, database, app.read_settings())
        return services.library.can_fetch, services.library.can_push, services.publisher is not None

    assert made() == (False, False, False)
    monkeypatch.setenv("STEERBOARD_HUB_ADAPTERS", "1")
    assert made() == (True, False, False)
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    assert made() == (True, True, True)
    monkeypatch.delenv("STEERBOARD_RESULTS")
    assert made() == (True, True, False)


@pytest.mark.parametrize(
    ("space", "home", "url", "lasts"),
    [
        (None, ".steerboard", None, True),
        ("me/steerboard", ".steerboard", None, False),
        ("me/steerboard", "/data/steerboard", None, True),
        ("me/steerboard", "/database", None, False),
        ("me/steerboard", "/data", "sqlite:///steerboard.db", False),
        ("me/steerboard", ".steerboard", "postgresql://somewhere/runs", True),
    ],
)
def test_what_is_lost_with_the_disk_of_a_space(
    space: str | None, home: str, url: str | None, lasts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = app.Settings(None, Path(home), "127.0.0.1", space=space, database_url=url)
    monkeypatch.setattr(Path, "is_mount", lambda path: str(path) == "/data")
    assert settings.lasts is lasts
    monkeypatch.setattr(Path, "is_mount", lambda path: False)
    assert settings.lasts is (lasts and not home.startswith("/data"))


def test_a_backup_needs_a_token_and_a_file(tmp_path: Path) -> None:
    wanted = app.Settings(None, tmp_path, "127.0.0.1", backup="org/backup")
    with pytest.raises(UserError, match="an HF_TOKEN"):
        app.open_database(wanted)
    with pytest.raises(UserError, match="PostgreSQL keeps its own"):
        app.open_database(replace(wanted, database_url="postgresql://somewhere/runs", token="hf_x"))
    assert list(tmp_path.iterdir()) == []
    assert app.open_database(replace(wanted, backup=None))[1] is None


BACKED_UP = """
import sys
from pathlib import Path
import app
import leaderboard.store.backup as backup
from tests.leaderboard.store.test_backup import fetch_from_folder, send_to_folder
backup.fetch_copy = lambda folder, repo, api: fetch_from_folder(folder, Path(repo))
backup.send_copy = lambda copy, repo, api: send_to_folder(copy, Path(repo))
sys.exit(app.main())
"""


@pytest.mark.slow
def test_a_space_that_is_stopped_saves_its_links_and_opens_them_on_a_new_disk(
    tiny_llama: BaseModel, tmp_path: Path
) -> None:
    model, home, kept = tmp_path / "tiny", tmp_path / "home", tmp_path / "dataset" / "steerboard.db"
    tiny_llama.model.save_pretrained(model)
    tiny_llama.tokenizer.save_pretrained(model)
    variables = {"MODEL": model, "HOME": home, "PORT": free_port(), "BACKUP": kept.parent, "BACKUP_MINUTES": 60}
    environment = os.environ | {f"STEERBOARD_{name}": str(value) for name, value in variables.items()}
    for number in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", BACKED_UP],
            cwd=ROOT,
            env=environment | {"HF_TOKEN": "hf_x", "HF_HUB_OFFLINE": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Steerboard is at ")
        assert len(links(home / "steerboard.db")) == number
        Database(f"sqlite:///{home / 'steerboard.db'}").add_comparison({}, "me")
        process.terminate()
        assert process.wait(60) == 0
        assert links(kept) == links(home / "steerboard.db")
        shutil.rmtree(home)


@pytest.mark.parametrize("name", MAXIMA)
@pytest.mark.parametrize("value", ["0", "-1", "many", "1e3", "9" * 12])
def test_a_limit_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=name):
        app.read_settings()


@pytest.mark.parametrize("port", ["", "zero", "0", "65536", "-1", "80.5", "٧٨٦٠"])
def test_a_port_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("STEERBOARD_PORT", port)
    with pytest.raises(UserError, match="STEERBOARD_PORT"):
        app.read_settings()


def start(home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, "STEERBOARD_HOME": str(home), "HF_HUB_OFFLINE": "1", **variables}
    return subprocess.run(
        [sys.executable, "app.py"], cwd=ROOT, env=settings, capture_output=True, text=True, timeout=180
    )


@pytest.mark.slow
def test_a_model_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    result = start(tmp_path, STEERBOARD_MODEL=str(tmp_path / "nothing"))
    assert result.returncode == 2
    (line,) = result.stderr.strip().splitlines()
    assert "nothing" in line
    assert "STEERBOARD_MODEL" in line


def test_a_port_that_is_taken_is_one_line_before_anything_is_loaded(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        result = start(tmp_path, STEERBOARD_PORT=str(listener.getsockname()[1]))
    assert result.returncode == 2
    (line,) = result.stderr.strip().splitlines()
    assert "STEERBOARD_PORT" in line


def test_a_home_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    result = start(tmp_path / "file")
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1
