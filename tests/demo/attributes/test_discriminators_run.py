"""Discriminators on the page: uploads, trainings as plain generators, figures."""

from pathlib import Path
from typing import Any

import pytest

from adapters.discriminators.labelled import Labelled
from adapters.methods import UserError
from demo.attributes import words as words_attributes
from demo.attributes.run import TrainView, class_sizes, confusion, curve, find_report, read_rows, train
from demo.parts import words as text
from demo.services import Services
from leaderboard.prompts import Limits
from tests.demo.fakes import FakeMeasured, FakeStore, fake_services

ROWS = tuple(Labelled(f"text {place}", "ab"[place % 2]) for place in range(20))


@pytest.fixture
def services() -> Services:
    return fake_services()


def test_rows_are_read_from_an_upload(services: Services, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("text,label\n" + "".join(f"{row.text},{row.label}\n" for row in ROWS))
    rows = read_rows(str(file), services)
    assert rows == ROWS
    assert class_sizes(rows) == {"a": 10, "b": 10}
    assert words_attributes.rows_line(class_sizes(rows)) == "20 texts: a 10, b 10."
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


def test_a_training_says_what_it_does_and_what_can_be_used_then(services: Services) -> None:
    views = list(train(services, " tone ", ROWS))
    assert [view.message for view in views[:-1]] == [
        text.STARTING,
        "Read 5 of 20 texts.",
        "Trying regularisation 1 of 7.",
    ]
    assert all(view.running for view in views[:-1])
    assert (views[-1].done, views[-1].running) == (True, False)
    assert "tone:a, tone:b" in views[-1].message
    assert {"tone:a", "tone:b"} < set(services.attribute_names())


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [("tone", (), words_attributes.NO_ROWS), ("sentiment", ROWS, "already something called 'sentiment'")],
)
def test_what_a_person_can_mend_is_one_line(services: Services, name: Any, rows: Any, message: str) -> None:
    last = list(train(services, name, rows))[-1]
    assert message in last.message
    assert (last.is_error, last.done, last.running) == (True, False, False)


def test_a_broken_training_does_not_tell_its_inner_life(services: Services) -> None:
    seen: list[TrainView] = []
    with pytest.raises(RuntimeError):
        seen.extend(train(services, "tone", (*ROWS, Labelled("BREAK", "a"))))
    assert seen[-1].message == text.SERVER_ERROR
    assert "tone" not in services.store.discriminators


def test_leaving_ends_the_training(services: Services) -> None:
    views = train(services, "tone", ROWS)
    next(views), next(views)
    views.close()  # type: ignore[attr-defined]
    assert services.discriminator_trainer.left == 1  # type: ignore[attr-defined]
    assert "tone" not in services.store.discriminators


def test_figures_are_those_of_the_report(services: Services) -> None:
    measured = find_report(services, "sentiment").measured
    headers, rows = confusion(measured)
    assert headers == [words_attributes.IS_TOLD_AS, "negative", "positive"]
    assert rows == [["negative", "4", "1"], ["positive", "2", "3"]]
    line = words_attributes.accuracy_line(measured)
    assert line.startswith("70.0\u00a0% of 10 held-out texts are told right (95 % interval 40.0\u00a0% to 89.0\u00a0%)")
    assert "right for 50.0\u00a0%" in line
    assert "from 20 on" in line


def test_the_curve_has_every_point_with_its_interval() -> None:
    plot = curve(FakeMeasured(("a", "b")))
    (points,) = plot.data
    assert list(points.x) == [20, 40]
    assert list(points.y) == pytest.approx([60, 70])
    assert list(points.error_y.array) == pytest.approx([23, 19])
    assert list(points.error_y.arrayminus) == pytest.approx([29, 30])
    assert plot.layout.shapes[0].y0 == 50


def test_what_there_is_no_figure_of_is_said() -> None:
    services = fake_services(store=FakeStore(refused={"old": "It was made for the base model 'gpt2'."}))
    services.store.discriminators["bare"] = services.store.discriminators["sentiment"]  # type: ignore[index]
    for name, message in (
        ("none", words_attributes.NO_SUCH_DISCRIMINATOR),
        (None, words_attributes.NO_SUCH_DISCRIMINATOR),
        (["x"], words_attributes.NO_SUCH_DISCRIMINATOR),
        ("old", "made for the base model 'gpt2'"),
        ("bare", words_attributes.NO_FIGURES_OF_HEAD),
    ):
        with pytest.raises(UserError, match=message):
            find_report(services, name)
