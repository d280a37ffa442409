"""The handlers of the table of costs, on the real components but without a server."""

from collections.abc import Iterator
from typing import Any

import gradio as gr
import pytest

from adapters.methods import UserError
from demo.learned import words as words_learned
from demo.learned.costs_view import CostsView, lay_out_costs, measure, on_stop, show_costs
from demo.parts import words as text
from demo.parts.panes import ERROR
from demo.services import Services
from tests.demo.fakes import COSTS, FakeCosts, fake_services


@pytest.fixture
def view() -> Iterator[CostsView]:
    with gr.Blocks():
        yield lay_out_costs()


def with_costs(costs: FakeCosts) -> Services:
    return fake_services()._replace(costs=costs)


def test_before_anything_is_measured_the_page_says_how(view: CostsView) -> None:
    updates = show_costs(fake_services(), view)
    assert updates == {view.message: [(words_learned.NOT_MEASURED, None)], view.table: []}


def test_measuring_shows_how_far_it_is_and_then_the_figures(view: CostsView) -> None:
    first, second, last = measure(fake_services(), view)
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
    assert line.startswith("fake-135M (135,000,000 parameters, float32 on cpu), 2 CPU cores, 2026-11-25 10:00 UTC.")


def test_what_cannot_be_measured_is_one_line_and_the_buttons_come_back(view: CostsView) -> None:
    *_, last = measure(with_costs(FakeCosts(UserError("It takes 8 GB."))), view)
    assert last[view.message] == [("It takes 8 GB.", ERROR)]
    assert last[view.measure]["interactive"]
    *_, shown = collect(measure(with_costs(FakeCosts(RuntimeError("broken"))), view))
    assert shown[view.message] == [(text.SERVER_ERROR, ERROR)]


def collect(steps: Iterator[Any]) -> list[Any]:
    """What came before the error."""
    seen = []
    try:
        for step in steps:
            seen.append(step)
    except RuntimeError:
        return seen
    raise AssertionError("it did not break")


def test_stop_ends_the_measurement_and_keeps_the_figures_of_before(view: CostsView) -> None:
    costs = FakeCosts()
    costs.costs = COSTS
    steps = measure(with_costs(costs), view)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert costs.left == 1
    assert on_stop(view)[view.message] == [(words_learned.MEASURING_STOPPED, None)]
