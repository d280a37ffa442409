"""How hard to steer: the stored texts, success and cost of steering at each strength."""

import math
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import plotly.graph_objects as go

from adapters.methods import UserError, parse_attribute, weighted_word
from demo.look.theme import COLORS, PAPER_COLOR
from demo.parts import words as common
from demo.parts.controls import Scale, controls, labelled, slider
from demo.parts.events import LIGHT, told
from demo.parts.marked import Marked, Values, marked_text, message, message_line
from demo.parts.numbers import departure, marker, spans
from demo.parts.plots import LEGEND, dressed, whiskers
from demo.parts.tables import Column, cell_text, facts_table, figures_table, model_facts, show
from demo.parts.views import Page
from demo.services import Services
from demo.steer import words
from leaderboard.frontier import FILE, OURS, PAPER, TITLES, UNSTEERED, WAYS, Frontier, Goal, Point, read_frontier
from leaderboard.output.looks import KINDS
from leaderboard.tables.display import number
from leaderboard.tables.results import Cell

ACROSS = ("perplexity", "distinct_1", "likeness", "repetition")
FIRST_STRENGTH = 40.0  # strength that is shown first
WANTED = "rgba(0,158,115,0.12)"  # what is wanted
control = partial(labelled, of=controls("strength"))
SIGNS = {  # colour and mark of each way of steering
    name: (PAPER_COLOR, "square-open") if name == PAPER else (COLORS[way.kind], KINDS[way.kind].symbol)
    for name, way in WAYS.items()
}


class StrengthView:
    """The slider with its text beside the plot; figures and commands are folded."""

    def __init__(self, frontier: Frontier) -> None:
        goals = [(words.goal_name(goal.name), goal.name) for goal in frontier.goals]
        costs = [(TITLES[name].capitalize(), name) for name in ACROSS]
        self.message = message_line(words.STRENGTH, "shared-note")
        with gr.Row(elem_classes="plots"):
            with gr.Column(min_width=300, elem_classes="stack"):
                self.goal = gr.Dropdown(goals, value=goals[0][1], **control("goal"))
                self.strength = slider(FIRST_STRENGTH, scale(frontier.goals[0]), **control("strength"))
                with gr.Column(elem_classes=["pane", "strength-text"]):
                    self.text = marked_text(words.STRENGTH, "pane-text")
                self.advice = message_line(words.STRENGTH, "step-line")
            with gr.Column(min_width=300, elem_classes="stack"):
                self.plot = gr.Plot(label=words.STRENGTH, show_label=False)
                gr.HTML(f"<p>{words.STRENGTH_PLOT_HELP}</p>", elem_classes="help")
        with gr.Accordion(words.STRENGTH_DETAILS, open=False):
            self.across = gr.Dropdown(costs, value=ACROSS[0], **control("across"))
            self.table = figures_table(words.STRENGTH)
            gr.HTML(f"<p>{words.STRENGTH_TABLE_HELP}</p>", elem_classes="help")
            gr.Textbox("\n".join(frontier.commands), buttons=["copy"], **control("measured_by", interactive=False))
            facts_table(strength_facts(frontier))


def strength_section(services: Services, page: Page, file: Path = FILE) -> None:
    """Lay out and wire the section; a message if nothing was measured."""
    gr.HTML(words.STRENGTH_HTML, elem_classes="section")
    try:
        if (frontier := read_frontier(file)) is None:
            raise UserError(words.NOT_MEASURED)
    except UserError as error:
        message_line(words.STRENGTH, "strength-note", str(error))
        return
    if frontier.base != services.base:
        note = words.OTHER_BASE.format(measured=frontier.base, running=services.base)
        message_line(words.STRENGTH, "strength-note", note)
    view = StrengthView(frontier)
    draw = told(view.message, draw_strength, services, view, frontier)
    chosen = [view.goal, view.across, view.strength]
    shown = [view.plot, view.table, view.text, view.advice, view.message]
    events = [page.blocks.load, view.goal.input, view.across.input, view.strength.change]
    gr.on(events, draw, chosen, shown, trigger_mode="always_last", **LIGHT)


def stored_goals(services: Services, file: Path = FILE) -> tuple[Goal, ...]:
    """The goals that were measured with this base model; none where the file is missing or damaged."""
    with suppress(UserError):
        if (frontier := read_frontier(file)) is not None and frontier.base == services.base:
            return frontier.goals
    return ()


def scale(goal: Goal) -> Scale:
    """The lowest and the highest stored strength, and the step between them."""
    strengths = [strength for strength, _ in goal.steered.texts] if goal.steered else [0.0, 1.0]
    return strengths[0], strengths[-1], strengths[1] - strengths[0]


def draw_strength(
    services: Services, view: StrengthView, frontier: Frontier, goal: Any, across: Any, strength: Any
) -> Values:
    """The plot, the text, the advice and the table of a goal. Raises UserError."""
    found = next((each for each in frontier.goals if each.name == goal), None)
    if found is None or across not in ACROSS or not isinstance(strength, int | float):
        raise UserError(words.NO_SUCH_STRENGTH)
    return {
        view.plot: strength_plot(found, across, strength),
        view.table: show(strength_table(found)),
        view.text: text_at(services, found, strength),
        view.advice: message(words.advice(found)),
    }


def text_at(services: Services, goal: Goal, strength: float) -> Marked:
    """The stored text of the nearest strength, its list words marked."""
    if goal.steered is None:
        return message(words.NO_TEXTS)
    _, text = min(goal.steered.texts, key=lambda each: abs(each[0] - strength))
    _, base = goal.steered.texts[0]
    name = parse_attribute(goal.steered.attributes[0]).name
    marked = marker({name: [weighted_word(word)[0] for word in services.attributes.get(name, ())]})
    return list(spans(goal.steered.prompt, text, marked, departure(text, base) if text != base else (0, 0)))


def strength_plot(goal: Goal, across: str, strength: float = 0) -> go.Figure:
    """Success against one figure, with 95 % intervals: a line for each algorithm, the wanted region, the strength."""
    plot = go.Figure()
    for algorithm, (color, symbol) in SIGNS.items():
        if not (points := goal.of(algorithm)):
            continue
        x, y = [point.figure(across) for point in points], [point.figure("success") for point in points]
        plot.add_scatter(
            x=[cell.value for cell in x],
            y=[cell.value for cell in y],
            error_x=whiskers(x, color),
            error_y=whiskers(y, color),
            mode="lines+markers+text",
            marker={"symbol": symbol, "size": 11, "color": color, "line": {"width": 2.5, "color": color}},
            line={"color": color, "width": 1.5},
            text=["" if algorithm == UNSTEERED else f"{point.strength:g}" for point in points],
            textposition="top left" if algorithm == OURS else "bottom right",
            name=words.ALGORITHMS[algorithm],
            cliponaxis=False,
            hoverinfo="text",
            hovertext=[hover(point, across) for point in points],
        )
    plot.add_scatter(**here(goal, across, strength))
    low, high = reach_of([point.figure(across) for point in goal.points])
    bar = next((bar for bar in goal.bars if bar.figure == across), None)
    left, right = low, high
    if bar is not None:
        left, right = (bar.limit, high) if bar.at_least else (low, bar.limit)
    bottom = goal.success_limit
    plot.add_shape(type="rect", layer="below", x0=left, x1=right, y0=bottom, y1=1, fillcolor=WANTED, line_width=0)
    label = {"showarrow": False, "xanchor": "left", "yanchor": "top", "font": {"size": 12}}
    plot.add_annotation(text=words.REGION, x=left, y=1, **label)
    plot.update_xaxes(range=[low, high])
    plot.update_yaxes(range=[0, 1.02], tickformat=".0%")
    dressed(plot, 400, TITLES[across], TITLES["success"])
    return plot.update_layout(showlegend=True, legend=LEGEND)


def reach_of(cells: Sequence[Cell]) -> list[float]:
    """An axis from the lowest to the highest end of the intervals, with room beside them."""
    ends = [end for cell in cells for end in (cell.value, cell.low, cell.high) if math.isfinite(end)] or [1.0]
    room = 0.08 * (max(ends) - min(ends)) + 0.01
    return [min(ends) - room, max(ends) + room]


def here(goal: Goal, across: str, strength: float) -> dict[str, Any]:
    """A ring on our line at a strength, between the measured ones too."""
    points = sorted([goal.unsteered, *goal.of(OURS)], key=lambda point: point.strength)
    known = [point.strength for point in points]
    x, y = (
        float(np.interp(strength, known, [point.figure(name).value for point in points]))
        for name in (across, "success")
    )
    marker = {"symbol": "circle-open", "size": 22, "color": COLORS["pplm"], "line": {"width": 2}}
    return {"x": [x], "y": [y], "mode": "markers", "marker": marker, "showlegend": False, "hoverinfo": "skip"}


def hover(point: Point, across: str) -> str:
    figures = [f"{TITLES[name]} {number(point.figure(name).value)}" for name in ("success", across)]
    return "<br>".join([called(point), *figures])


def called(point: Point) -> str:
    name = WAYS[point.algorithm].title
    return name if point.algorithm == UNSTEERED else f"{name}, {point.strength:g}"


def strength_table(goal: Goal) -> list[Column]:
    """A row for each point, a column for each figure; marks say which goals are reached."""
    wanted = {bar.figure: bar for bar in goal.bars}
    names = [called(point) for point in goal.points]
    edges = [f"box-shadow: inset 4px 0 0 {SIGNS[point.algorithm][0]}" for point in goal.points]
    columns = [Column(words.STRENGTH, names, names, edges)]
    for name, title in TITLES.items():
        heading = title.capitalize() + (f" (goal {wanted[name].sign})" if name in wanted else "")
        cells = [point.figure(name) for point in goal.points]
        marks = [
            "" if name not in wanted or point.algorithm == UNSTEERED else words.VERDICTS[wanted[name].held(point)]
            for point in goal.points
        ]
        texts = [
            f"{cell.value:.0f} {mark}".strip() if name == "longest_run" else cell_text(cell, mark)
            for cell, mark in zip(cells, marks, strict=True)
        ]
        columns.append(Column(heading, [cell.value for cell in cells], texts))
    return columns


def strength_facts(frontier: Frontier) -> list[list[str]]:
    rows = [
        [common.PROMPTS, f"{frontier.prompts}: {common.count(frontier.num_prompts, 'prompt')}"],
        [common.SETTINGS, common.sampling_line(frontier.sampling, frontier.seed, False)],
    ]
    for goal in frontier.goals:
        for algorithm, settings in goal.settings.items():
            said = ", ".join(f"{name} {value}" for name, value in settings.items())
            rows.append([f"{words.goal_name(goal.name)}: {words.ALGORITHMS[algorithm]}", said])
    return rows + model_facts(frontier.base, {"base": frontier.base_hash}, frontier.versions)
