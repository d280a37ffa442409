"""The Steer tab's handlers: values in, values out, on the real components but without a server."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from adapters.methods import UserError
from adapters.pplm.word_list import NO_WORDS, as_text
from adapters.store.adapter_store import AdapterStore
from demo.compare.drawer import offer_late
from demo.compare.panes import take_list
from demo.parts import words as common
from demo.parts.actions import Work, on_stop, play, work_buttons
from demo.parts.marked import ERROR
from demo.parts.numbers import PROMPT, TOPICS
from demo.services import Services
from demo.steer import words
from demo.steer.discriminators import (
    Discriminators,
    on_delete,
    show_discriminator,
    take_rows,
    train,
)
from demo.steer.tab import MAX_CHIPS, Topics, fill_list, send_list, show_list, take_file, topic, try_topic
from tests.demo.conftest import UsedUp
from tests.demo.steer.conftest import ROWS, SECRET


@pytest.fixture
def tab(services: Services) -> Iterator[tuple[Topics, Discriminators, Work]]:
    with gr.Blocks():
        yield Topics(services), Discriminators(services), work_buttons(words.TRAIN, words.TRAIN, "note")


def test_every_word_says_whether_it_is_used_and_how_it_is_split(
    services: Services, tab: tuple[Topics, Discriminators, Work]
) -> None:
    topics, *_ = tab
    updates = show_list(services, topics, "e o, a:2, xyz")
    assert updates[topics.chips] == [("a", words.NOW), ("e o", words.LATER), ("xyz", words.LATER)]
    rows = updates[topics.table]
    assert [row[:4] for row in rows] == [
        ["e o", words.LATER, "e | ·o", "1"],
        ["a", words.NOW, "a", "2"],
        ["xyz", words.LATER, " | x | y | z", "1"],
    ]
    assert [bool(row[4]) for row in rows] == [True, False, True], "why it is not used from its start"
    assert updates[topics.message] == [("1 steers at once, 2 only get completed.", None)]
    assert show_list(services, topics, " ") == {topics.chips: [], topics.table: []}


def test_the_kinds_of_words_are_counted_in_a_sentence() -> None:
    kinds = [words.NOW] * 3 + [words.LATER] * 3 + [words.UNUSED]
    assert words.list_line(kinds) == "3 steer at once, 3 only get completed, 1 cannot be used."


def test_of_a_long_list_the_first_words_are_shown(services: Services, tab: tuple[Topics, Discriminators, Work]) -> None:
    found = show_list(services, tab[0], ", ".join(["a", *(f"w{place}" for place in range(MAX_CHIPS + 9))]))
    assert found[tab[0].chips][0] == ("a", words.NOW)
    assert found[tab[0].chips][MAX_CHIPS:] == [("… and 10 more", None)]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (",;", NO_WORDS),
        (" ".join(f"w{place}" for place in range(100_000)), "A list has 100,000 words"),
        ("oc\0ean", "NUL character"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_list_without_use_is_one_line(
    services: Services, tab: tuple[Topics, Discriminators, Work], typed: Any, message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        show_list(services, tab[0], typed)
    assert "\n" not in str(caught.value)


def test_a_list_that_cannot_steer_says_so_and_shows_why(
    services: Services, tab: tuple[Topics, Discriminators, Work]
) -> None:
    updates = show_list(services, tab[0], "exotic, x")
    assert updates[tab[0].message] == [(words.NO_USABLE_WORD, ERROR)]
    assert len(updates[tab[0].chips]) == len(updates[tab[0].table]) == 2


def test_a_shipped_list_fills_the_box(services: Services, tab: tuple[Topics, Discriminators, Work]) -> None:
    topics, *_ = tab
    assert topics.chosen.value == "space"
    assert topics.words.value == fill_list(services, topics, "space")[topics.words]
    assert fill_list(services, topics, "science") == {topics.words: as_text(services.attributes["science"])}
    assert fill_list(services, topics, common.OWN_WORDS) == {topics.words: ""}
    for name in ("nothing", None, ["science"]):
        with pytest.raises(UserError, match="No such list"):
            fill_list(services, topics, name)


def test_topics_have_readable_names(services: Services, tab: tuple[Topics, Discriminators, Work]) -> None:
    labels = [str(label) for label, _ in tab[0].chosen.choices]
    assert {"Own words", "Science · Steerboard", "Air travel · Empath", "Positive · Hu and Liu"} <= set(labels)
    assert len(set(labels)) == len(labels) == 1 + len(services.attributes)
    assert not any("/" in label or "_" in label for label in labels)


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


def test_a_shipped_list_keeps_its_name_and_a_changed_one_is_own_words(services: Services) -> None:
    shipped = as_text(services.attributes["space"])
    assert send_list(services, "space", shipped) == (
        ("space", ""),
        [(words.WORDS_SENT.format(name="Space · Steerboard"), None)],
    )
    assert send_list(services, "space", "black  hole")[0] == (common.OWN_WORDS, "black, hole")
    assert topic(services, common.OWN_WORDS, "black hole,").words == ("black hole",)
    with pytest.raises(UserError, match=NO_WORDS):
        send_list(services, "space", " ")


def test_a_try_writes_the_base_beside_the_steered_text(
    services: Services, tab: tuple[Topics, Discriminators, Work]
) -> None:
    topics, *_ = tab
    *_, written, last = try_topic(services, topics, common.OWN_WORDS, "a, e", "Once", 40, None)
    texts = [written[text] for text in topics.texts]
    assert [text[0] for text in texts] == [("Once", PROMPT)] * 2
    base, steered = (sum((mark or "").startswith(TOPICS[0]) for _, mark in text) for text in texts)
    assert last == {topics.work.message: [(words.TRIED.format(steered=steered, base=base, seed=5), None)]}
    for prompt, strength, refused in ((" ", 20, "Type a few words"), ("x" * 5000, 20, "5,000"), ("Once", 1e9, "stren")):
        with pytest.raises(UserError, match=refused):
            next(try_topic(services, topics, common.OWN_WORDS, "a, e", prompt, strength, None))


def test_a_try_counts_towards_the_hour(
    services: Services, tab: tuple[Topics, Discriminators, Work], used_up: UsedUp
) -> None:
    with pytest.raises(UserError, match="This takes 120 tokens"):  # 30 of the base, 30 steered in three passes
        next(try_topic(used_up(services), tab[0], common.OWN_WORDS, "a, e", "Once", 40, None))


def test_leaving_ends_the_try(services: Services, tab: tuple[Topics, Discriminators, Work]) -> None:
    steps = try_topic(services, tab[0], common.OWN_WORDS, "a, e", "Once", 40, None)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert len(list(try_topic(services, tab[0], common.OWN_WORDS, "a, e", "Once", 0, None))) > 1, (
        "the engine is free again"
    )


def test_a_discriminator_shows_its_figures(services: Services, tab: tuple[Topics, Discriminators, Work]) -> None:
    _, part, _ = tab
    updates = show_discriminator(services, part, "tone", None)
    assert updates[part.confusion]["value"]["headers"] == [words.ACTUAL_PREDICTED, "early", "late"]
    assert updates[part.curve].data
    assert updates[part.message][0][0].startswith("100.0\u00a0% right on 6 held-out texts")


def test_a_model_without_discriminators_shows_nothing_and_no_error(
    lasting: Services, tab: tuple[Topics, Discriminators, Work]
) -> None:
    none = lasting._replace(store=AdapterStore([], lasting.engine.base))
    assert show_discriminator(none, tab[1], None, None) == {}


def test_a_training_ends_with_a_discriminator_to_choose_and_to_delete(
    services: Services, tab: tuple[Topics, Discriminators, Work]
) -> None:
    _, part, training = tab
    built = set(services.attribute_names())
    *updates, last, end = play(training, partial(train, services, training, part), "temper", ROWS, SECRET)
    assert updates[0][training.begin]["interactive"] is False
    assert all(part.chosen not in update for update in updates)
    assert end[training.begin]["interactive"] is True
    assert (last[part.chosen]["value"], last[part.chosen]["choices"]) == ("temper", list(services.store.discriminators))
    offered = offer_late(services, {"attribute_2": part.chosen, "attribute_3": gr.Dropdown()})
    assert len(offered) == 2
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


def test_stop_says_that_nothing_was_stored(tab: tuple[Topics, Discriminators, Work]) -> None:
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
