"""Discriminators on the page: uploads, trainings as plain generators, figures."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from adapters.discriminators.labelled import Labelled
from adapters.methods import UserError
from adapters.pplm.discriminator import Accuracy, Directions, Measured
from demo.parts import words as common
from demo.parts.actions import Work, play, work_buttons
from demo.parts.links import new_secret, owner_of
from demo.parts.marked import ERROR
from demo.services import Services
from demo.steer import words
from demo.steer.discriminators import (
    Discriminators,
    class_sizes,
    confusion,
    curve,
    find_report,
    read_rows,
    train,
)
from leaderboard.prompts import Limits
from tests.demo.conftest import UsedUp
from tests.demo.steer.conftest import ROWS as TONES

ROWS = tuple(Labelled(f"text {place}", "ab"[place % 2]) for place in range(20))


MEASURED = Measured(
    classes=("negative", "positive"),
    training_rows=40,
    held_out_rows=10,
    largest_class=0.5,
    strength=0.1,
    confusion=((4, 1), (2, 3)),
    curve=(Accuracy(20, 0.6, 0.31, 0.83), Accuracy(40, 0.7, 0.4, 0.89)),
    seconds=1.0,
)


def test_rows_are_read_from_an_upload(services: Services, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("text,label\n" + "".join(f"{row.text},{row.label}\n" for row in ROWS))
    rows = read_rows(str(file), services)
    assert rows == ROWS
    assert class_sizes(rows) == {"a": 10, "b": 10}
    assert words.rows_line(class_sizes(rows)) == "20 texts: a 10, b 10."
    with pytest.raises(UserError, match="more than 50 bytes"):
        read_rows(str(file), services._replace(limits=Limits(max_bytes=50)))
    with pytest.raises(UserError, match="Upload a file first"):
        read_rows(None, services)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,label\n" + "".join(f"t{i},a\n" for i in range(20)), "All rows have the label 'a'"),
        ("text,label\n" + "".join(f"t{i},{'ab'[i % 2]}\n" for i in range(20)) + "x,c", "The class 'c' has 1"),
        ("text,label\nx,\n", "field 'label': the label is missing"),
        ("text,label\nx,a\ny,b\n", "give each class at least 10"),
        ("", "holds no row"),
    ],
)
def test_rows_that_cannot_be_told_apart_are_one_line(
    services: Services, tmp_path: Path, content: str, message: str
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        read_rows(str(file), services)
    assert "\n" not in str(caught.value)


@pytest.fixture
def parts(services: Services) -> Iterator[tuple[Work, Discriminators]]:
    with gr.Blocks():
        yield work_buttons(words.TRAIN, words.TRAIN, "note"), Discriminators(services)


Parts = tuple[Work, Discriminators]


def test_a_training_says_what_it_does_and_what_can_be_used_then(services: Services, parts: Parts) -> None:
    secret = new_secret()
    lines = [update[parts[0].message][0][0] for update in train(services, *parts, " temper ", TONES, secret)]
    assert lines[0] == common.STARTING
    assert lines[1].startswith("Read ")
    assert "Trying regularisation 1 of 7." in lines
    assert "temper:early, temper:late" in lines[-1]
    assert {"temper:early", "temper:late"} < set(services.attribute_names())
    assert {"temper:early", "temper:late"} <= set(services.vector_names())
    services.library.delete("temper", owner_of(secret))


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [("temper", (), words.NO_ROWS), ("tone", ROWS, "'tone'")],
)
def test_what_a_person_can_mend_is_one_line(
    services: Services, parts: Parts, name: Any, rows: Any, message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        list(train(services, *parts, name, rows, None))
    assert "\n" not in str(caught.value)


def test_a_broken_training_does_not_tell_its_inner_life(
    services: Services, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Iterator[str]:
        yield "read 5 of 20 texts"
        raise RuntimeError("the training broke")

    monkeypatch.setattr(services.discriminator_trainer, "train", broken)
    work = parts[0]
    *_, told, _ = play(work, partial(train, services, *parts), "temper", ROWS, None)
    assert told == {work.message: [(common.SERVER_ERROR, ERROR)]}
    assert "temper" not in services.store.discriminators


def test_a_training_counts_towards_the_hour(services: Services, parts: Parts, used_up: UsedUp) -> None:
    with pytest.raises(UserError, match="1 of 1 trainings"):
        list(train(used_up(services), *parts, "temper", TONES, None))


def test_leaving_ends_the_training(services: Services, parts: Parts) -> None:
    views = train(services, *parts, "temper", TONES, None)
    next(views), next(views)
    views.close()  # type: ignore[attr-defined]
    assert "temper" not in services.store.names
    with services.store.reserve("temper"):
        pass


def test_figures_are_those_of_the_report(services: Services) -> None:
    assert find_report(services, "tone").measured.classes == ("early", "late")
    headers, rows = confusion(MEASURED)
    assert headers == [words.ACTUAL_PREDICTED, "negative", "positive"]
    assert rows == [["negative", "4", "1"], ["positive", "2", "3"]]
    line = words.accuracy_line(MEASURED)
    assert line.startswith("70.0\u00a0% right on 10 held-out texts (guessing: 50.0\u00a0%).")
    assert "interval: 40.0\u00a0% to 89.0\u00a0%." in line
    assert line.endswith("20 would have been enough.")
    directions = Directions("model.layers.1", 7.0, 40, 10, (0.75, 0.8))
    line = words.accuracy_line(replace(MEASURED, directions=directions))
    assert line.endswith(
        "at model.layers.1: held-out pairs in the right order: negative 75.0\u00a0%, positive 80.0\u00a0%."
    )


def test_the_curve_has_every_point_with_its_interval() -> None:
    plot = curve(MEASURED)
    (points,) = plot.data
    assert list(points.x) == [20, 40]
    assert list(points.y) == pytest.approx([60, 70])
    assert list(points.error_y.array) == pytest.approx([23, 19])
    assert list(points.error_y.arrayminus) == pytest.approx([29, 30])
    assert plot.layout.shapes[0].y0 == 50


def test_what_there_is_no_figure_of_is_said(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    refused, reason = next((name, reason) for name, reason in services.store.refused.items() if "made for" in reason)
    for name, message in (
        ("none", words.NO_SUCH_DISCRIMINATOR),
        (None, words.NO_SUCH_DISCRIMINATOR),
        (["x"], words.NO_SUCH_DISCRIMINATOR),
        (refused, "made for the base model"),
    ):
        with pytest.raises(UserError, match=message):
            find_report(services, name)
    monkeypatch.setattr(services.discriminator_trainer, "report", lambda name: None)
    with pytest.raises(UserError, match=words.NO_FIGURES_OF_HEAD):
        find_report(services, "tone")
