"""The examples: each sets the whole tab to a comparison that ships with the app.

`python -m benchmarks examples` says what they compare, and writes them with the real engine; a test replays them.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import orjson

from adapters.methods import Method, from_json
from demo.compare.board import Board, Record
from demo.compare.form import PaneForm, default_panes, first_shown, form_of
from demo.compare.record import read_record
from demo.parts.controls import FIRST_SEED
from demo.parts.words import PROSE
from demo.services import Services

RECORDS = Path(__file__).with_name("data") / "examples.json"


class Example(NamedTuple):
    """A shipped comparison by the title of its button, and what to look for in its texts."""

    title: str
    look: str


EXAMPLES = tuple(Example(title, look) for title, look in PROSE["compare"]["LOOKS"].items())


class Start(NamedTuple):
    """What the tab is set to: by an example, or on a fresh page."""

    example: Example | None
    prompt: str
    forms: list[PaneForm]  # of every pane
    shown: tuple[int, ...]  # places of the panes on the page
    seed: int
    chat: bool
    board: Board


@lru_cache
def records() -> Mapping[str, Record]:
    """The shipped comparisons, by the titles of their examples."""
    return orjson.loads(RECORDS.read_bytes())


def opening(services: Services) -> Start:
    """A fresh page: the first example if its texts ship for this base model, else an empty prompt."""
    start = start_of(services, EXAMPLES[0])
    if start.board.record is not None:
        return start
    forms = default_panes(services)
    return start._replace(example=None, prompt="", forms=forms, shown=first_shown(forms), seed=FIRST_SEED)


def start_of(services: Services, example: Example) -> Start:
    """Everything that an example sets; a pane whose adapter is not here keeps its default."""
    record = records()[example.title]
    methods = [from_json(Method, pane["method"]) for pane in record["panes"]]
    known = {None, *services.names("lora"), *services.names("prefix")}
    forms = default_panes(services)
    for place, method in enumerate(methods):
        if adapters_of(method) <= known:
            forms[place] = form_of(method)
    ours = record["base"] == services.base and all(adapters_of(method) <= known for method in methods)
    board = replace(read_record(services, record).board, stored=True) if ours else Board()
    chat = record["chat"] and bool(services.engine.base.tokenizer.chat_template)
    return Start(example, record["prompt"], forms, tuple(range(len(methods))), record["seed"], chat, board)


def adapters_of(method: Method) -> set[str | None]:
    """Names of the adapters that a method uses."""
    experts = method.experts
    return {method.lora, method.prefix, *((experts.expert, experts.against) if experts else ())}
