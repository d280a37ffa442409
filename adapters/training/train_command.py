"""The part of the command line that trains adapters: its options, the line that repeats it, what is said on the way.

Knows arguments and settings; knows nothing of how an adapter is made.
"""

import argparse
import math
import signal
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from adapters.adapter_files import check_name
from adapters.base_model import load_base_model
from adapters.methods import UserError, from_json
from adapters.store.adapter_store import WEIGHTS
from adapters.training.card import Report, table
from adapters.training.corpus import DATASETS, dataset
from adapters.training.making import Place, make_adapter
from adapters.training.order import (
    DEFAULT_LR,
    GENERAL_ROWS,
    KINDS,
    OF_ORDER,
    Event,
    Plan,
    StepSample,
    TrainOrder,
    TrainSettings,
    TrainStep,
    defaults,
)


def add_common_options(command: argparse.ArgumentParser) -> None:
    """What can be said of every training."""
    command.add_argument("--data", required=True, help=f"{', '.join(DATASETS)}, or a .txt, .csv, .tsv or .jsonl file")
    command.add_argument("--home", type=Path, default=Path(".steerboard"), help="where the embedded base model is")
    command.add_argument("--model", help="another base model: a Hub id or a local folder")
    add_settings(command, TrainSettings, "")


def add_options(command: argparse.ArgumentParser) -> None:
    """What can be said of one adapter."""
    command.add_argument("name", help="of the adapter and its folder, which is replaced if it is there")
    command.add_argument("--kind", choices=sorted(KINDS), required=True)
    command.add_argument("--out", type=Path, default=WEIGHTS, help="the folder that the adapter's folder is made in")
    add_common_options(command)
    for kind, settings in KINDS.items():
        add_settings(command, settings, f"{kind} only; ")
    command.add_argument("--epochs", type=float, help="times that all rows are read, instead of --steps")
    command.add_argument("--validation-share", type=float, help="of the rows, that is held out; default 0.1")
    command.add_argument("--sample-prompt", help="is continued on the way")
    command.add_argument("--sample-every", type=int, help="steps; default 50")
    command.add_argument("--about", help="what the data is, for the card")
    command.add_argument("--licence", help="of the data, for the card")
    command.add_argument("--report-to", nargs="+", help="tensorboard, trackio: where they are installed")


def add_settings(command: argparse.ArgumentParser, settings: type[Any], of: str, without: Sequence[str] = ()) -> None:
    """An option for each field that has a default, but for some."""
    for name, default in defaults(settings).items():
        if name in without:
            continue
        option = f"--{name.replace('_', '-')}"
        if isinstance(default, bool):
            command.add_argument(option, action="store_true", default=None, help=f"{of}off unless it is given")
        elif isinstance(default, tuple):
            told = "all-linear, or endings of the layers' names; default: every attention projection"
            command.add_argument(option, nargs="+", help=f"{of}{told}")
        else:
            command.add_argument(option, type=type(default), help=f"{of}default {default!r}")


def read_settings(options: argparse.Namespace, kind: str, other_too: bool = False) -> TrainSettings:
    """The settings that a command line asks for; those of the other kind may be there too. Raises UserError."""
    given = {name: value for name, value in vars(options).items() if value is not None}
    own = KINDS[kind]
    (other,) = (settings for name, settings in KINDS.items() if name != kind)
    if not other_too and (foreign := given.keys() & defaults(other).keys()):
        raise UserError(f"--{sorted(foreign)[0].replace('_', '-')} is not a setting of a {kind} adapter.")
    data = {"lr": DEFAULT_LR[kind]} | {n: given[n] for n in defaults(TrainSettings) if n in given}
    adapter = from_json(own, {n: given[n] for n in defaults(own) if n in given})
    return from_json(TrainSettings, data | {"adapter": adapter})


def read_order(options: argparse.Namespace) -> TrainOrder:
    """What a command line asks for. Raises UserError."""
    check_name(options.name)
    given = {name: value for name in OF_ORDER if (value := getattr(options, name)) is not None}
    shipped = options.data if options.data in DATASETS else ""
    settings = read_settings(options, options.kind)
    return from_json(TrainOrder, {"name": options.name, "settings": settings, "data": shipped} | given)


def run(options: argparse.Namespace, command: str) -> int:
    """Trains, measures and writes one adapter; says whether it beats the base model. Raises UserError."""
    order, data = read_order(options), dataset(options.data)
    base = load_base_model(options.model, options.home)
    place = Place(options.out / order.name, command, options.home / "logs", GENERAL_ROWS)
    with first_interrupt() as asked:
        report = told(make_adapter(base, order, data, place, lambda: bool(asked)))
    say(table(report))
    return 0 if report.adapter_scores.perplexity < report.base_scores.perplexity else 1


@contextmanager
def first_interrupt() -> Iterator[list[int]]:
    """A list that the first Ctrl-C fills, so that the training can end well; the second one is as ever."""
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        say("stopping after this step; press Ctrl-C again to leave everything")

    before = signal.signal(signal.SIGINT, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def told(events: Generator[Event, None, Report]) -> Report:
    """Says every event; returns the report."""
    total = 0
    while True:
        try:
            event = next(events)
        except StopIteration as end:
            report: Report = end.value
            return report
        if isinstance(event, Plan):
            total = event.steps
            for note in event.notes:
                say(note)
        elif isinstance(event, TrainStep):
            checked = "" if event.validation_loss is None else f", validation {math.exp(event.validation_loss):.2f}"
            say(f"step {event.step}/{total}: {event.seconds:.0f} s, perplexity {math.exp(event.loss):.2f}{checked}")
        elif isinstance(event, StepSample):
            say(f"after step {event.step} it writes: {event.text!r}")
        else:
            say(event)


def say(line: str) -> None:
    """Progress, on stderr."""
    print(line, file=sys.stderr, flush=True)
