"""How hard to steer: with figures, without, and with those of another model."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from adapters.base_model import BaseModel
from adapters.decoding.engine import Engine
from adapters.methods import UserError
from adapters.store.adapter_store import AdapterStore
from benchmarks.sweeps import frontier_sweep
from benchmarks.sweeps.frontier_points import write_frontier
from benchmarks.sweeps.frontier_sweep import STEPS
from demo.parts import words as common
from demo.parts.views import Page
from demo.services import Services
from demo.steer import words
from demo.steer.strength import (
    ACROSS,
    StrengthView,
    draw_strength,
    scale,
    strength_facts,
    strength_plot,
    strength_section,
    strength_table,
    text_at,
)
from leaderboard.frontier import OURS, PAPER, UNSTEERED, Frontier, Steered, read_frontier
from tests.leaderboard.swept import found, frontier


def shown(services: Services, file: Path, base: str = "tiny") -> tuple[list[str], list[type]]:
    """What the tab says in its lines, and the kinds of components it has."""
    services = services._replace(base=base)
    with gr.Blocks() as blocks, gr.Tabs(), gr.Tab("Steer") as tab:
        strength_section(services, Page(blocks, tab, gr.BrowserState(), gr.State(), gr.State()), file)
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
    assert [trace.name for trace in plot.data][:3] == [words.ALGORITHMS[name] for name in (UNSTEERED, OURS, PAPER)]
    assert plot.layout.showlegend
    for trace, algorithm in zip(plot.data, (UNSTEERED, OURS, PAPER), strict=False):
        points = goal.of(algorithm)
        assert list(trace.x) == pytest.approx([point.figures[across].value for point in points], nan_ok=True)
        assert list(trace.y) == [point.figures["success"].value for point in points]
        cells = [point.figures["success"] for point in points]  # of two prompts: without an interval
        low = [cell.low if math.isfinite(cell.low) else cell.value for cell in cells]
        assert [y - down for y, down in zip(trace.y, trace.error_y.arrayminus, strict=True)] == pytest.approx(low)
    assert len({trace.marker.symbol for trace in plot.data[:3]}) == 3
    (region,) = plot.layout.shapes
    assert region.y0 == pytest.approx(4 * 0.25), "the wanted success"
    left, right = plot.layout.xaxis.range
    wanted = {"perplexity": (left, 1.5), "distinct_1": (0.95, right)}.get(across, (left, right))
    assert (region.x0, region.x1) == wanted
    assert plot.layout.annotations[0].text == words.REGION


def test_the_table_marks_what_is_held(made: Frontier) -> None:
    name, success, gain, perplexity, *_, repetition, longest, _ = strength_table(made.goals[0])
    assert list(name.texts) == [
        "Base",
        "PPLM, 0.2",
        "PPLM, 0.4",
        "PPLM as published, 0.2",
        "PPLM as published, 0.4",
    ]
    assert (gain.heading, perplexity.heading) == (
        "On topic, × base (goal \u2265 4)",
        "Perplexity, × base (goal \u2264 1.5)",
    )
    assert gain.texts[1].startswith("3.00 ✗")
    assert list(longest.texts) == ["1", *["4 ✗"] * 4]
    assert not any(mark in line for mark in "✓✗" for column in (success, repetition) for line in column.texts)
    assert not any(mark in column.texts[0] for mark in "✓✗" for column in strength_table(made.goals[0]))


def test_what_is_chosen_is_shown_and_nothing_else(lasting: Services, made: Frontier) -> None:
    with gr.Blocks():
        view = StrengthView(made)
    updates = draw_strength(lasting, view, made, "positive", "distinct_1", 20)
    assert set(updates) == {view.plot, view.table, view.text, view.advice}
    assert updates[view.text] == [(words.NO_TEXTS, None)]
    bad: list[tuple[Any, Any, Any]] = [
        ("topics", "longest_run", 20),
        ("nothing", "perplexity", 20),
        ("topics", "perplexity", None),
        ([], {}, 20),
    ]
    for goal, across, strength in bad:
        with pytest.raises(UserError, match="not measured"):
            draw_strength(lasting, view, made, goal, across, strength)


def test_the_slider_shows_the_text_of_the_nearest_strength_with_its_words_marked(lasting: Services) -> None:
    goal = replace(found(2), steered=Steered(("science",), "The", 5, ((0.0, " cat sat"), (20.0, " atom moved"))))
    assert text_at(lasting, goal, 5) == [("The", "prompt"), (" cat sat", None)]
    assert text_at(lasting, goal, 11) == [
        ("The", "prompt"),
        (" ", None),
        ("atom", "topic 1, departs"),
        (" moved", None),
    ]
    assert scale(goal) == (0, 20, 20)


def test_the_ring_stands_on_our_line_between_measured_strengths_too(made: Frontier) -> None:
    goal = made.goals[0]
    (first, second) = goal.of(OURS)
    ring = strength_plot(goal, "perplexity", 0.3).data[-1]
    assert ring.y[0] == pytest.approx((first.figures["success"].value + second.figures["success"].value) / 2)


def test_the_advice_names_the_strength_and_what_it_gives(made: Frontier) -> None:
    goal = made.goals[0]
    said = words.advice(goal)
    assert said.startswith("Use strength 0.2: ")
    assert "PPLM as published (step size 0.2): " in said
    assert words.advice(replace(goal, points=(goal.unsteered,))) == ""


def test_the_shipped_texts_are_those_of_the_stored_settings() -> None:
    shipped = read_frontier()
    assert shipped is not None
    for goal in shipped.goals:
        assert goal.steered is not None, "python -m benchmarks frontier --texts writes them"
        assert goal.steered.attributes in goal.attributes
        texts = [text for _, text in goal.steered.texts]
        assert [strength for strength, _ in goal.steered.texts] == list(STEPS)
        assert texts[0] != texts[-1]


def test_the_facts_say_what_was_set(made: Frontier) -> None:
    facts: dict[str, str] = dict(strength_facts(made))
    assert facts["Seven topics together: PPLM, by strength"] == "num_iterations 1"
    assert facts[common.BASE_MODEL] == "tiny"
    assert facts["torch"] == "2"


def test_the_shipped_texts_are_written_again(embedded: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = read_frontier()
    assert shipped is not None
    monkeypatch.setattr(frontier_sweep, "STEPS", (0.0, 40.0))
    steered = shipped.goals[0].steered
    assert steered is not None
    engine = Engine(embedded, AdapterStore([], embedded))
    (goal, *_) = frontier_sweep.with_texts(engine, shipped, steered.prompt, [steered.attributes])
    assert goal.steered is not None
    assert set(goal.steered.texts) <= set(steered.texts)
