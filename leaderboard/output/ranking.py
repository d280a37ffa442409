"""What a run says, for the page and for its report: a conclusion, a ranking in five columns, a trade-off plot.

Everything goes through templates that escape it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from leaderboard.metrics.passport import Passport
from leaderboard.output import trade_off
from leaderboard.output.conclusion import SPEED, by_chance, conclude, is_enough, power, topic_of
from leaderboard.output.looks import Look, look
from leaderboard.output.rendering import TEMPLATES, render
from leaderboard.output.trade_off import Plot
from leaderboard.records import ATTRIBUTE, Run
from leaderboard.tables.display import figure, span
from leaderboard.tables.results import Cell, Results

STYLE = TEMPLATES / "board.css"
SHOWN = ("perplexity", "repetition", SPEED, "bytes")  # after the share on topic
BEST, TIE = "★", "≈"
TITLES = {"speed": "Speed", "bytes": "Size"}


class Shown(NamedTuple):
    """A figure, its marks, its interval in words, and drawn: left, width and value in percent of the column."""

    text: str
    marks: str
    span: str
    drawn: tuple[float, float, float] | None


class Row(NamedTuple):
    place: int  # of the method in the run
    look: Look
    rank: str
    cells: list[Shown]


class Board(NamedTuple):
    conclusion: list[str]
    heads: list[Passport]
    rows: list[Row]
    has_ranks: bool
    has_marks: bool
    plot: Plot | None


def board_of(run: Run, results: Results) -> Board:
    """The board of a run or of a slice of it."""
    looks, topic = [look(method) for method in run.spec.methods], topic_of(results)
    first = topic or ("perplexity" if "perplexity" in results.metrics else None)  # what methods are ranked by
    metrics = [name for name in (topic, *SHOWN) if name in results.metrics]
    ranks = results.ranks.get(first or "", {}) if is_enough(results) else {}
    rows = [
        Row(place, each, rank(ranks, each.name), cells_of(results, metrics, each)) for place, each in enumerate(looks)
    ]
    return Board(
        [
            *conclude(results, {each.name: each.title for each in looks}),
            *by_chance(run, results),
            *filter(None, [power(results)]),
        ],
        [head(results, metric) for metric in metrics],
        sorted(rows, key=lambda row: worst_last(results, first, row.look.name)) if metrics else [],
        len(set(ranks.values())) > 1,
        is_enough(results),
        trade_off.trade_off(results, looks, "perplexity", topic or "distinct_2"),
    )


def board_html(board: Board) -> str:
    return render("alone.html", board=board, frame=trade_off)


def plot_html(run: Run, results: Results, across: str, up: str) -> str:
    """The plot of two metrics as SVG; empty if no method has both."""
    plot = trade_off.trade_off(results, [look(method) for method in run.spec.methods], across, up)
    return "" if plot is None else render("alone.html", board=None, plot=plot, frame=trade_off)


def head(results: Results, metric: str) -> Passport:
    """The passport of a metric, with a title for the head of a column."""
    passport = results.passports[metric]
    title = TITLES.get(metric) or passport.title[:1].upper() + passport.title[1:]
    if metric.startswith(ATTRIBUTE):
        title = f"On topic ({metric.removeprefix(ATTRIBUTE)})"
    return replace(passport, title=title)


def rank(ranks: Mapping[str, int], name: str) -> str:
    """The rank of a method: "2", or "2 =" where it shares it."""
    place = ranks.get(name)
    return "" if place is None else f"{place}{' =' if list(ranks.values()).count(place) > 1 else ''}"


def worst_last(results: Results, metric: str | None, name: str) -> tuple[int, float]:
    """The order of the rows: by rank, then by figure; those without a figure last."""
    cell = results.cells[metric].get(name) if metric else None
    if metric is None or cell is None or not math.isfinite(cell.value):
        return len(results.methods) + 1, 0
    sign = -1 if results.passports[metric].higher_is_better else 1
    return results.ranks.get(metric, {}).get(name, 0), sign * cell.value


def cells_of(results: Results, metrics: Sequence[str], each: Look) -> list[Shown]:
    found = []
    for metric in metrics:
        cell = results.cells[metric].get(each.name, Cell(math.nan))
        text = "none" if metric == "bytes" and cell.value == 0 else figure(metric, cell.value)
        found.append(Shown(text, marks(results, metric, each.name), span(metric, cell), drawn(results, metric, cell)))
    return found


def marks(results: Results, metric: str, method: str) -> str:
    """Whether a method is among the best (and not all are), and whether it ties with the base."""
    if not is_enough(results):
        return ""
    first, cells = results.best.get(metric, ()), results.cells[metric]
    stands_out = method in first and len(first) < sum(math.isfinite(cell.value) for cell in cells.values())
    tie = method in cells and cells[method].tie
    return " ".join(mark for mark, holds in ((BEST, stands_out), (TIE, tie)) if holds)


def drawn(results: Results, metric: str, cell: Cell) -> tuple[float, float, float] | None:
    """An interval in percent of its column, which begins at 0."""
    if not math.isfinite(cell.low + cell.high):
        return None
    cells = results.cells[metric].values()
    ends = [end for other in cells for end in (other.value, other.high) if math.isfinite(end)]
    most = 1 if metric.startswith(ATTRIBUTE) else max(0, *ends)
    left, right, at = (min(100.0, round(100 * value / (most or 1), 1)) for value in (cell.low, cell.high, cell.value))
    return left, round(right - left, 1), at
