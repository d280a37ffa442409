"""How a figure is written: with its interval, and with what it says beside the base.

Knows cells of a table; knows nothing of tables.
"""

import math

from leaderboard.tables.display import number
from leaderboard.tables.table import Cell, Results

BEST, TIE = "★", "≈"


def interval(cell: Cell) -> str:
    """The 95 % interval; empty where there is none."""
    if not (math.isfinite(cell.low) and math.isfinite(cell.high)):
        return ""
    return f"{number(cell.low)} to {number(cell.high)}"


def cell_text(cell: Cell, mark: str = "") -> str:
    """Figure and mark, and the interval in a second line."""
    first = f"{number(cell.value)} {mark}".strip()
    return "\n".join(filter(None, [first, interval(cell)]))


def marks(results: Results, metric: str, method: str) -> str:
    """Whether a method is the best or ties with the best, and whether it ties with the base."""
    best, cells = results.best.get(metric, ()), results.cells[metric]
    stands_out = method in best and len(best) < sum(math.isfinite(cell.value) for cell in cells.values())
    tie = method in cells and cells[method].tie
    return " ".join(mark for mark, holds in ((BEST, stands_out), (TIE, tie)) if holds)


def heading(results: Results, metric: str) -> str:
    """The name of a metric and which direction is better."""
    passport = results.passports[metric]
    arrow = {True: " ↑", False: " ↓", None: ""}[passport.higher_is_better]
    return passport.title + arrow
