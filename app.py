"""Starts Steerboard: reads the environment, loads the model, serves the page.

The only reader of environment variables:

STEERBOARD_MODEL  Hub id or folder of the base model; unset: the embedded SmolLM2-135M-Instruct
STEERBOARD_HOME   folder for the converted model, own adapters and temporary files; default .steerboard
STEERBOARD_HOST   address to listen on; default 127.0.0.1, on a Hugging Face Space 0.0.0.0
STEERBOARD_PORT   default 7860
"""

import os
import socket
import sys
from pathlib import Path
from typing import NamedTuple

from adapters.methods import UserError

QUIET = {  # no library may report to anybody; read by them when they are imported
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


class Settings(NamedTuple):
    """What the environment says."""

    model: str | None
    home: Path
    host: str
    port: int


def read_settings() -> Settings:
    """The settings of the environment; raises UserError."""
    port = os.environ.get("STEERBOARD_PORT", "7860")
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise UserError(f"STEERBOARD_PORT is {port!r}: set it to a number from 1 to 65535.")
    return Settings(
        os.environ.get("STEERBOARD_MODEL") or None,
        Path(os.environ.get("STEERBOARD_HOME") or ".steerboard"),
        os.environ.get("STEERBOARD_HOST") or ("0.0.0.0" if "SPACE_ID" in os.environ else "127.0.0.1"),
        int(port),
    )


def main() -> int:
    """Serves the page until it is interrupted; returns the exit code."""
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
    """Finds out whether the address is free before the model is loaded; raises UserError."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            where = f"{settings.host}:{settings.port}"
            raise UserError(f"Cannot listen on {where} ({error.strerror}): set STEERBOARD_PORT to another.") from error


def serve(settings: Settings) -> None:
    """Loads the model and serves the page. Raises UserError or OSError for what a person can mend."""
    from adapters.attributes import word_lists
    from adapters.base_model import load_base_model
    from adapters.engine import Engine
    from adapters.store import WEIGHTS, AdapterStore
    from demo.app import build_app, launch
    from demo.services import Services

    base = load_base_model(settings.model, settings.home)
    store = AdapterStore([WEIGHTS, settings.home / "adapters"], base)
    services = Services(
        engine=Engine(base, store),
        store=store,
        attributes=word_lists(),
        base=base.id,
        num_parameters=base.model.num_parameters(),
        decode=lambda ids: str(base.tokenizer.decode(list(ids))),
        has_chat=bool(base.tokenizer.chat_template),
    )
    launch(build_app(services), settings.host, settings.port)


if __name__ == "__main__":
    sys.exit(main())
