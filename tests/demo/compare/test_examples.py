"""The shipped comparisons: written by the real model, each worth looking at, each written again token for token."""

import pytest

from adapters.base_model import BaseModel
from adapters.methods import BASE, effect_off, to_json
from app import Settings, services_of
from benchmarks.example_records import COMPARED, faults
from demo.compare.examples import EXAMPLES, Example, opening, records, start_of
from demo.compare.form import read_method
from demo.compare.record import read_record
from demo.parts.controls import FIRST_SAMPLING
from demo.parts.numbers import DEPARTS, PROMPT, TOPICS
from demo.services import Services
from leaderboard.store.database import Database

by_title = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.title)


@pytest.fixture(scope="module")
def real(embedded: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> Services:
    home = tmp_path_factory.mktemp("home")
    database = Database(f"sqlite:///{home / 'steerboard.db'}")
    return services_of(embedded, database, Settings(None, home, "127.0.0.1", 0))


@by_title
def test_the_record_is_of_the_example(lasting: Services, example: Example) -> None:
    record = records()[example.title]
    assert [text.request for text in read_record(lasting, record).texts.values()] == COMPARED[example.title].requests
    assert record["sampling"] == to_json(FIRST_SAMPLING)


@by_title
def test_an_example_convinces(example: Example) -> None:
    """No empty pane, no two equal texts, words of the list in the steered text alone, and the judge agrees."""
    assert faults(records()[example.title]) == []


def test_there_is_nothing_else_in_the_file() -> None:
    assert list(records()) == list(COMPARED) == [example.title for example in EXAMPLES]


def test_another_base_model_opens_on_an_empty_prompt(lasting: Services) -> None:
    start = opening(lasting)
    assert (start.prompt, start.board.panes, start.board.record, start.shown) == ("", {}, None, (0, 1, 2, 3))
    start = start_of(lasting, EXAMPLES[0])
    assert start.prompt == COMPARED[EXAMPLES[0].title].prompt
    assert read_method(start.forms[1]).lora in lasting.names("lora"), "an adapter that is here"


def test_every_record_is_written_again_token_for_token(real: Services) -> None:
    """All in one batch, which changes no text."""
    texts = [text for title in records() for text in read_record(real, records()[title]).texts.values()]
    *_, rows = real.engine.generate([text.request for text in texts], FIRST_SAMPLING)
    assert [row.token_ids for row in rows] == [text.token_ids for text in texts]
    hashes = {name: value for record in records().values() for name, value in record["hashes"].items()}
    methods = [text.request.method for text in texts]
    assert dict(real.runner.hashes.named(methods)) == hashes


def test_every_record_is_fair(real: Services) -> None:
    """With their effects off all methods write the texts of Base, in one batch."""
    texts = [text for title in records() for text in read_record(real, records()[title]).texts.values()]
    off = [text.request._replace(method=effect_off(text.request.method)) for text in texts]
    *_, rows = real.engine.generate(off, FIRST_SAMPLING)
    base = {text.request.prompt: text.token_ids for text in texts if text.request.method == BASE}
    assert [row.token_ids for row in rows] == [base[row.request.prompt] for row in rows]


def test_the_page_opens_on_the_first_example(real: Services) -> None:
    start = opening(real)
    assert start.example is EXAMPLES[0]
    written = [read_method(form) for form in start.forms[:4]]
    assert written == [view.method for view in start.board.panes.values()]
    for place, view in start.board.panes.items():
        marks = {mark for _, mark in view.spans}
        assert PROMPT in marks
        assert any(mark and DEPARTS in mark for mark in marks) == (place != 0)
    assert any(mark and mark.startswith(TOPICS[0]) for _, mark in start.board.panes[3].spans)
    assert start.board.record is records()[EXAMPLES[0].title]
