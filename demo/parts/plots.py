"""What the plots of all tabs share. The colours of texts and lines come from the page's style sheet."""

import math
from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr
import plotly.graph_objects as go

from demo.parts.words import quote
from leaderboard.tables.results import Cell

CLEAR = "rgba(0,0,0,0)"
GRID = "rgba(127,138,155,0.25)"
FONT = '"IBM Plex Sans", system-ui, sans-serif'
LEGEND = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}  # above the figure


def whiskers(cells: Sequence[Cell], color: str) -> dict[str, Any]:
    """Error bars from low to high; none for a value without an interval."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [reach(cell.high - cell.value) for cell in cells],
        "arrayminus": [reach(cell.value - cell.low) for cell in cells],
        "color": color,
        "thickness": 1.5,
        "width": 4,
    }


def reach(length: float) -> float:
    return max(length, 0.0) if math.isfinite(length) else 0.0


def dressed(plot: go.Figure, height: int, x: str | None = None, y: str | None = None) -> go.Figure:
    """The figure in the page's style: clear ground, quiet grid, no legend; `x` and `y` title axes without a title."""
    plot.update_layout(
        template="none",
        height=height,
        margin={"l": 24, "r": 20, "t": 20, "b": 24},
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        font={"family": FONT, "size": 13},
        showlegend=False,
        dragmode=False,
    )
    axis = {"gridcolor": GRID, "zerolinecolor": GRID, "automargin": True, "title_standoff": 12, "title_font_size": 13}
    plot.update_xaxes(**axis if x is None else axis | {"title_text": x})
    plot.update_yaxes(**axis if y is None else axis | {"title_text": y})
    return plot


def name_lines(plot: go.Figure, names: Sequence[str]) -> None:
    """Label the lines of a figure, from the top."""
    ticks = {"tickvals": list(range(len(names))), "ticktext": list(names), "ticksuffix": " ", "tickfont_size": 12}
    plot.update_yaxes(autorange="reversed", showgrid=False, zeroline=False, **ticks)


def quoted(piece: str) -> str:
    """A piece of text with visible blanks, escaped for a figure."""
    return escape(quote(piece))


def plot(title: str) -> gr.Plot:
    with gr.Column(min_width=300, elem_classes="stack"):
        gr.HTML(f"<h3>{title}</h3>", elem_classes="figure-title")
        return gr.Plot(label=title, show_label=False)
