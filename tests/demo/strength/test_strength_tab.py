"""The Strength tab: with figures, without, and with those of another model."""

from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from adapters.methods import UserError
from benchmarks.sweeps.frontier_points import write_frontier
from demo.parts import words as common
from demo.parts.views import Page
from demo.services import Services
from demo.strength import words
from demo.strength.tab import (
    ACROSS,
    StrengthView,
    draw_strength,
    strength_facts,
    strength_plot,
    strength_tab,
    strength_table,
)
from leaderboard.frontier import OURS, PAPER, UNSTEERED, Frontier
from tests.leaderboard.swept import found, frontier


def shown(services: Services, file: Path, base: str = "tiny") -> tuple[list[str], list[type]]:
    """What the tab says in its lines, and the kinds of components it has."""
    services = services._replace(base=base)
    with gr.Blocks() as blocks, gr.Tabs(), gr.Tab("Strength") as tab:
        strength_tab(services, Page(blocks, tab, gr.BrowserState(), gr.State()), file)
    components = list(blocks.blocks.values())
    lines = [c.value for c in components if isinstance(c, gr.HighlightedText)]
    return [span["token"] for line in lines for span in line or []], [type(c) for c in components]


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    write_frontier(frontier(found(2), found(1, "positive")), tmp_path / "frontier.json")
    return tmp_path / "frontier.json"


def test_without_figures_a_line_says_how_to_measure_them(lasting: Services, tmp_path: Path) -> None:
    said, kinds = shown(lasting, tmp_path / "none.json")
    assert said == [words.NOT_MEASURED]
    assert gr.Plot not in kinds


def test_a_damaged_file_is_said_in_a_line(lasting: Services, tmp_path: Path) -> None:
    (tmp_path / "frontier.json").write_text("{")
    assert shown(lasting, tmp_path / "frontier.json")[0] == ["frontier.json is not JSON: measure it again."]


def test_with_figures_there_is_a_plot_and_a_table(lasting: Services, stored: Path) -> None:
    said, kinds = shown(lasting, stored)
    assert said == []
    assert {gr.Plot, gr.Dataframe, gr.Textbox} <= set(kinds)


def test_figures_of_another_model_say_so(lasting: Services, stored: Path) -> None:
    assert shown(lasting, stored, "gpt2")[0] == [words.OTHER_BASE.format(measured="tiny", running="gpt2")]


@pytest.fixture
def made() -> Frontier:
    return frontier(found(2), found(1, "positive"))


@pytest.mark.parametrize("across", ACROSS)
def test_the_plot_has_every_point_with_its_intervals(made: Frontier, across: str) -> None:
    (goal, _) = made.goals
    plot = strength_plot(goal, across)
    assert [trace.name for trace in plot.data] == [words.ALGORITHMS[name] for name in (UNSTEERED, OURS, PAPER)]
    assert plot.layout.showlegend
    for trace, algorithm in zip(plot.data, (UNSTEERED, OURS, PAPER), strict=True):
        points = goal.of(algorithm)
        assert list(trace.x) == [point.figures[across].value for point in points]
        assert list(trace.y) == [point.figures["success"].value for point in points]
        low = [point.figures["success"].low for point in points]
        assert [y - down for y, down in zip(trace.y, trace.error_y.arrayminus, strict=True)] == pytest.approx(low)
    assert len({trace.marker.symbol for trace in plot.data}) == len({trace.marker.color for trace in plot.data}) == 3
    limits = {line.x0 for line in plot.layout.shapes if line.x0 == line.x1}
    assert limits == {"perplexity": {1.5}, "distinct_2": {0.95}, "repetition": set()}[across]
    (wanted,) = [line.y0 for line in plot.layout.shapes if line.y0 == line.y1]
    assert wanted == pytest.approx(4 * 0.25)


def test_the_table_marks_what_is_held(made: Frontier) -> None:
    name, success, gain, perplexity, *_, repetition, longest, _ = strength_table(made.goals[0])
    assert list(name.texts) == ["unsteered", "ours, 0.2", "ours, 0.4", "the paper's, 0.2", "the paper's, 0.4"]
    assert (gain.heading, perplexity.heading) == (
        "success, unsteered = 1, \u2265 4",
        "perplexity, unsteered = 1, \u2264 1.5",
    )
    assert gain.texts[1].startswith("3.00 ✗")
    assert list(longest.texts) == ["1", *["4 ✗"] * 4]
    assert not any(mark in line for mark in "✓✗" for column in (success, repetition) for line in column.texts)
    assert not any(mark in column.texts[0] for mark in "✓✗" for column in strength_table(made.goals[0]))


def test_what_is_chosen_is_shown_and_nothing_else(made: Frontier) -> None:
    with gr.Blocks():
        view = StrengthView(made)
    updates = draw_strength(view, made, "positive", "distinct_2")
    assert set(updates) == {view.plot, view.table}
    bad: list[tuple[Any, Any]] = [("topics", "longest_run"), ("nothing", "perplexity"), (None, None), ([], {})]
    for goal, across in bad:
        with pytest.raises(UserError, match="not measured"):
            draw_strength(view, made, goal, across)


def test_the_facts_say_what_was_set(made: Frontier) -> None:
    facts: dict[str, str] = dict(strength_facts(made))
    assert facts["topics: ours, by nats per word"] == "num_iterations 1"
    assert facts[common.BASE_MODEL] == "tiny"
    assert facts["torch"] == "2"
