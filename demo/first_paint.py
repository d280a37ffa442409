"""The comparison that the page opens on, as plain HTML: it can be read before Gradio's script has built the page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from demo.compare import words
from demo.compare.board import Board
from demo.compare.examples import EXAMPLES, opening
from demo.compare.figures import figures_html, legend_html
from demo.compare.panes import status_html
from demo.compare.record import Comparison
from demo.compare.shared import head_html as link_head_html
from demo.look.theme import STYLE_SHEET
from demo.parts import words as common
from demo.parts.marked import head_html
from demo.parts.numbers import DEPARTS, PROMPT, TOPICS
from demo.services import Services

TEMPLATE = Path(__file__).with_name("first_paint.html")
CLASSES = {PROMPT: "prompt-text", DEPARTS: "departs"} | {mark: f"topic-{place}" for place, mark in enumerate(TOPICS)}


def first_paint(services: Services, tabs: Sequence[str], shared: Comparison | None) -> str:
    """A shared comparison, or the one that a fresh page opens on; empty if none ships for this base model."""
    start = None if shared else opening(services)
    board = shared.board if shared else start.board if start else Board()
    if board.record is None:
        return ""
    values: dict[str, Any] = {
        "title": common.TITLE,
        "purpose": common.PURPOSE,
        "tabs": tabs,
        "again": words.RUN_AGAIN,
        "shuffle": words.SHUFFLE,
        "examples": EXAMPLES,
        "start": start,
        "classes": mark_classes,
        "style": STYLE_SHEET.read_text(),
        "head": link_head_html(shared) if shared else "",
        "legend": legend_html(board),
        "figures": figures_html(board),
        "views": [
            {"head": head_html(view.method, services), "spans": view.spans, "status": status_html(view)}
            for _, view in sorted(board.panes.items())
        ],
    }
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE.name).render(**values)


def mark_classes(mark: str | None) -> str:
    """The classes of a piece of text for its marks, which stand as "topic 1, departs".

    >>> mark_classes("topic 1, departs"), mark_classes(None)
    ('topic-0 departs', '')
    """
    return " ".join(CLASSES[one] for one in (mark or "").split(", ") if one)
