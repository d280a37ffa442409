"""One pane: the name of a method, its text, its figures. Its settings are in demo.compare.settings."""

from collections.abc import Callable
from html import escape
from typing import Any, NamedTuple

import gradio as gr
from gradio.blocks import Block
from gradio.components import Component

from adapters.methods import BASE, Method
from demo.compare.board import Board, Figures, PaneView
from demo.compare.words import describe
from demo.parts.marked import Marked, Values, head_html, marked_text, message, message_line
from demo.parts.numbers import PROMPT
from demo.parts.words import count
from demo.services import Services


class View(NamedTuple):
    """The part of a pane that shows."""

    column: gr.Column
    head: gr.HTML
    text: gr.HighlightedText
    figures: gr.HTML
    note: gr.HighlightedText


class Pane(NamedTuple):
    """One pane."""

    view: View
    settings: gr.Accordion
    remove: gr.Button
    own: gr.Column  # the list of own words
    controls: dict[str, Component]  # by knob


def build_view(services: Services, name: str, method: Method = BASE, visible: bool = False) -> View:
    """The part of a pane that shows, on the page."""
    with gr.Column(visible=visible, elem_classes="pane", min_width=260) as column:
        head = gr.HTML(head_html(method, services), elem_classes="pane-head")
        body = marked_text(f"{name}: text", "pane-text", pane_text(PaneView(method)))
        figures = gr.HTML(figures_html(PaneView(method)), elem_classes="pane-figures")
        note = message_line(f"{name}: note", "pane-note")
    return View(column, head, body, figures, note)


def view_updates(parts: View, before: PaneView | None, view: PaneView, services: Services) -> Values:
    """The values of a pane that differ between two views; all of them without a view before."""
    made: dict[Block, Callable[[PaneView], Any]] = {
        parts.head: lambda view: head_html(view.method, services),
        parts.text: pane_text,
        parts.figures: figures_html,
        parts.note: lambda view: message(view.note, view.is_error),
    }
    values: Values = {part: make(view) for part, make in made.items()}
    return {part: value for part, value in values.items() if before is None or value != made[part](before)}


def pane_note(board: Board, place: int) -> Marked:
    """The note of a pane: why it could not start, or a warning about its text."""
    if place in board.errors:
        return message(board.errors[place], is_error=True)
    view = board.panes.get(place, PaneView())
    return message(view.note, view.is_error)


def pane_text(view: PaneView) -> Marked:
    """The text of a pane, or what the pane does until it has one."""
    return list(view.spans) if view.spans or view.running else [(describe(view.method), PROMPT)]


def figures_html(view: PaneView) -> str:
    """The state of a text, its length and speed, and its three figures."""
    figures = view.figures or Figures(0)
    parts = [view.status]
    if figures.tokens:
        parts = [count(figures.tokens, "token"), f"{number(figures.tokens_per_second, 1)} tokens/s", view.status]
    cells = {
        "perplexity (base)": number(figures.perplexity, 1),
        "distinct-2 (words)": number(figures.distinct_2, 2),
        "attribute words": number(figures.attribute_words, 0),
    }
    rows = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in cells.items())
    state = "running" if view.running else "resting"
    return f'<p class="status {state}">{escape(" · ".join(parts))}</p><dl>{rows}</dl>'


def number(value: float | None, digits: int) -> str:
    """A figure with so many digits, or a dash for no value."""
    if value is None:
        return "–"
    return f"{value:,.{digits}f}" if value < 100_000 else f"{value:.0e}"
