"""The Attributes tab's handlers: values in, values out, on the real components but without a server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from adapters.discriminators.labelled import Labelled
from adapters.methods import UserError
from adapters.pplm.word_list import NO_WORDS
from demo.attributes import words as words_attributes
from demo.attributes.discriminators import (
    Discriminators,
    Training,
    lay_out_discriminators,
    lay_out_training,
    on_delete,
    on_stop,
    play,
    show_discriminator,
    take_rows,
)
from demo.attributes.tab import Lists, fill_list, lay_out_lists, send_list, show_list, take_file
from demo.compare.settings import offer_attributes, offered, take_list
from demo.parts import words as text
from demo.parts.panes import ERROR
from demo.services import Services
from tests.demo.fakes import FakeStore, fake_services

SECRET = "0" * 32
ROWS = tuple(Labelled(f"text {place}", "ab"[place % 2]) for place in range(20))


@pytest.fixture
def services() -> Services:
    return fake_services()


@pytest.fixture
def tab(services: Services) -> Iterator[tuple[Lists, Discriminators, Training]]:
    with gr.Blocks():
        yield lay_out_lists(services), lay_out_discriminators(services), lay_out_training()


def test_every_word_says_whether_it_is_used_and_how_it_is_split(
    services: Services, tab: tuple[Lists, Discriminators, Training]
) -> None:
    lists, *_ = tab
    updates = show_list(services, lists, "laser:2, black hole, exotic, x")
    assert updates[lists.table] == [
        ["laser", "yes", "laser", "2", ""],
        ["black hole", "yes", "black | ·hole", "1", ""],
        ["exotic", "only completed", "exo | tic", "1", "its first token is too short"],
        ["x", "no", "x", "1", "its first token is too short"],
    ]
    ((line, mark),) = updates[lists.message]
    assert line == "2 of 4 words steer at once, 1 only get completed, 1 cannot be used."
    assert mark is None
    assert show_list(services, lists, " ") == {lists.table: []}


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (",;", NO_WORDS),
        ("exotic, x", text.NO_USABLE_WORD),
        (" ".join(f"w{place}" for place in range(100_000)), "A list has 100,000 words"),
        ("oc\0ean", "NUL character"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_list_without_use_is_one_line(
    services: Services, tab: tuple[Lists, Discriminators, Training], typed: Any, message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        show_list(services, tab[0], typed)
    assert "\n" not in str(caught.value)


def test_a_shipped_list_fills_the_box(services: Services, tab: tuple[Lists, Discriminators, Training]) -> None:
    lists, *_ = tab
    assert lists.chosen.value == "science"
    assert lists.words.value == fill_list(services, lists, "science")[lists.words]
    assert fill_list(services, lists, "positive") == {lists.words: "good, liked, wonderful"}
    assert fill_list(services, lists, text.OWN_WORDS) == {lists.words: ""}
    for name in ("nothing", None, ["science"]):
        with pytest.raises(UserError, match="no such list"):
            fill_list(services, lists, name)


def test_an_uploaded_list_fills_the_box_of_the_tab_or_of_a_pane(tmp_path: Path) -> None:
    good, bad = tmp_path / "list.txt", tmp_path / "list.pdf"
    good.write_text("black hole\nstar\n")
    bad.write_text("x")
    assert take_file(str(good)) == (text.OWN_WORDS, "black hole, star", [])
    assert take_list(str(good)) == ("black hole, star", [])
    for refused in (take_file(str(bad)), take_list(str(bad)), take_list(None)):
        ((line, mark),) = refused[-1]
        assert mark == ERROR
        assert "\n" not in line


def test_a_list_is_sent_to_the_panes() -> None:
    assert send_list("black  hole")[0] == "black, hole"
    assert send_list("black hole,") == ("black hole,", [(words_attributes.WORDS_SENT, None)])
    assert send_list(" ")[1] == [(NO_WORDS, ERROR)]


def test_a_discriminator_shows_its_figures(services: Services, tab: tuple[Lists, Discriminators, Training]) -> None:
    _, part, _ = tab
    updates = show_discriminator(services, part, "sentiment", None)
    assert updates[part.confusion]["value"]["headers"] == [
        words_attributes.IS_TOLD_AS,
        "negative",
        "positive",
    ]
    assert updates[part.curve].data
    assert "70.0" in updates[part.message][0][0]


def test_a_model_without_discriminators_shows_nothing_and_no_error(tab: tuple[Lists, Discriminators, Training]) -> None:
    assert show_discriminator(fake_services(store=FakeStore(discriminators={})), tab[1], None, None) == {}


def test_a_training_ends_with_a_discriminator_to_choose(
    services: Services, tab: tuple[Lists, Discriminators, Training]
) -> None:
    _, part, training = tab
    updates = list(play(services, training, part, "tone", ROWS, SECRET))
    assert updates[0][training.train]["interactive"] is False
    assert all(part.chosen not in update for update in updates[:-1])
    last = updates[-1]
    assert last[training.train]["interactive"] is True
    assert (last[part.chosen]["value"], last[part.chosen]["choices"]) == (
        "tone",
        ["sentiment", "tone"],
    )


def test_only_its_own_browser_deletes_a_discriminator(
    services: Services, tab: tuple[Lists, Discriminators, Training]
) -> None:
    _, part, training = tab
    list(play(services, training, part, "tone", ROWS, SECRET))
    assert show_discriminator(services, part, "tone", SECRET)[part.delete.ask]["visible"] is True
    assert show_discriminator(services, part, "tone", "1" * 32)[part.delete.ask]["visible"] is False
    assert show_discriminator(services, part, "sentiment", SECRET)[part.delete.ask]["visible"] is False
    for name, secret in (("tone", "1" * 32), ("tone", None), ("sentiment", SECRET), (["tone"], SECRET)):
        with pytest.raises(UserError):
            on_delete(services, part, name, secret)
    updates = on_delete(services, part, "tone", SECRET)
    assert (updates[part.chosen]["value"], updates[part.chosen]["choices"]) == (
        "sentiment",
        ["sentiment"],
    )
    assert "tone:a" not in offered(services)["attribute"]


def test_stop_says_that_nothing_was_stored(tab: tuple[Lists, Discriminators, Training]) -> None:
    training = tab[2]
    updates = on_stop(training)
    assert updates[training.message] == [(words_attributes.TRAINING_STOPPED, None)]
    assert updates[training.train]["interactive"] is True


def test_rows_that_are_refused_take_those_before_away(services: Services, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("text,label\nx,a\n")
    rows, ((line, mark),) = take_rows(services, str(file))
    assert rows == ()
    assert (line[:8], mark) == ("All rows", ERROR)


def test_what_was_trained_is_offered_to_every_pane(services: Services) -> None:
    built = offered(services)["attribute"]
    assert built[:5] == [text.NONE, text.OWN_WORDS, "science", "positive", "sentiment:negative"]
    list(play_through(services))
    updates = offer_attributes(services, 3)
    assert len(updates) == 3
    assert all({"tone:a", "tone:b"} < set(update["choices"]) for update in updates)
    assert all("value" not in update for update in updates), "what is chosen stays"


def play_through(services: Services) -> Iterator[str]:
    return services.discriminator_trainer.train("tone", ROWS, None)
