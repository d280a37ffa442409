"""Numbers and tables as text; a missing number is a dash."""

import math

import pandas as pd

from leaderboard.tables.results import Cell, Results

MISSING = "–"


def number(value: float) -> str:
    """Three significant digits, or all digits before the point; thousands separated."""
    if not math.isfinite(value):
        return MISSING
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:,.{min(digits, 4)}f}"


def bracket(cell: Cell) -> str:
    """The interval: `[8.70, 9.60]`; empty if it is missing."""
    return f"[{number(cell.low)}, {number(cell.high)}]" if math.isfinite(cell.low) else ""


def with_interval(cell: Cell) -> str:
    """The value with its interval: `9.12 [8.70, 9.60]`."""
    return f"{number(cell.value)} {bracket(cell)}".rstrip()


def marked(results: Results, metric: str, method: str) -> str:
    """A cell of the table: `*` best or tied with the best, `=` tied with the base."""
    cell = results.cells[metric][method]
    mark = "*" if method in results.best.get(metric, ()) else ""
    return f"{with_interval(cell)} {mark}{'=' if cell.tie else ''}".rstrip()


def display(results: Results) -> pd.DataFrame:
    """The table as text: a row per metric, a column per method, with directions and marks."""
    arrows = {None: "", True: "↑", False: "↓"}
    rows = {
        f"{results.passports[metric].title} {arrows[results.passports[metric].higher_is_better]}".rstrip(): {
            method: marked(results, metric, method) for method in results.methods
        }
        for metric in results.metrics
    }
    for label, cells in results.cross.items():
        rows[f"perplexity under {label}"] = {method: with_interval(cells[method]) for method in results.methods}
    return pd.DataFrame.from_dict(rows, orient="index")
