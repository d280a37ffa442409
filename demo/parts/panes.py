"""One pane of the Compare tab: a method's name, its text, its figures. Its settings are in demo.compare.settings.

Knows Gradio components and pane views. Model text and people's text go only into HighlightedText and Textbox, which
escape them; the HTML here holds numbers, this project's words and names of adapters, escaped too.
"""

from html import escape
from typing import Any, NamedTuple

import gradio as gr
from gradio.blocks import Block
from gradio.components import Component

from adapters.methods import BASE, Method
from demo.parts import words as text
from demo.parts.board import Board, Figures, PaneView
from demo.parts.numbers import ATTRIBUTE, PROMPT
from demo.services import Services

COLORS = {PROMPT: "transparent", ATTRIBUTE: "orange"}  # the style sheet tells the marks apart by these two
ERROR = "error"
Values = dict[Block, Any]  # of components, in or out of a handler
Marked = list[tuple[str, str | float | None]]  # what HighlightedText shows: pieces of text and their marks


class View(NamedTuple):
    """The components of a pane that only shows."""

    column: gr.Column
    head: gr.HTML
    text: gr.HighlightedText
    figures: gr.HTML
    note: gr.HighlightedText


class Pane(NamedTuple):
    """The components of one pane; `controls` by their field in PaneForm."""

    column: gr.Column
    head: gr.HTML
    text: gr.HighlightedText
    figures: gr.HTML
    note: gr.HighlightedText
    settings: gr.Accordion
    remove: gr.Button
    own: gr.Column  # the list of own words
    controls: dict[str, Component]


def build_view(services: Services, name: str, method: Method = BASE, visible: bool = False) -> View:
    """The part of a pane that shows."""
    with gr.Column(visible=visible, elem_classes="pane", min_width=260) as column:
        head = gr.HTML(head_html(method, services), elem_classes="pane-head")
        body = marked_text(f"{name}: text", "pane-text", pane_text(PaneView(method)))
        figures = gr.HTML(figures_html(PaneView(method)), elem_classes="pane-figures")
        note = message_line(f"{name}: note", "pane-note")
    return View(column, head, body, figures, note)


def marked_text(label: str, elem_class: str, spans: Marked | None = None) -> gr.HighlightedText:
    """A text in pieces with their marks."""
    return gr.HighlightedText(
        spans,
        label=label,
        interactive=False,
        color_map=COLORS,
        show_inline_category=False,
        show_label=False,
        container=False,
        elem_classes=elem_class,
    )


def message_line(label: str, elem_class: str, words: str = "") -> gr.HighlightedText:
    """A line for what a person should know; it takes no room while it is empty."""
    return gr.HighlightedText(
        message(words),
        label=label,
        interactive=False,
        color_map={ERROR: "transparent"},
        show_inline_category=False,
        show_label=False,
        container=False,
        elem_classes=["message", elem_class],
    )


def message(words: str, is_error: bool = False) -> Marked:
    """The value of a message line."""
    return [(words, ERROR if is_error else None)] if words else []


def pane_updates(pane: Pane | View, view: PaneView, services: Services) -> Values:
    """Every value of a pane that shows this view."""
    return {
        pane.head: head_html(view.method, services),
        pane.text: pane_text(view),
        pane.figures: figures_html(view),
        pane.note: message(view.note, view.is_error),
    }


def pane_note(board: Board, place: int) -> Marked:
    """What the note of a pane says: why it could not start, or what its text calls for."""
    if place in board.errors:
        return message(board.errors[place], is_error=True)
    view = board.panes.get(place, PaneView())
    return message(view.note, view.is_error)


def pane_text(view: PaneView) -> Marked:
    """The text of a pane, or what the pane does as long as it has none."""
    if view.spans or view.running:
        return list(view.spans)
    return [(text.describe(view.method), PROMPT)]


def head_html(method: Method, services: Services) -> str:
    """Name and cost of a method under its colour."""
    colors = " ".join(f"kind-{kind}" for kind in text.kinds(method))
    name, cost = escape(text.title(method)), escape(text.cost(method, services))
    return f'<div class="edge {colors}"></div><h2>{name}</h2><p>{cost}</p>'


def figures_html(view: PaneView) -> str:
    """The state of a text, how much of it there is and how fast it came, and its three figures."""
    figures = view.figures or Figures(0)
    state = "running" if view.running else "resting"
    parts = [view.status]
    if figures.tokens:
        parts = [text.count(figures.tokens, "token"), f"{number(figures.tokens_per_second, 1)} tokens/s", view.status]
    cells = {
        "perplexity (base)": number(figures.perplexity, 1),
        "distinct-2 (words)": number(figures.distinct_2, 2),
        "attribute words": number(figures.attribute_words, 0),
    }
    rows = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in cells.items())
    return f'<p class="status {state}">{escape(" · ".join(parts))}</p><dl>{rows}</dl>'


def number(value: float | None, digits: int) -> str:
    """A figure with so many digits, or a dash for no value."""
    if value is None:
        return "–"
    return f"{value:,.{digits}f}" if value < 100_000 else f"{value:.0e}"
