"""The handlers of the table of costs, on the real components but without a server."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import gradio as gr
import pytest

from adapters.learned.costs import COLUMNS, Cost, Costs
from adapters.methods import UserError
from demo.inside import words
from demo.inside.tab import measure, show_costs
from demo.parts import words as common
from demo.parts.actions import Work, on_stop, play, work_buttons
from demo.parts.marked import ERROR, Values
from demo.parts.tables import text_table
from demo.services import Services

COSTS = Costs(
    *("tiny", 135_000_000, "cpu", "float32", "2 CPU cores", "2026-11-25 10:00", 8, 20, 4, 64, 16, 5),
    methods=(
        Cost("base", 0, 0, token_seconds=0.1),
        Cost("LoRA", 920_000, 3_680_000, 500_000_000, 1.5, 0.11),
        Cost("merged LoRA", None, 540_000_000, token_seconds=0.1),
        Cost("prefix", 230_400, 921_600, 400_000_000, 1.2, 0.102),
        Cost("full fine-tuning", 135_000_000, 540_000_000, 2_000_000_000, 3.0),
    ),
)


class Measuring:
    """Stands for minutes of measuring in processes; `breaks` is the end of a measurement without figures."""

    def __init__(self, breaks: Exception | None = None) -> None:
        self.costs: Costs | None = None
        self.breaks, self.left = breaks, 0

    def stored(self) -> Costs | None:
        return self.costs

    def measure(self) -> Iterator[str]:
        try:
            yield "training steps, round 0 of 5"
            if self.breaks is not None:
                raise self.breaks
            yield "decoding, round 5 of 5"
        except GeneratorExit:
            self.left += 1
            raise
        self.costs = COSTS


class View(NamedTuple):
    """The components."""

    work: Work
    table: gr.Dataframe

    def measured(self, services: Services) -> list[Values]:
        return list(self.measuring(services))

    def measuring(self, services: Services) -> Iterator[Values]:
        return play(self.work, partial(measure, services, [self.work.message, self.table]))


@pytest.fixture
def view() -> Iterator[View]:
    with gr.Blocks():
        yield View(work_buttons(words.MEASURE, words.COSTS, "note"), text_table(words.COSTS, COLUMNS))


@pytest.fixture
def services(lasting: Services) -> Services:
    return with_costs(lasting, Measuring())


def with_costs(services: Services, costs: Measuring) -> Services:
    return services._replace(costs=costs)  # type: ignore[arg-type]


def test_before_anything_is_measured_the_page_says_how(services: Services) -> None:
    assert show_costs(services) == ([(words.NOT_MEASURED, None)], [])


def test_measuring_shows_how_far_it_is_and_then_the_figures(services: Services, view: View) -> None:
    begun, first, second, done, last = view.measured(services)
    assert (begun[view.work.begin]["interactive"], begun[view.work.stop]["interactive"]) == (False, True)
    assert first[view.work.message] == [("Training steps, round 0 of 5.", None)]
    assert second[view.work.message] == [("Decoding, round 5 of 5.", None)]
    assert (last[view.work.begin]["interactive"], last[view.work.stop]["interactive"]) == (True, False)
    assert done[view.table] == [
        ["base", "–", "–", "", "", "1.00 × base"],
        ["LoRA", "0.92 M (0.68 %)", "3.68 MB", "500 MB (25 % of full)", "1.50 s (50 % of full)", "1.10 × base"],
        ["merged LoRA", "as the LoRA", "540 MB", "", "", "1.00 × base"],
        ["prefix", "0.23 M (0.17 %)", "0.922 MB", "400 MB (20 % of full)", "1.20 s (40 % of full)", "1.02 × base"],
        ["full fine-tuning", "135 M", "540 MB", "2.00 GB (100 % of full)", "3.00 s (100 % of full)", ""],
    ]
    ((line, _),) = done[view.work.message]
    assert line.startswith("tiny (135,000,000 parameters, float32 on cpu), 2 CPU cores, 2026-11-25 10:00 UTC.")


def test_what_cannot_be_measured_is_one_line_and_the_buttons_come_back(services: Services, view: View) -> None:
    for error, said in ((UserError("It takes 8 GB."), "It takes 8 GB."), (RuntimeError("broken"), common.SERVER_ERROR)):
        *_, told, last = view.measured(with_costs(services, Measuring(error)))
        assert told == {view.work.message: [(said, ERROR)]}
        assert last[view.work.begin]["interactive"]


def test_stop_ends_the_measurement_and_keeps_the_figures_of_before(services: Services, view: View) -> None:
    costs = Measuring()
    costs.costs = COSTS
    steps = view.measuring(with_costs(services, costs))
    next(steps), next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert costs.left == 1
    assert on_stop(view.work, words.MEASURING_STOPPED)[view.work.message] == [(words.MEASURING_STOPPED, None)]
