"""The handlers of the table of costs, on the real components but without a server."""

from collections.abc import Iterator
from typing import Any

import gradio as gr
import pytest

from adapters.learned.costs import Cost, Costs
from adapters.methods import UserError
from demo.learned import words
from demo.learned.costs_view import CostsView, lay_out_costs, measure, on_stop, show_costs
from demo.parts import words as common
from demo.parts.marked import ERROR
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


@pytest.fixture
def view() -> Iterator[CostsView]:
    with gr.Blocks():
        yield lay_out_costs()


@pytest.fixture
def services(lasting: Services) -> Services:
    return with_costs(lasting, Measuring())


def with_costs(services: Services, costs: Measuring) -> Services:
    return services._replace(costs=costs)  # type: ignore[arg-type]


def test_before_anything_is_measured_the_page_says_how(services: Services, view: CostsView) -> None:
    updates = show_costs(services, view)
    assert updates == {view.message: [(words.NOT_MEASURED, None)], view.table: []}


def test_measuring_shows_how_far_it_is_and_then_the_figures(services: Services, view: CostsView) -> None:
    first, second, last = measure(services, view)
    assert first[view.message] == [("Training steps, round 0 of 5.", None)]
    assert (first[view.measure]["interactive"], first[view.stop]["interactive"]) == (False, True)
    assert second[view.message] == [("Decoding, round 5 of 5.", None)]
    assert (last[view.measure]["interactive"], last[view.stop]["interactive"]) == (True, False)
    assert last[view.table] == [
        ["base", "0", "0.0", "", "", "", "", "1.00"],
        ["LoRA", "920,000", "3.7", "500", "0.25", "1.50", "0.50", "1.10"],
        ["merged LoRA", "as the LoRA", "540.0", "", "", "", "", "1.00"],
        ["prefix", "230,400", "0.9", "400", "0.20", "1.20", "0.40", "1.02"],
        ["full fine-tuning", "135,000,000", "540.0", "2,000", "1.00", "3.00", "1.00", ""],
    ]
    ((line, _),) = last[view.message]
    assert line.startswith("tiny (135,000,000 parameters, float32 on cpu), 2 CPU cores, 2026-11-25 10:00 UTC.")


def test_what_cannot_be_measured_is_one_line_and_the_buttons_come_back(services: Services, view: CostsView) -> None:
    *_, last = measure(with_costs(services, Measuring(UserError("It takes 8 GB."))), view)
    assert last[view.message] == [("It takes 8 GB.", ERROR)]
    assert last[view.measure]["interactive"]
    *_, shown = collect(measure(with_costs(services, Measuring(RuntimeError("broken"))), view))
    assert shown[view.message] == [(common.SERVER_ERROR, ERROR)]


def collect(steps: Iterator[Any]) -> list[Any]:
    """What came before the error."""
    seen = []
    try:
        for step in steps:
            seen.append(step)
    except RuntimeError:
        return seen
    raise AssertionError("it did not break")


def test_stop_ends_the_measurement_and_keeps_the_figures_of_before(services: Services, view: CostsView) -> None:
    costs = Measuring()
    costs.costs = COSTS
    steps = measure(with_costs(services, costs), view)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert costs.left == 1
    assert on_stop(view)[view.message] == [(words.MEASURING_STOPPED, None)]
