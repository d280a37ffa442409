"""Numbers and tables as text; a missing number is a dash."""

import math

import pandas as pd

from leaderboard.records import ATTRIBUTE
from leaderboard.tables.results import Cell, Results

MISSING = "–"
SHARES = ("repetition", "self_bleu")


def number(value: float) -> str:
    """Three significant digits, or all digits before the point; thousands separated."""
    if not math.isfinite(value):
        return MISSING
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:,.{min(digits, 4)}f}"


def figure(metric: str, value: float) -> str:
    """A figure with its unit: 45 %, 4.9 MB, 0.32 ×."""
    if not math.isfinite(value):
        return MISSING
    if metric.startswith(ATTRIBUTE):
        return f"{100 * value:.0f}\u00a0%"
    if metric == "repetition":
        return f"{100 * value:.1f}\u00a0%"
    if metric in ("bytes", "memory"):
        return size(value)
    if metric == "speed":
        return f"{value:.2g}\u00a0×"
    return f"{value:,.0f}" if metric == "parameters" else number(value)


def size(num_bytes: float) -> str:
    """Bytes in the unit that suits them: 922 kB, 4.9 MB, 1.96 GB."""
    for unit, power in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= power:
            return f"{num_bytes / power:.3g}\u00a0{unit}"
    return f"{num_bytes:.0f}\u00a0B"


def is_share(metric: str) -> bool:
    return metric.startswith((ATTRIBUTE, "distinct", "prompt_distinct")) or metric in SHARES


def span(metric: str, cell: Cell) -> str:
    """The interval with its unit: `30 to 60 %`; empty if it is missing."""
    if not (math.isfinite(cell.low) and math.isfinite(cell.high)):
        return ""
    return f"{figure(metric, cell.low)} to {figure(metric, cell.high)}"


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
    rows = {
        results.passports[metric].heading: {name: marked(results, metric, name) for name in results.methods}
        for metric in results.metrics
    }
    for label, cells in results.cross.items():
        rows[f"perplexity under {label}"] = {method: with_interval(cells[method]) for method in results.methods}
    return pd.DataFrame.from_dict(rows, orient="index")
