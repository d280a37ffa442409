"""The Attributes tab's handlers: values in, values out, on the real components but without a server."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from adapters.methods import UserError
from adapters.pplm.word_list import NO_WORDS, as_text
from adapters.store.adapter_store import AdapterStore
from demo.attributes import words
from demo.attributes.discriminators import (
    Discriminators,
    on_delete,
    show_discriminator,
    take_rows,
    train,
)
from demo.attributes.tab import Lists, fill_list, send_list, show_list, take_file
from demo.compare.panes import offer_attributes, take_list
from demo.parts import words as common
from demo.parts.actions import Work, on_stop, play, work_buttons
from demo.parts.marked import ERROR
from demo.services import Services
from tests.demo.attributes.conftest import ROWS, SECRET


@pytest.fixture
def tab(services: Services) -> Iterator[tuple[Lists, Discriminators, Work]]:
    with gr.Blocks():
        yield Lists(services), Discriminators(services), work_buttons(words.TRAIN, words.TRAIN, "note")


def test_every_word_says_whether_it_is_used_and_how_it_is_split(
    services: Services, tab: tuple[Lists, Discriminators, Work]
) -> None:
    lists, *_ = tab
    updates = show_list(services, lists, "a:2, e o, xyz")
    assert [row[:4] for row in updates[lists.table]] == [
        ["a", "yes", "a", "2"],
        ["e o", "only completed", "e | ·o", "1"],
        ["xyz", "only completed", " | x | y | z", "1"],
    ]
    assert [bool(row[4]) for row in updates[lists.table]] == [False, True, True], "why it is not used from its start"
    assert updates[lists.message] == [("1 of 3 words steer at once, 2 only get completed.", None)]
    assert show_list(services, lists, " ") == {lists.table: []}


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (",;", NO_WORDS),
        ("exotic, x", common.NO_USABLE_WORD),
        (" ".join(f"w{place}" for place in range(100_000)), "A list has 100,000 words"),
        ("oc\0ean", "NUL character"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_list_without_use_is_one_line(
    services: Services, tab: tuple[Lists, Discriminators, Work], typed: Any, message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        show_list(services, tab[0], typed)
    assert "\n" not in str(caught.value)


def test_a_shipped_list_fills_the_box(services: Services, tab: tuple[Lists, Discriminators, Work]) -> None:
    lists, *_ = tab
    assert lists.chosen.value == "science"
    assert lists.words.value == fill_list(services, lists, "science")[lists.words]
    assert fill_list(services, lists, "space") == {lists.words: as_text(services.attributes["space"])}
    assert fill_list(services, lists, common.OWN_WORDS) == {lists.words: ""}
    for name in ("nothing", None, ["science"]):
        with pytest.raises(UserError, match="No such list"):
            fill_list(services, lists, name)


def test_an_uploaded_list_fills_the_box_of_the_tab_or_of_a_pane(tmp_path: Path) -> None:
    good, bad = tmp_path / "list.txt", tmp_path / "list.pdf"
    good.write_text("black hole\nstar\n")
    bad.write_text("x")
    assert take_file(str(good)) == (common.OWN_WORDS, "black hole, star", [])
    assert take_list(str(good)) == ("black hole, star", [])
    for refused in (str(bad), None):  # the event shows the error in its line
        for take in (take_file, take_list):
            with pytest.raises(UserError) as caught:
                take(refused)
            assert "\n" not in str(caught.value)


def test_a_list_is_sent_to_the_panes() -> None:
    assert send_list("black  hole")[0] == "black, hole"
    assert send_list("black hole,") == ("black hole,", [(words.WORDS_SENT, None)])
    with pytest.raises(UserError, match=NO_WORDS):
        send_list(" ")


def test_a_discriminator_shows_its_figures(services: Services, tab: tuple[Lists, Discriminators, Work]) -> None:
    _, part, _ = tab
    updates = show_discriminator(services, part, "tone", None)
    assert updates[part.confusion]["value"]["headers"] == [words.ACTUAL_PREDICTED, "early", "late"]
    assert updates[part.curve].data
    assert updates[part.message][0][0].startswith("100.0\u00a0% right on 6 held-out texts")


def test_a_model_without_discriminators_shows_nothing_and_no_error(
    lasting: Services, tab: tuple[Lists, Discriminators, Work]
) -> None:
    none = lasting._replace(store=AdapterStore([], lasting.engine.base))
    assert show_discriminator(none, tab[1], None, None) == {}


def test_a_training_ends_with_a_discriminator_to_choose_and_to_delete(
    services: Services, tab: tuple[Lists, Discriminators, Work]
) -> None:
    _, part, training = tab
    built = set(services.attribute_names())
    *updates, last, end = play(training, partial(train, services, training, part), "temper", ROWS, SECRET)
    assert updates[0][training.begin]["interactive"] is False
    assert all(part.chosen not in update for update in updates)
    assert end[training.begin]["interactive"] is True
    assert (last[part.chosen]["value"], last[part.chosen]["choices"]) == ("temper", list(services.store.discriminators))
    offered = offer_attributes(services, [part.chosen, gr.Dropdown(), gr.Dropdown()])
    assert len(offered) == 3
    assert all({"temper:early", "temper:late"} < set(update["choices"]) for update in offered.values())
    assert all("value" not in update for update in offered.values()), "what is chosen stays"
    assert show_discriminator(services, part, "temper", SECRET)[part.delete.ask]["visible"] is True
    assert show_discriminator(services, part, "temper", "1" * 32)[part.delete.ask]["visible"] is False
    for name, secret in (("temper", "1" * 32), ("temper", None), ("sentiment", SECRET), (["temper"], SECRET)):
        with pytest.raises(UserError):
            on_delete(services, part, name, secret)
    deleted = on_delete(services, part, "temper", SECRET)
    assert (deleted[part.chosen]["value"], deleted[part.chosen]["choices"]) == ("mood", ["mood", "tone"])
    assert set(services.attribute_names()) == built


def test_stop_says_that_nothing_was_stored(tab: tuple[Lists, Discriminators, Work]) -> None:
    training = tab[2]
    updates = on_stop(training, words.TRAINING_STOPPED)
    assert updates[training.message] == [(words.TRAINING_STOPPED, None)]
    assert updates[training.begin]["interactive"] is True


def test_rows_that_are_refused_take_those_before_away(services: Services, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("text,label\nx,a\n")
    rows, ((line, mark),) = take_rows(services, str(file))
    assert rows == ()
    assert (line[:8], mark) == ("All rows", ERROR)
