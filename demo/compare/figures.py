"""The figures of all texts side by side, and what the marks in them mean."""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from demo.compare import words
from demo.compare.board import Board, Figures, PaneView
from demo.parts.words import TABLES, kinds, title

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
    shown = [scale for scale in SCALES if any(value_of(view, scale) is not None for view in views)]
    prompt = f' data-prompt="{escape(board.record["prompt"])}"' if board.record else ""
    return f'<div class="strip"{prompt}>{"".join(scale_html(scale, views) for scale in shown)}</div>'


def scale_html(scale: Scale, views: Sequence[PaneView]) -> str:
    values = [value_of(view, scale) for view in views]
    most = max([value for value in values if value is not None] + [1e-9]) if math.isnan(scale.most) else scale.most
    rows = "".join(row_html(view, scale, value, most) for view, value in zip(views, values, strict=True))
    name = f"{escape(scale.name)} <em>{escape(scale.reading)}</em> <small>?</small>"
    head = f"<summary>{name}</summary><p>{escape(scale.help)}</p>"
    return f"<section><details>{head}</details>{rows}</section>"


def row_html(view: PaneView, scale: Scale, value: float | None, most: float) -> str:
    number = "–" if value is None else f"{value:,.{scale.digits}f}" if value < 100_000 else f"{value:.0e}"
    place = None if value is None else f"left:{100 * min(1, value / most):.1f}%"
    dot = f'<i class="kind-{kinds(view.method)[-1]}" style="{place}"></i>' if place else ""
    return f'<div><span>{escape(title(view.method))}</span><span class="track">{dot}</span><b>{number}</b></div>'


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
    clicked = [words.CLICK] if any(view.method.steering for view in board.panes.values()) else []
    if board.record and board.record.get("fair"):
        stored.append(words.FAIR)
    return " · ".join([*marks, f"<u>{words.DEPARTS}</u>", *clicked, *stored])
