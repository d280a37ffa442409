"""The Strength tab: the stored success and cost of steering at each strength, as a plot and a table."""

from pathlib import Path
from typing import Any

import gradio as gr
import plotly.graph_objects as go

from adapters.methods import UserError
from demo.look.theme import COLORS, PAPER_COLOR
from demo.parts import words as common
from demo.parts.controls import labelled
from demo.parts.events import LIGHT, told
from demo.parts.marked import Values, message_line
from demo.parts.plots import dressed, whiskers
from demo.parts.tables import Column, cell_text, facts_table, figures_table, model_facts, show
from demo.parts.views import Page
from demo.services import Services
from demo.strength import words
from leaderboard.frontier import (
    FILE,
    OURS,
    PAPER,
    TITLES,
    UNSTEERED,
    Frontier,
    Goal,
    Point,
    bars,
    read_frontier,
    success_limit,
)
from leaderboard.tables.display import number

ACROSS = ("perplexity", "distinct_2", "repetition")
LIMIT = {"color": "#7f8a9b", "dash": "dash", "width": 1}  # the line of a goal
SIGNS = {  # colour and mark of each algorithm
    UNSTEERED: (COLORS["base"], "diamond"),
    OURS: (COLORS["pplm"], "circle"),
    PAPER: (PAPER_COLOR, "square-open"),
}


class StrengthView:
    """The components, from top to bottom."""

    def __init__(self, frontier: Frontier) -> None:
        goals, costs = [goal.name for goal in frontier.goals], [(TITLES[name], name) for name in ACROSS]
        with gr.Row():
            self.goal = gr.Dropdown(goals, value=goals[0], min_width=260, **labelled("goal"))
            self.across = gr.Dropdown(costs, value=ACROSS[0], min_width=260, **labelled("across"))
        self.message = message_line(words.STRENGTH, "strength-error")
        self.plot = gr.Plot(label=words.STRENGTH, show_label=False)
        gr.HTML(f"<p>{words.STRENGTH_PLOT_HELP}</p>", elem_classes="help")
        self.table = figures_table(words.STRENGTH)
        gr.HTML(f"<p>{words.STRENGTH_TABLE_HELP}</p>", elem_classes="help")
        gr.Textbox("\n".join(frontier.commands), buttons=["copy"], **labelled("measured_by", interactive=False))
        with gr.Accordion(common.MADE_WITH, open=False):
            facts_table(strength_facts(frontier))


def strength_tab(services: Services, page: Page, file: Path = FILE) -> None:
    """Lay out and wire the tab; a message if nothing was measured."""
    gr.HTML(f"<p>{words.STRENGTH_HELP}</p>", elem_classes="help")
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
    draw = told(view.message, draw_strength, view, frontier)
    chosen, shown = [view.goal, view.across], [view.plot, view.table, view.message]
    gr.on([page.blocks.load, view.goal.input, view.across.input], draw, chosen, shown, **LIGHT)


def draw_strength(view: StrengthView, frontier: Frontier, goal: Any, across: Any) -> Values:
    """The plot and the table of a goal. Raises UserError."""
    found = next((each for each in frontier.goals if each.name == goal), None)
    if found is None or across not in ACROSS:
        raise UserError(words.NO_SUCH_STRENGTH)
    return {view.plot: strength_plot(found, across), view.table: show(strength_table(found))}


def strength_plot(goal: Goal, across: str) -> go.Figure:
    """Success against one figure, with 95 % intervals: a line for each algorithm, dashes for the goals."""
    plot = go.Figure()
    for algorithm, (color, symbol) in SIGNS.items():
        points = goal.of(algorithm)
        x, y = [point.figures[across] for point in points], [point.figures["success"] for point in points]
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
    limits = {bar.figure: bar.limit for bar in bars(goal)}
    if across in limits:
        plot.add_vline(x=limits[across], line=LIMIT)
    plot.add_hline(y=success_limit(goal), line=LIMIT)
    plot.update_yaxes(rangemode="tozero")
    dressed(plot, 460, TITLES[across], TITLES["success"])
    return plot.update_layout(showlegend=True, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0})


def hover(point: Point, across: str) -> str:
    """The tooltip of a point."""
    figures = [f"{TITLES[name]} {number(point.figures[name].value)}" for name in ("success", across)]
    return "<br>".join([called(point), *figures])


def called(point: Point) -> str:
    """An algorithm's short name with its strength."""
    name = words.ALGORITHMS_SHORT[point.algorithm]
    return name if point.algorithm == UNSTEERED else f"{name}, {point.strength:g}"


def strength_table(goal: Goal) -> list[Column]:
    """A row for each point, a column for each figure; marks say which goals are reached."""
    wanted = {bar.figure: bar for bar in bars(goal)}
    names = [called(point) for point in goal.points]
    edges = [f"box-shadow: inset 4px 0 0 {SIGNS[point.algorithm][0]}" for point in goal.points]
    columns = [Column(words.STRENGTH, names, names, edges)]
    for name, title in TITLES.items():
        heading = f"{title}, {wanted[name].sign}" if name in wanted else title
        cells = [point.figures[name] for point in goal.points]
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
    """Prompts, settings and versions of the measurement."""
    rows = [
        [common.PROMPTS, f"{frontier.prompts}: {common.count(frontier.num_prompts, 'prompt')}"],
        [common.SETTINGS, common.sampling_line(frontier.sampling, frontier.seed, False)],
    ]
    for goal in frontier.goals:
        for algorithm, settings in goal.settings.items():
            said = ", ".join(f"{name} {value}" for name, value in settings.items())
            rows.append([f"{goal.name}: {words.ALGORITHMS[algorithm]}", said])
    return rows + model_facts(frontier.base, {"base": frontier.base_hash}, frontier.versions)
