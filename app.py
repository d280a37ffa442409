"""Start Steerboard: read the environment, load the model, serve the page.

The only reader of environment variables; README.md says what each does.
"""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import Field, dataclass, field, fields
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.methods import UserError

if TYPE_CHECKING:
    from adapters.base_model import BaseModel
    from adapters.decoding.far import Far
    from demo.services import ModelServices, Services
    from leaderboard.store.backup import Backup
    from leaderboard.store.database import Database

QUIET = {  # no library may report home; they read this when they are imported
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
}

MB = 1_000_000
MOUNT = Path("/data")  # where a Space mounts storage that outlives it
SECRET_LENGTH = 16


def number(default: int, most: int, least: int = 1) -> Any:
    """A setting that is a whole number from `least` to `most`."""
    return field(default=default, metadata={"least": least, "most": most})


@dataclass(frozen=True)
class Settings:
    """The settings of the environment, named like their variables."""

    model: str | None
    home: Path
    host: str
    port: int = number(7860, 65535)
    database_url: str | None = None
    judges: tuple[str, ...] = ()
    results: str | None = None
    backup: str | None = None
    hub_adapters: bool = False
    token: str | None = None
    space: str | None = None
    zero_gpu: bool = False
    proxies: int = number(0, 9, least=0)
    backup_minutes: int = number(10, 1440)
    admin_token: str | None = None
    hourly_tokens: int = number(0, 10**9, least=0)
    hourly_uploads: int = number(0, 10**6, least=0)
    hourly_mb: int = number(0, 10**6, least=0)
    hourly_trainings: int = number(0, 10**6, least=0)
    hourly_xrays: int = number(0, 10**6, least=0)
    max_bytes: int = number(2_000_000, 10**9)
    max_prompts: int = number(500, 10**6)
    max_characters: int = number(4_000, 10**6)
    max_adapter_bytes: int = number(100_000_000, 10**10)
    max_disk_mb: int = number(2_000, 10**7)
    max_cache_mb: int = number(500, 10**6)
    max_batch_mb: int = number(1_000, 10**6)
    run_share: int = number(30, 100)
    max_run_minutes: int = number(120, 10**6)
    max_training_minutes: int = number(240, 10**7)
    max_training_mb: int = number(4_000, 10**7)

    @property
    def url(self) -> str:
        """Of the database."""
        return self.database_url or f"sqlite:///{self.home / 'steerboard.db'}"

    @property
    def lasts(self) -> bool:
        """Whether the database outlives the disk without a backup."""
        from leaderboard.store.connection import sqlite_file

        file = sqlite_file(self.url)
        return self.space is None or file is None or (MOUNT.is_mount() and file.resolve().is_relative_to(MOUNT))


def read_settings() -> Settings:
    """The settings of the environment; raises UserError."""
    read = os.environ.get
    judges = [name.strip() for name in read("STEERBOARD_JUDGES", "").split(",")]
    return Settings(
        read("STEERBOARD_MODEL") or None,
        Path(read("STEERBOARD_HOME") or ".steerboard"),
        read("STEERBOARD_HOST") or ("0.0.0.0" if "SPACE_ID" in os.environ else "127.0.0.1"),
        database_url=read("STEERBOARD_DATABASE_URL") or None,
        judges=tuple(name for name in judges if name),
        results=read("STEERBOARD_RESULTS") or None,
        backup=read("STEERBOARD_BACKUP") or None,
        hub_adapters=read_switch("STEERBOARD_HUB_ADAPTERS"),
        token=read("HF_TOKEN") or None,
        space=read("SPACE_ID") or None,
        zero_gpu=read("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true"),
        admin_token=read_secret("STEERBOARD_ADMIN_TOKEN"),
        **{each.name: read_number(each) for each in fields(Settings) if each.metadata},
    )


def read_number(setting: Field[Any]) -> int:
    """A whole number of the environment. Raises UserError."""
    name, (least, most) = f"STEERBOARD_{setting.name.upper()}", setting.metadata.values()
    value = os.environ.get(name, str(setting.default))
    if not (value.isascii() and value.isdigit() and least <= int(value) <= most):
        raise UserError(f"{name} is {value!r}: set it to a number from {least} to {most}.")
    return int(value)


def read_switch(name: str) -> bool:
    """Whether a variable is 1. Raises UserError unless it is 1, 0 or empty."""
    value = os.environ.get(name, "")
    if value not in ("", "0", "1"):
        raise UserError(f"{name} is {value!r}: set it to 1 or unset it.")
    return value == "1"


def read_secret(name: str) -> str | None:
    """A token that cannot be guessed, None if it is unset. Raises UserError for a short one."""
    value = os.environ.get(name) or None
    if value and len(value) < SECRET_LENGTH:
        raise UserError(f"{name} has {len(value)} characters: use {SECRET_LENGTH} or more, drawn at random.")
    return value


def main() -> int:
    """Serve the page until interrupted; return the exit code."""
    try:
        settings = read_settings()
        uploads = settings.home / "uploads"
        uploads.mkdir(parents=True, exist_ok=True)
        os.environ.update(QUIET, GRADIO_TEMP_DIR=str(uploads.resolve()))
        check_address(settings)
        serve(settings)
    except (UserError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def check_address(settings: Settings) -> None:
    """Check that the address is free, before the model is loaded. Raises UserError."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            where = f"{settings.host}:{settings.port}"
            raise UserError(f"Cannot listen on {where} ({error.strerror}): set STEERBOARD_PORT to another.") from error


def serve(settings: Settings) -> None:
    """Open the database, load the model and serve the page. Raises UserError or OSError."""
    lend = None
    if settings.zero_gpu:
        lend = import_module("spaces").GPU  # first, since it stands in for CUDA; the platform brings it
    from adapters.base_model import load_base_model
    from demo.cookies import read_key
    from demo.gate import Door
    from demo.page import build_app, start
    from demo.parts.words import TITLE

    database, backup = open_database(settings)
    services = services_of(load_base_model(settings.model, settings.home), database, settings, backup, lend)
    # Twice as much as a prompt set may have, so that the refusal is ours.
    most = max(2 * settings.max_bytes, settings.max_adapter_bytes)
    home, framed = settings.home, settings.space is not None
    door = Door(most, settings.proxies, read_key(home), framed, settings.admin_token, home)
    page = build_app(services)
    address = start(services, page, settings.host, settings.port, door)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a server that is stopped ends like Ctrl-C
    with suppress(KeyboardInterrupt), backup.saving(settings.backup_minutes) if backup else nullcontext():
        print(f"{TITLE} is at {address}", flush=True)
        while True:
            time.sleep(1)
    page.close(verbose=False)  # takes seconds, which a last copy may not have


def model_services(base: "BaseModel", settings: Settings, far: "Far | None" = None) -> "ModelServices":
    """The services that use the weights of a loaded base model; with `far` they are elsewhere."""
    from huggingface_hub import HfApi

    from adapters.decoding.engine import Engine
    from adapters.decoding.scheduler import Scheduler
    from adapters.discriminators.trainer import DiscriminatorTrainer
    from adapters.learned.explorer import Explorer
    from adapters.library.library import Library
    from adapters.store.adapter_store import WEIGHTS, AdapterStore
    from adapters.xray.replay import XRays
    from demo.services import ModelServices

    own = settings.home / "adapters"
    store = AdapterStore([WEIGHTS, own], base, settings.max_cache_mb * MB, settings.max_disk_mb * MB)
    source = HfApi(token=False) if settings.hub_adapters else None
    hub = HfApi(token=settings.token) if settings.token else None
    library = Library(base, store, own, source, hub, settings.max_adapter_bytes)
    engine = Engine(base, store, Scheduler(settings.max_batch_mb * MB), settings.run_share / 100, far)
    explorer = Explorer(engine, library.report)
    return ModelServices(
        engine, XRays(engine), store, library, explorer, DiscriminatorTrainer(engine, settings.home, own)
    )


def open_database(settings: Settings) -> "tuple[Database, Backup | None]":
    """The database, fetched from its backup if there is none here. Raises UserError."""
    from huggingface_hub import HfApi

    from leaderboard.showcase import read_shipped
    from leaderboard.store.backup import Backup, fetch_copy, restore, send_copy
    from leaderboard.store.connection import sqlite_file
    from leaderboard.store.database import Database

    if settings.backup is None:
        return Database(settings.url, read_shipped()), None
    if (file := sqlite_file(settings.url)) is None or settings.token is None:
        raise UserError("STEERBOARD_BACKUP needs a SQLite file (PostgreSQL keeps its own data) and an HF_TOKEN.")
    hub = HfApi(token=settings.token)
    restored = restore(file, partial(fetch_copy, repo=settings.backup, api=hub))
    backup = Backup(file, partial(send_copy, repo=settings.backup, api=hub), restored)
    return Database(settings.url, read_shipped()), backup


def services_of(
    base: "BaseModel",
    database: "Database",
    settings: Settings,
    backup: "Backup | None" = None,
    lend: Callable[..., Any] | None = None,
) -> "Services":
    """Every service around a loaded base model and an open database; `lend` is the decorator of ZeroGPU."""
    from huggingface_hub import HfApi

    from adapters.adapter_files import sweep
    from adapters.decoding.visitors import DISK, TOKENS, TRAININGS, UPLOADS, XRAYS, Allowance, OneEach
    from adapters.learned.costs import stored_costs
    from adapters.pplm.bags import word_lists
    from adapters.training.queue import Trainer
    from demo.cookies import asking
    from demo.services import Services
    from demo.zero import lent
    from leaderboard.output.publish import Publisher, push_to_hub
    from leaderboard.prompts import Limits
    from leaderboard.runs.runner import Runner, load_judge

    for folder in (settings.home, settings.home / "uploads"):
        sweep(folder)
    make = partial(model_services, settings=settings)
    own = make(base) if lend is None else lent(lend, base, settings.home, make)
    publisher = None
    if settings.results and settings.token:
        push = partial(push_to_hub, repo_id=settings.results, api=HfApi(token=settings.token))
        publisher = Publisher(database, push)
    judges = {name: partial(load_judge, name, settings.home) for name in settings.judges}
    runner = Runner(own.engine, database, judges, max_minutes=settings.max_run_minutes)
    runner.hashes.named([])  # the base's is kept: its weights may be put away when the page starts
    most = settings.max_training_minutes, settings.max_training_mb
    hourly = {TOKENS: settings.hourly_tokens, UPLOADS: settings.hourly_uploads, DISK: MB * settings.hourly_mb}
    hourly |= {TRAININGS: settings.hourly_trainings, XRAYS: settings.hourly_xrays}
    return Services(
        **own._asdict(),
        attributes=word_lists(),
        base=base.id,
        num_parameters=base.model.num_parameters(),
        runner=runner,
        database=database,
        versions=runner.versions(),
        limits=Limits(settings.max_bytes, settings.max_prompts, settings.max_characters),
        judges=settings.judges,
        publisher=publisher,
        trainer=Trainer(base, settings.home, own.store, *most, own.engine.far),
        space=settings.space,
        backup=backup,
        lasts=settings.lasts,
        costs=partial(stored_costs, settings.home, base.id),
        visitors=OneEach(),
        allowance=Allowance(hourly, asking),
    )


if __name__ == "__main__":
    sys.exit(main())
