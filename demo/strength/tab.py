"""The Strength tab: the stored success and cost of steering at each strength."""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from adapters.methods import UserError
from demo.parts import words as common
from demo.parts.controls import labelled
from demo.parts.events import LIGHT, or_message
from demo.parts.marked import Values, message_line
from demo.parts.tables import facts_table, figures_table, show
from demo.parts.views import Page
from demo.services import Services
from demo.strength import words
from demo.strength.figures import strength_facts, strength_plot, strength_table
from leaderboard.frontier import FILE, TITLES, Frontier, read_frontier

ACROSS = ("perplexity", "distinct_2", "repetition")


class StrengthView(NamedTuple):
    """The components."""

    goal: gr.Dropdown
    across: gr.Dropdown
    plot: gr.Plot
    table: gr.Dataframe
    message: gr.HighlightedText


def strength_tab(services: Services, page: Page, file: Path = FILE) -> None:
    """Lay out and wire the tab; a message if nothing was measured."""
    gr.HTML(f"<p>{words.STRENGTH_HELP}</p>", elem_classes="help")
    try:
        frontier = read_frontier(file)
    except UserError as error:
        message_line(words.STRENGTH, "strength-note", str(error))
        return
    if frontier is None:
        message_line(words.STRENGTH, "strength-note", words.NOT_MEASURED)
        return
    if frontier.base != services.base:
        note = words.OTHER_BASE.format(measured=frontier.base, running=services.base)
        message_line(words.STRENGTH, "strength-note", note)
    view = lay_out_strength(frontier)
    draw = partial(or_message, view.message, partial(draw_strength, view, frontier))
    chosen, shown = [view.goal, view.across], [view.plot, view.table, view.message]
    gr.on([page.blocks.load, view.goal.input, view.across.input], draw, chosen, shown, **LIGHT)


def lay_out_strength(frontier: Frontier) -> StrengthView:
    """Lay out the components."""
    goals = [goal.name for goal in frontier.goals]
    with gr.Row():
        goal = gr.Dropdown(goals, value=goals[0], min_width=260, **labelled("goal"))
        costs = [(TITLES[name], name) for name in ACROSS]
        across = gr.Dropdown(costs, value=ACROSS[0], min_width=260, **labelled("across"))
    line = message_line(words.STRENGTH, "strength-error")
    plot = gr.Plot(label=words.STRENGTH, show_label=False)
    gr.HTML(f"<p>{words.STRENGTH_PLOT_HELP}</p>", elem_classes="help")
    table = figures_table(words.STRENGTH)
    gr.HTML(f"<p>{words.STRENGTH_TABLE_HELP}</p>", elem_classes="help")
    gr.Textbox("\n".join(frontier.commands), buttons=["copy"], **labelled("measured_by", interactive=False))
    with gr.Accordion(common.MADE_WITH, open=False):
        facts_table(strength_facts(frontier))
    return StrengthView(goal, across, plot, table, line)


# Handlers: values in, values out


def draw_strength(view: StrengthView, frontier: Frontier, goal: Any, across: Any) -> Values:
    """The plot and the table of a goal. Raises UserError."""
    found = next((each for each in frontier.goals if each.name == goal), None)
    if found is None or across not in ACROSS:
        raise UserError(words.NO_SUCH_STRENGTH)
    return {view.plot: strength_plot(found, across), view.table: show(strength_table(found))}
