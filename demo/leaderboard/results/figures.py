"""Plots of a run: fluency against diversity, and bars for each metric, with their intervals."""

import math
from collections.abc import Mapping

import plotly.graph_objects as go

from adapters.methods import Method
from demo.look.theme import COLORS
from demo.parts import words as text
from demo.parts.plots import BESIDE, dressed, marker, whiskers
from demo.parts.tables import cell_text
from leaderboard.tables.display import number
from leaderboard.tables.results import Results


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


def axis(results: Results, metric: str) -> str:
    """The name of an axis, its unit and which way is better."""
    better = {True: text.HIGHER, False: text.LOWER, None: ""}[results.passports[metric].higher_is_better]
    return ", ".join(filter(None, [results.passports[metric].title, better]))
