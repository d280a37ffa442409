"""Forms and boards of short comparisons."""

from collections.abc import Mapping
from typing import Any

import pytest

from adapters.methods import Sampling, to_json
from demo.compare.board import Board
from demo.compare.form import Form, PaneForm, pane_form
from demo.compare.run import compare
from demo.parts.words import OWN_WORDS
from demo.services import Services

PROMPT = "The movie was"
STEERED = pane_form(attribute=OWN_WORDS, words="a, e, o")
PANES = {0: pane_form(), 1: pane_form(lora="verse"), 2: pane_form(prefix="facts"), 3: STEERED}
TOKENS = 8


def form(prompt: str = PROMPT, panes: Mapping[int, PaneForm] | None = None, seed: int = 5, **sampling: Any) -> Form:
    short = to_json(Sampling(max_new_tokens=TOKENS))
    return Form(prompt, panes or PANES, short | sampling, seed)


def run(services: Services, form: Form, board: Board | None = None) -> list[Board]:
    return list(compare(services, form, board or Board()))


@pytest.fixture(scope="session")
def boards(lasting: Services) -> list[Board]:
    """The boards of one comparison of four methods."""
    return run(lasting, form())


@pytest.fixture(scope="session")
def finished(boards: list[Board]) -> Board:
    return boards[-1]
