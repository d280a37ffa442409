"""Plots of a run: fluency against diversity, and bars for each metric, with their intervals.

Knows results and plotly; the colours of texts and lines come from the page's style sheet, so that they fit it.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from adapters.methods import Method
from demo.leaderboard import words as words_leaderboard
from demo.parts import words as text
from demo.parts.cells import cell_text
from demo.parts.theme import COLORS
from leaderboard.tables.display import number
from leaderboard.tables.table import Cell, Results

CLEAR = "rgba(0,0,0,0)"
GRID = "rgba(127,138,155,0.25)"
FONT = '"IBM Plex Sans", system-ui, sans-serif'
BESIDE = ("top right", "bottom left", "top left", "bottom right")  # so that names of close points stand apart
SYMBOLS = {"base": "circle", "lora": "square", "prefix": "diamond", "pplm": "triangle-up"}


def trade_off(results: Results, methods: Mapping[str, Method], across: str, up: str) -> go.Figure:
    """One metric against another, both with 95 % intervals; a point a method, its name beside it."""
    plot = go.Figure()
    for place, name in enumerate(results.methods):
        x, y = results.cells[across].get(name), results.cells[up].get(name)
        if x is None or y is None or not (math.isfinite(x.value) and math.isfinite(y.value)):
            continue
        kinds = text.kinds(methods[name])
        plot.add_scatter(
            x=[x.value],
            y=[y.value],
            error_x=whiskers([x], COLORS[kinds[-1]]),
            error_y=whiskers([y], COLORS[kinds[-1]]),
            mode="markers+text",
            text=[name],
            textposition=BESIDE[place % len(BESIDE)],
            marker=marker(kinds),
            name=name,
            hoverinfo="text",
            hovertext=": ".join([name, f"{number(x.value)}, {number(y.value)}"]),
        )
    plot.update_xaxes(title_text=axis(results, across))
    plot.update_yaxes(title_text=axis(results, up))
    return dressed(plot, 430)


def bars(results: Results, methods: Mapping[str, Method], metric: str) -> go.Figure:
    """One bar a method, from zero, in the order of the table."""
    cells = results.cells[metric]
    names = [name for name in results.methods if name in cells and math.isfinite(cells[name].value)]
    kinds = [text.kinds(methods[name]) for name in names]
    shown = [cells[name] for name in names]
    plot = go.Figure(
        go.Bar(
            x=[cell.value for cell in shown],
            y=names,
            orientation="h",
            error_x=whiskers(shown, "#7f8a9b"),
            marker={
                "color": [COLORS[kind[-1]] for kind in kinds],
                "line": {"color": [COLORS[kind[0]] for kind in kinds], "width": 3},
            },
            text=[cell_text(cell).split("\n")[0] for cell in shown],
            textposition="inside",
            insidetextanchor="start",
            width=0.6,
            hoverinfo="text",
            hovertext=[
                f"{name}: {cell_text(cell)}".replace("\n", ", ") for name, cell in zip(names, shown, strict=True)
            ],
        )
    )
    plot.update_xaxes(title_text=axis(results, metric), rangemode="tozero")
    plot.update_yaxes(autorange="reversed", ticksuffix="  ")
    return dressed(plot, 120 + 44 * len(names))


def whiskers(cells: Sequence[Cell], color: str) -> dict[str, Any]:
    """Error bars from low to high; none where there is no interval."""
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


def marker(kinds: Sequence[str]) -> dict[str, Any]:
    """The sign of a method: its last part fills it, its first part draws its edge."""
    line = {"color": COLORS[kinds[0]], "width": 3 if len(kinds) > 1 else 0}
    return {"symbol": SYMBOLS[kinds[-1]], "size": 12, "color": COLORS[kinds[-1]], "line": line}


def axis(results: Results, metric: str) -> str:
    """The name of an axis, its unit and which way is better."""
    better = {True: words_leaderboard.HIGHER, False: words_leaderboard.LOWER, None: ""}[
        results.passports[metric].higher_is_better
    ]
    return ", ".join(filter(None, [results.passports[metric].title, better]))


def dressed(plot: go.Figure, height: int) -> go.Figure:
    """The same figure in the page's clothes: clear ground, quiet grid, no legend since the names stand beside."""
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
    plot.update_xaxes(gridcolor=GRID, zerolinecolor=GRID, automargin=True, title_standoff=12, title_font_size=13)
    plot.update_yaxes(gridcolor=GRID, zerolinecolor=GRID, automargin=True, title_standoff=12, title_font_size=13)
    return plot
