"""The command line that trains adapters: its options, made from the fields of the settings, and its progress."""

import argparse
import math
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from adapters.adapter_files import check_name
from adapters.base_model import load_base_model
from adapters.methods import UserError, from_json
from adapters.store.adapter_store import WEIGHTS
from adapters.training.card import table
from adapters.training.corpus import DATASETS, dataset
from adapters.training.making import GENERAL_ROWS, Place, make_adapter
from adapters.training.order import (
    DEFAULT_LR,
    KINDS,
    Event,
    Plan,
    StepSample,
    TrainOrder,
    TrainSettings,
    TrainStep,
    defaults,
    finish,
)

HELP = {  # beside the default
    "target_modules": "all-linear, or endings of layer names; default: every attention projection",
    "epochs": "times that all rows are read, instead of --steps",
    "validation_share": "of the rows, held out to validate",
    "sample_prompt": "is continued during training",
    "sample_every": "steps between two samples",
    "report_to": "tensorboard, trackio: where they are installed",
    "about": "what the data is, for the card",
    "licence": "of the data, for the card",
}


def add_common_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", required=True, help=f"{', '.join(DATASETS)}, or a .txt, .csv, .tsv or .jsonl file")
    command.add_argument("--home", type=Path, default=Path(".steerboard"), help="where the embedded base model is")
    command.add_argument("--model", help="another base model: a Hub id or a local folder")
    add_settings(command, TrainSettings, "")


def add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", help="of the adapter and its folder, which is replaced if it is there")
    command.add_argument("--kind", choices=sorted(KINDS), required=True)
    command.add_argument("--out", type=Path, default=WEIGHTS, help="the parent of the adapter's folder")
    add_common_options(command)
    for kind, settings in KINDS.items():
        add_settings(command, settings, f"{kind} only; ")
    add_settings(command, TrainOrder, "")


def add_settings(command: argparse.ArgumentParser, settings: type[Any], of: str, without: Sequence[str] = ()) -> None:
    for name, default in defaults(settings).items():
        if name in without:
            continue
        known = [HELP[name]] if name in HELP else []
        told = of + "; ".join([*known, *([f"default {default!r}"] if default else [])])
        how: dict[str, Any] = {"type": float if default is None else type(default)}
        if isinstance(default, bool):
            how = {"action": "store_true", "default": None}
        elif isinstance(default, tuple):
            how = {"nargs": "+"}
        command.add_argument(f"--{name.replace('_', '-')}", help=told, **how)


def read_settings(options: argparse.Namespace, kind: str, other_too: bool = False) -> TrainSettings:
    """The settings of a command line; `other_too` permits options of the other kind. Raises UserError."""
    given = {name: value for name, value in vars(options).items() if value is not None}
    own = KINDS[kind]
    (other,) = (settings for name, settings in KINDS.items() if name != kind)
    if not other_too and (foreign := given.keys() & defaults(other).keys()):
        raise UserError(f"--{sorted(foreign)[0].replace('_', '-')} is not a setting of a {kind} adapter.")
    data = {"lr": DEFAULT_LR[kind]} | {n: given[n] for n in defaults(TrainSettings) if n in given}
    adapter = from_json(own, {n: given[n] for n in defaults(own) if n in given})
    return from_json(TrainSettings, data | {"adapter": adapter})


def read_order(options: argparse.Namespace) -> TrainOrder:
    """The order of a command line. Raises UserError."""
    check_name(options.name)
    given = {name: value for name in defaults(TrainOrder) if (value := getattr(options, name)) is not None}
    shipped = options.data if options.data in DATASETS else ""
    settings = read_settings(options, options.kind)
    return from_json(TrainOrder, {"name": options.name, "settings": settings, "data": shipped} | given)


def run(options: argparse.Namespace, command: str) -> int:
    """Train, measure and write one adapter; return 1 where it does not beat the base model. Raises UserError."""
    order, data = read_order(options), dataset(options.data)
    base = load_base_model(options.model, options.home)
    place = Place(options.out / order.name, command, options.home / "logs", GENERAL_ROWS)
    with first_interrupt() as asked:
        report = finish(make_adapter(base, order, data, place, lambda: bool(asked)), say_event)
    say(table(report))
    return 0 if report.adapter_scores.perplexity < report.base_scores.perplexity else 1


@contextmanager
def first_interrupt() -> Iterator[list[int]]:
    """A list that the first Ctrl-C fills, so that the training can end well; the second one interrupts."""
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        say("stopping after this step; press Ctrl-C again to quit at once")

    before = signal.signal(signal.SIGINT, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def say_event(event: Event) -> None:
    if isinstance(event, Plan):
        for note in (f"{event.steps} steps", *event.notes):
            say(note)
    elif isinstance(event, TrainStep):
        checked = "" if event.validation_loss is None else f", validation {math.exp(event.validation_loss):.2f}"
        say(f"step {event.step}: {event.seconds:.0f} s, perplexity {math.exp(event.loss):.2f}{checked}")
    elif isinstance(event, StepSample):
        say(f"after step {event.step} it writes: {event.text!r}")
    else:
        say(event)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
