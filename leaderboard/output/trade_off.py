"""The report's plot of diversity against perplexity: SVG that takes its colours from the page around it."""

import math
from collections.abc import Mapping

from leaderboard.output import drawing
from leaderboard.tables.results import Cell, Results

ACROSS, UP = "perplexity", "distinct_2"  # as on the page
KINDS = {"base": "#6b7280", "lora": "#0072b2", "prefix": "#009e73", "pplm": "#d55e00"}
GROUND = "#fefefe"
FROM_PAGE = {drawing.INK: "currentColor", GROUND: "var(--ground)", drawing.STYLE["grid.color"]: "var(--line)"} | {
    color: f"var(--{kind})" for kind, color in KINDS.items()
}


def trade_off(results: Results, kinds: Mapping[str, str]) -> str | None:
    """The plot of the methods, numbered in the order of the table; None if no method has both figures.

    `kinds` maps each method's name to a key of `KINDS`.
    """
    points = with_both(results)
    if not points:
        return None
    figure = drawing.blank(6.8, 3.9)
    axes = figure.add_subplot()
    for name, (x, y) in points.items():
        color = KINDS[kinds[name]]
        drawing.points(axes, [x], [y], color=color, marker="o", markersize=14, mfc=GROUND, mew=2, zorder=3)
        number = str(results.methods.index(name) + 1)
        axes.annotate(number, (x.value, y.value), ha="center", va="center", fontsize=9, weight="bold", zorder=4)
    axes.set_xlabel(axis(results, ACROSS))
    axes.set_ylabel(axis(results, UP))
    svg = drawing.svg(figure, f"{axis(results, UP)} by {axis(results, ACROSS)}; the table above has the figures")
    for color, value in FROM_PAGE.items():
        svg = svg.replace(color, value)
    return svg


def with_both(results: Results) -> dict[str, tuple[Cell, Cell]]:
    """The methods that have both figures."""
    if not {ACROSS, UP} <= set(results.metrics):
        return {}
    found = {name: (results.cells[ACROSS][name], results.cells[UP][name]) for name in results.methods}
    return {name: both for name, both in found.items() if all(math.isfinite(cell.value) for cell in both)}


def axis(results: Results, metric: str) -> str:
    """The title of a metric with its direction."""
    passport = results.passports[metric]
    return ", ".join(part for part in (passport.title, passport.direction) if part)
