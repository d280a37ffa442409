"""Start Steerboard: read the environment, load the model, serve the page.

The only reader of environment variables:

STEERBOARD_MODEL            Hub id or folder of the base model; unset: the embedded SmolLM2-135M-Instruct
STEERBOARD_HOME             folder for the converted model, adapters, runs and temporary files; default .steerboard
STEERBOARD_HOST             address to listen on; default 127.0.0.1, or 0.0.0.0 on a Hugging Face Space
STEERBOARD_PORT             default 7860
STEERBOARD_DATABASE_URL     database of runs and links, sqlite:/// or postgresql://; default steerboard.db in the home
STEERBOARD_JUDGES           Hub ids or folders of further judges, separated by commas; default none
STEERBOARD_MAX_BYTES        bytes of an uploaded prompt set; default 2000000
STEERBOARD_MAX_PROMPTS      prompts of a prompt set; default 500
STEERBOARD_MAX_CHARACTERS   characters of each value in a prompt set; default 4000
STEERBOARD_MAX_ADAPTER_BYTES  bytes of an imported zip; default 100000000
STEERBOARD_MAX_DISK_MB      of adapters and discriminators that visitors leave; default 2000
STEERBOARD_MAX_CACHE_MB     of adapter weights in memory that nobody is using; default 500
STEERBOARD_MAX_RUN_MINUTES  estimated minutes of a visitor's leaderboard run; default 120
STEERBOARD_MAX_TRAINING_MINUTES  estimated minutes of a training; default 240
STEERBOARD_MAX_TRAINING_MB  estimated memory of a training; default 4000
STEERBOARD_HUB_ADAPTERS     1: visitors may import adapters from the Hub; default off
STEERBOARD_RESULTS          Hub dataset for published runs, needs HF_TOKEN; default none
HF_TOKEN                    token for publishing runs and adapters; default none
"""

import os
import socket
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from adapters.methods import UserError

if TYPE_CHECKING:
    from adapters.base_model import BaseModel
    from adapters.library.library import Library
    from adapters.store.adapter_store import AdapterStore
    from demo.services import Services
    from leaderboard.output.publish import Publisher
    from leaderboard.store.database import Database

QUIET = {  # no library may report home; they read this when they are imported
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


MB = 1_000_000


class Settings(NamedTuple):
    """The settings of the environment."""

    model: str | None
    home: Path
    host: str
    port: int
    database: str | None = None
    judges: tuple[str, ...] = ()
    limits: tuple[int, int, int] = (2_000_000, 500, 4_000)  # of a prompt set: bytes, prompts, characters
    results: str | None = None
    token: str | None = None
    adapter_bytes: int = 100_000_000  # of the zip of an adapter
    hub_adapters: bool = False  # whether adapters may be fetched from the Hub
    run_minutes: int = 120  # at most, of a visitor's leaderboard run
    cache_mb: int = 500  # of adapter weights in memory
    disk_mb: int = 2_000  # of what visitors leave
    training_minutes: int = 240  # of a training, at most
    training_mb: int = 4_000  # of memory of a training, at most


def read_settings() -> Settings:
    """The settings of the environment; raises UserError."""
    judges = [name.strip() for name in os.environ.get("STEERBOARD_JUDGES", "").split(",")]
    return Settings(
        os.environ.get("STEERBOARD_MODEL") or None,
        Path(os.environ.get("STEERBOARD_HOME") or ".steerboard"),
        os.environ.get("STEERBOARD_HOST") or ("0.0.0.0" if "SPACE_ID" in os.environ else "127.0.0.1"),
        read_number("STEERBOARD_PORT", 7860, 65535),
        os.environ.get("STEERBOARD_DATABASE_URL") or None,
        tuple(name for name in judges if name),
        (
            read_number("STEERBOARD_MAX_BYTES", 2_000_000, 10**9),
            read_number("STEERBOARD_MAX_PROMPTS", 500, 10**6),
            read_number("STEERBOARD_MAX_CHARACTERS", 4_000, 10**6),
        ),
        os.environ.get("STEERBOARD_RESULTS") or None,
        os.environ.get("HF_TOKEN") or None,
        read_number("STEERBOARD_MAX_ADAPTER_BYTES", 100_000_000, 10**10),
        read_switch("STEERBOARD_HUB_ADAPTERS"),
        read_number("STEERBOARD_MAX_RUN_MINUTES", 120, 10**6),
        read_number("STEERBOARD_MAX_CACHE_MB", 500, 10**6),
        read_number("STEERBOARD_MAX_DISK_MB", 2_000, 10**7),
        read_number("STEERBOARD_MAX_TRAINING_MINUTES", 240, 10**7),
        read_number("STEERBOARD_MAX_TRAINING_MB", 4_000, 10**7),
    )


def read_number(name: str, default: int, most: int) -> int:
    """A whole number of the environment, at least 1. Raises UserError."""
    value = os.environ.get(name, str(default))
    if not (value.isascii() and value.isdigit() and 0 < int(value) <= most):
        raise UserError(f"{name} is {value!r}: set it to a number from 1 to {most}.")
    return int(value)


def read_switch(name: str) -> bool:
    """Whether a variable is 1. Raises UserError unless it is 1, 0 or empty."""
    value = os.environ.get(name, "")
    if value not in ("", "0", "1"):
        raise UserError(f"{name} is {value!r}: set it to 1 or unset it.")
    return value == "1"


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
    """Load the model and serve the page. Raises UserError or OSError."""
    from demo.page import build_app, launch

    services = build_services(settings)
    most = max(services.limits.max_bytes, settings.adapter_bytes // 2)  # Gradio lets twice as much through
    launch(build_app(services), settings.host, settings.port, most)


def build_services(settings: Settings) -> "Services":
    """Open the database and load the model, and build every service. Raises UserError or OSError."""
    from adapters.base_model import load_base_model
    from leaderboard.store.database import Database

    database = Database(settings.database or f"sqlite:///{settings.home / 'steerboard.db'}")
    return services_of(load_base_model(settings.model, settings.home), database, settings)


def services_of(base: "BaseModel", database: "Database", settings: Settings) -> "Services":
    """Every service around a loaded base model and an open database."""
    from adapters.adapter_files import sweep
    from adapters.decoding.engine import Engine
    from adapters.discriminators.trainer import DiscriminatorTrainer
    from adapters.learned.explorer import Explorer
    from adapters.learned.method_costs import MethodCosts
    from adapters.pplm.bags import split_words, word_lists
    from adapters.store.adapter_store import WEIGHTS, AdapterStore
    from adapters.training.queue import Trainer
    from adapters.xray.replay import XRays
    from demo.services import Services
    from leaderboard.prompts import Limits
    from leaderboard.runs.runner import Runner, load_judge

    own = settings.home / "adapters"
    store = AdapterStore([WEIGHTS, own], base, settings.cache_mb * MB, settings.disk_mb * MB)
    for folder in (settings.home, settings.home / "uploads"):
        sweep(folder)
    library = build_library(settings, base, store, own)
    engine = Engine(base, store)
    judges = {name: partial(load_judge, name, settings.home) for name in settings.judges}
    runner = Runner(engine, database, judges, max_minutes=settings.run_minutes)
    return Services(
        engine=engine,
        xrays=XRays(engine),
        store=store,
        attributes=word_lists(),
        base=base.id,
        num_parameters=base.model.num_parameters(),
        decode=lambda ids: str(base.tokenizer.decode(list(ids))),
        has_chat=bool(base.tokenizer.chat_template),
        runner=runner,
        database=database,
        fingerprints=runner.hashes,
        versions=runner.versions(),
        limits=Limits(*settings.limits),
        judges=settings.judges,
        publisher=publisher(settings, database),
        splits=partial(split_words, base.tokenizer),
        discriminator_trainer=DiscriminatorTrainer(engine, settings.home, own),
        trainer=Trainer(base, settings.home, store, settings.training_minutes, settings.training_mb),
        library=library,
        explorer=Explorer(engine, library.report),
        costs=MethodCosts(settings.model, base.id, settings.home),
    )


def build_library(settings: Settings, base: "BaseModel", store: "AdapterStore", own: Path) -> "Library":
    """The library of adapters; it reaches the Hub only if the operator allows it."""
    from huggingface_hub import HfApi

    from adapters.library.library import Library

    source = HfApi(token=False) if settings.hub_adapters else None
    target = HfApi(token=settings.token) if settings.token is not None else None
    return Library(base, store, own, source, target, settings.adapter_bytes)


def publisher(settings: Settings, database: "Database") -> "Publisher | None":
    """The sender of runs to the operator's dataset on the Hub; None without dataset or token."""
    if settings.results is None or settings.token is None:
        return None
    from huggingface_hub import HfApi

    from leaderboard.output.publish import Publisher, push_to_hub

    api = HfApi(token=settings.token)
    return Publisher(database, partial(push_to_hub, repo_id=settings.results, api=api))


if __name__ == "__main__":
    sys.exit(main())
