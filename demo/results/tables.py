"""Tables of a run: the leaderboard, what its columns are, cross-scores, and two runs beside each other.

Knows results; knows nothing of components. Numbers stay numbers below what is shown, so that sorting sorts them.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from typing import NamedTuple

import pandas as pd
from pandas.io.formats.style import Styler

from adapters.methods import Method
from demo import text
from demo.results.cells import cell_text, heading, marks
from leaderboard.metrics.metric import Passport
from leaderboard.table import Cell, Results

METHOD = "method"
LETTER = 7.2  # pixels of a letter in a table, on average
WIDER = 1.2  # names stand in larger letters
MARGIN = 44  # pixels beside the letters of a heading, for the menu of its column
NOTHING = Cell(*[math.nan] * len(Cell._fields))


class Table(NamedTuple):
    """A table and the widths of its columns."""

    style: Styler
    widths: list[int]  # pixels


def leaderboard(results: Results, methods: Mapping[str, Method]) -> Table:
    """One row a method, one column a metric."""
    columns = {}
    for metric in results.metrics:
        cells = results.cells[metric]
        columns[heading(results, metric)] = {
            method: (cell := cells.get(method, NOTHING), cell_text(cell, marks(results, metric, method)))
            for method in results.methods
        }
    return styled(columns, results.methods, methods)


def cross_scores(results: Results, methods: Mapping[str, Method]) -> Table:
    """One row a method, and one for the prompts and the references themselves; one column a model that scored them."""
    others = {
        text.PROMPTS_THEMSELVES: results.prompts_perplexity,
        text.REFERENCES_THEMSELVES: results.references_perplexity,
    }
    rows = [*results.methods, *(name for name, column in others.items() if column)]
    columns = {}
    for scorer, column in results.cross.items():
        cells = dict(column) | {name: other.get(scorer, NOTHING) for name, other in others.items()}
        columns[text.UNDER.format(scorer=scorer)] = {
            name: (cell := cells.get(name, NOTHING), cell_text(cell)) for name in rows
        }
    return styled(columns, rows, methods)


def beside(one: Results, other: Results, methods: Mapping[str, Method]) -> Table:
    """Two runs, metric by metric, for the methods that either has; marked where the intervals lie apart."""
    names = tuple(dict.fromkeys([*one.methods, *other.methods]))
    columns = {}
    for metric in (metric for metric in one.metrics if metric in other.metrics):
        pairs = {name: [run.cells[metric].get(name, NOTHING) for run in (one, other)] for name in names}
        for place, run in enumerate((text.THIS_RUN, text.OTHER_RUN)):
            columns[f"{heading(one, metric)}, {run}"] = {
                name: (pair[place], cell_text(pair[place], text.APART if place and apart(*pair) else ""))
                for name, pair in pairs.items()
            }
    return styled(columns, names, methods)


def apart(one: Cell, other: Cell) -> bool:
    """Whether two intervals have nothing in common; False where one is missing."""
    return one.high < other.low or other.high < one.low


def styled(
    columns: Mapping[str, Mapping[str, tuple[Cell, str]]], names: Sequence[str], methods: Mapping[str, Method]
) -> Table:
    """A table of cells that shows texts and sorts by numbers, each row under the colour of its method."""
    values = {name: [column[method][0].value for method in names] for name, column in columns.items()}
    frame = pd.DataFrame({METHOD: list(names), **values})
    style = frame.style.map(lambda name: edge(methods.get(name)), subset=[METHOD])
    for name, column in columns.items():
        texts = iter([column[method][1] for method in names])
        style = style.format(next_of(texts), subset=[name])
    return Table(
        style,
        [round(width(METHOD, names) * WIDER), *(width(name, written(column)) for name, column in columns.items())],
    )


def written(column: Mapping[str, tuple[Cell, str]]) -> list[str]:
    """The lines of all cells of a column."""
    return [line for _, cell in column.values() for line in cell.split("\n")]


def width(heading: str, lines: Sequence[str]) -> int:
    """Pixels that a column needs."""
    return round(max(LETTER * len(heading) + MARGIN, LETTER * max(map(len, lines)) + MARGIN / 2))


def next_of(texts: Iterator[str]) -> Callable[[object], str]:
    """A formatter that gives the prepared texts one after the other, from top to bottom."""
    return lambda _: next(texts)


def edge(method: Method | None) -> str:
    """CSS for the colours of a method at the left edge of its cell."""
    if method is None:
        return ""
    kinds = text.kinds(method)
    shadows = [f"inset {4 * (place + 1)}px 0 0 var(--{kind})" for place, kind in enumerate(kinds)]
    return f"box-shadow: {', '.join(shadows)}"


def passports_html(results: Results) -> str:
    """What exactly each column is, one paragraph each."""
    return "".join(passport_html(passport) for passport in results.passports.values())


def passport_html(passport: Passport) -> str:
    """A passport as a heading and a list of what it says."""
    said = {name: getattr(passport, field) for field, name in text.PASSPORT_FIELDS.items()}
    rows = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in said.items() if value)
    return f"<section><h3>{escape(passport.title)}</h3><dl>{rows}</dl></section>"
