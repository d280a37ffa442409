"""The figures of all texts side by side, and what the marks in them mean."""

import math
from html import escape
from typing import NamedTuple

from demo.compare import words
from demo.compare.board import Board, Figures, PaneView
from demo.look.theme import render
from demo.parts.words import TABLES, can_xray, kinds, title

SHORT = 8  # tokens; the perplexity of fewer says nothing about a text


class Scale(NamedTuple):
    value: str  # a field of Figures
    name: str
    reading: str  # its unit, or which way is better
    help: str
    digits: int
    most: float = math.nan  # NaN: the largest of the values


SCALES = tuple(Scale(value, *row) for value, row in TABLES["figures"].items())


def figures_html(board: Board) -> str:
    """Each figure of the finished texts as a dot plot in the colours of the methods; empty while texts grow."""
    views = [view for _, view in sorted(board.panes.items()) if view.figures and not view.running]
    if board.running or not views:
        return '<div class="strip empty"></div>'
    shown = []
    for scale in SCALES:
        values = [value_of(view, scale) for view in views]
        if known := [value for value in values if value is not None]:
            most = max([*known, 1e-9]) if math.isnan(scale.most) else scale.most
            shown.append((scale, list(zip(views, values, strict=True)), most))
    return render("figures.html", board=board, shown=shown, title=title, kinds=kinds, number=number)


def number(value: float | None, scale: Scale) -> str:
    return "–" if value is None else f"{value:,.{scale.digits}f}" if value < 100_000 else f"{value:.0e}"


def value_of(view: PaneView, scale: Scale) -> float | None:
    """The figure of a text; None for no value, and for the perplexity of a few tokens."""
    figures = view.figures or Figures(0)
    return None if scale.value == "perplexity" and figures.tokens < SHORT else getattr(figures, scale.value)


def legend_html(board: Board) -> str:
    if not any(view.spans for view in board.panes.values()):
        return ""
    marks = [
        f'<span class="topic-{place}">{escape(name.rpartition("/")[2])} word</span>'
        for place, name in enumerate(board.topics[:3])
    ]
    stored = [words.STORED.format(seed=board.record["seed"])] if board.stored and board.record else []
    clicked = [words.CLICK] if any(can_xray(view.method) for view in board.panes.values()) else []
    if board.record and board.record.get("fair"):
        stored.append(words.FAIR)
    return " · ".join([*marks, f"<u>{words.DEPARTS}</u>", *clicked, *stored])
