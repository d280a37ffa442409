"""Writes the comparisons of the examples, demo/compare/data/examples.json, with the real engine.

    python -m benchmarks examples

A record is written only where it shows what it should: every pane has a text of its own, and the steered text has at
least WORDS words of its list, WORDS more than the base's, and convinces the judge, who has not seen the list. And
only where every pane with its effect off writes what Base writes: "fair" in the record says that this was so.
"""

import argparse
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import orjson

from adapters.base_model import load_base_model
from adapters.methods import Method, Request, UserError, parse_method
from app import Settings, services_of
from demo.compare.board import Board
from demo.compare.examples import EXAMPLES, RECORDS
from demo.compare.form import Form, form_of
from demo.compare.run import check_parity, compare
from demo.compare.words import PARITY_BASE, PARITY_EQUAL
from demo.parts.controls import FIRST_SAMPLING, FIRST_SEED
from demo.services import Services
from leaderboard.judges import judge_of
from leaderboard.store.database import Database

WORDS = 3
FAIR = (PARITY_BASE, PARITY_EQUAL)


class Compared(NamedTuple):
    """A prompt, and the short name of each pane's method."""

    prompt: str
    panes: Sequence[str]
    seed: int = FIRST_SEED
    strength: float = 20.0  # of PPLM
    chat: bool = False

    @property
    def requests(self) -> list[Request]:
        return [Request(self.prompt, self._method(name), self.seed, self.chat) for name in self.panes]

    def _method(self, name: str) -> Method:
        method = parse_method(name)
        if method.steering is None:
            return method
        return replace(method, steering=replace(method.steering, strength=self.strength))


TABLES = tomllib.loads(Path(__file__).with_name("examples.toml").read_text("utf-8"))
COMPARED = {title: Compared(**fields) for title, fields in TABLES.items()}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--home", type=Path, default=Path(".steerboard"), help="folder of the embedded model")
    parser.add_argument("--only", metavar="TITLE", help="write this example again, keep the others")


def run(options: argparse.Namespace, command: str) -> int:
    """Write the records; return the exit code. Raises UserError for an example that does not convince."""
    found: dict[str, Any] = orjson.loads(RECORDS.read_bytes()) if options.only else {}
    with TemporaryDirectory() as folder:
        home = Path(folder)
        database = Database(f"sqlite:///{home / 'steerboard.db'}")
        services = services_of(load_base_model(None, options.home), database, Settings(None, home, "127.0.0.1", 0))
        for title in (example.title for example in EXAMPLES):
            if options.only in (None, title):
                found[title] = written(services, title)
                print(f"{title}: {faults(found[title]) or 'convinces'}", flush=True)
    RECORDS.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n")
    bad = [title for title, record in found.items() if faults(record)]
    if bad:
        raise UserError(f"These do not convince, choose another seed or prompt: {', '.join(bad)}.")
    return 0


def written(services: Services, title: str) -> Mapping[str, Any]:
    """The record of the example with this title, written now. Raises UserError."""
    example = COMPARED[title]
    panes = {place: form_of(request.method) for place, request in enumerate(example.requests)}
    sampling = {name: getattr(FIRST_SAMPLING, name) for name in FIRST_SAMPLING.__dataclass_fields__}
    form = Form(example.prompt, panes, sampling, example.seed, example.chat)
    *_, last = compare(services, form, Board())
    if last.record is None:
        raise UserError(f"{title}: {last.message}")
    *_, checked = check_parity(services, form, last)
    return {**last.record, "fair": all(view.note in FAIR for view in checked.panes.values())}


def faults(record: Mapping[str, Any]) -> list[str]:
    """What keeps a record from convincing."""
    texts = [pane["text"] for pane in record["panes"]]
    found = [] if record.get("fair") else ["a pane with its effect off is not Base"]
    found += [] if all(text.strip() for text in texts) else ["a pane is empty"]
    found += [] if len(set(texts)) == len(texts) else ["two texts are equal"]
    steered = next(pane for pane in record["panes"] if pane["method"]["steering"])
    base = next(pane for pane in record["panes"] if pane["method"]["name"] == "base")
    here, there = (pane["figures"]["attribute_words"] for pane in (steered, base))
    if here < WORDS or here - there < WORDS:
        found.append(f"the steered text has {here} words of its list, the base's {there}")
    judge = judge_of(steered["method"]["steering"]["attributes"][0]["name"])
    if judge is None or not judge.sees([steered["text"]])[0]:
        found.append("the judge does not find the topic")
    return found
