"""The examples: each sets the whole tab, and the comparison that it leads to ships with the app.

`python -m benchmarks examples` writes the comparisons with the real engine; a test replays them.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import orjson

from adapters.methods import Method, Request, parse_method
from demo.compare.board import Board, Record
from demo.compare.form import PaneForm, default_panes, first_shown, form_of
from demo.compare.record import read_record
from demo.parts.controls import FIRST_SEED
from demo.services import Services

RECORDS = Path(__file__).with_name("data") / "examples.json"


class Example(NamedTuple):
    """A prompt, the short name of each pane's method, and what to look for in their texts."""

    title: str  # of its button
    look: str
    prompt: str
    panes: tuple[str, ...]
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


SPACE = Example(
    "A fairy tale → space",
    "Four ways on from the same words: Jane Austen's ladies, one short sentence, and a spaceship.",
    "Once upon a time there was a",
    ("base", "lora:austen", "prefix:facts", "pplm:space"),
    seed=1,
    strength=30,
)
EXAMPLES = (
    SPACE,
    Example(
        "A potato → science",
        "PPLM turns the potato into an experiment. The LoRA turns it into verse.",
        "The potato",
        ("base", "lora:poetry", "prefix:facts", "pplm:science"),
        seed=1,
    ),
    Example(
        "A film review → negative",
        "The base model loves the film. Steered by a list of negative words, it hates it.",
        "My review: this film is",
        ("base", "lora:austen", "prefix:facts", "pplm:negative"),
    ),
    Example(
        "A question → a fact",
        "Only the prefix, trained on short answers, gives one and stops.",
        "Question: Who wrote Hamlet?\nAnswer:",
        ("base", "lora:austen", "prefix:facts", "pplm:religion"),
        seed=2,
        strength=30,
    ),
    Example(
        "A painting → religion",
        "The same painting in prose, in verse, in one line, and in a church.",
        "The painting shows",
        ("base", "lora:poetry", "prefix:facts", "pplm:religion"),
        strength=30,
    ),
    Example(
        "A galaxy → war",
        "The LoRA was trained on old science fiction. PPLM brings the enemy fleet.",
        "In a distant galaxy",
        ("base", "lora:scifi", "prefix:facts", "pplm:military"),
    ),
)


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
    found: Mapping[str, Record] = orjson.loads(RECORDS.read_bytes())
    return found


def opening(services: Services) -> Start:
    """A fresh page: the first example if its texts ship for this base model, else an empty prompt."""
    start = start_of(services, EXAMPLES[0])
    if start.board.record is not None:
        return start
    forms = default_panes(services)
    return start._replace(example=None, prompt="", forms=forms, shown=first_shown(forms), seed=FIRST_SEED)


def start_of(services: Services, example: Example) -> Start:
    """Everything that an example sets; a pane whose adapter is not here keeps its default."""
    requests = example.requests
    known = {None, *services.names("lora"), *services.names("prefix")}
    forms = default_panes(services)
    for place, method in enumerate(request.method for request in requests):
        if {method.lora, method.prefix} <= known:
            forms[place] = form_of(method)
    record = records()[example.title]
    ours = record["base"] == services.base and {one.method.lora for one in requests} <= known
    board = replace(read_record(services, record).board, stored=True) if ours else Board()
    shown = tuple(range(len(requests)))
    chat = example.chat and bool(services.engine.base.tokenizer.chat_template)
    return Start(example, example.prompt, forms, shown, example.seed, chat, board)
