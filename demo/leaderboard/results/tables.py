"""Tables of a run: the leaderboard, what its columns are, cross-scores, and two runs beside each other.

Knows results and columns; knows nothing of components.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape

from adapters.methods import Method
from demo.leaderboard import words as words_leaderboard
from demo.parts import words as text
from demo.parts.tables import Column, cell_text, heading, marks
from leaderboard.metrics.metric import Passport
from leaderboard.tables.results import Cell, Results

METHOD = "method"
NOTHING = Cell(*[math.nan] * len(Cell._fields))


def leaderboard(results: Results, methods: Mapping[str, Method]) -> list[Column]:
    """One row a method, one column a metric."""
    columns = {}
    for metric in results.metrics:
        cells = results.cells[metric]
        columns[heading(results, metric)] = {
            method: (cell := cells.get(method, NOTHING), cell_text(cell, marks(results, metric, method)))
            for method in results.methods
        }
    return by_method(columns, results.methods, methods)


def cross_scores(results: Results, methods: Mapping[str, Method]) -> list[Column]:
    """One row a method, and one for the prompts and the references themselves; one column a model that scored them."""
    others = {
        words_leaderboard.PROMPTS_THEMSELVES: results.prompts_perplexity,
        words_leaderboard.REFERENCES_THEMSELVES: results.references_perplexity,
    }
    rows = [*results.methods, *(name for name, column in others.items() if column)]
    columns = {}
    for scorer, column in results.cross.items():
        cells = dict(column) | {name: other.get(scorer, NOTHING) for name, other in others.items()}
        columns[words_leaderboard.UNDER.format(scorer=scorer)] = {
            name: (cell := cells.get(name, NOTHING), cell_text(cell)) for name in rows
        }
    return by_method(columns, rows, methods)


def beside(one: Results, other: Results, methods: Mapping[str, Method]) -> list[Column]:
    """Two runs, metric by metric, for the methods that either has; marked where the intervals lie apart."""
    names = tuple(dict.fromkeys([*one.methods, *other.methods]))
    columns = {}
    for metric in (metric for metric in one.metrics if metric in other.metrics):
        pairs = {name: [run.cells[metric].get(name, NOTHING) for run in (one, other)] for name in names}
        for place, run in enumerate((words_leaderboard.THIS_RUN, words_leaderboard.OTHER_RUN)):
            columns[f"{heading(one, metric)}, {run}"] = {
                name: (pair[place], cell_text(pair[place], words_leaderboard.APART if place and apart(*pair) else ""))
                for name, pair in pairs.items()
            }
    return by_method(columns, names, methods)


def apart(one: Cell, other: Cell) -> bool:
    """Whether two intervals have nothing in common; False where one is missing."""
    return one.high < other.low or other.high < one.low


def by_method(
    figures: Mapping[str, Mapping[str, tuple[Cell, str]]], names: Sequence[str], methods: Mapping[str, Method]
) -> list[Column]:
    """A column of names, each under the colour of its method, and a column of figures for each heading."""
    first = Column(METHOD, names, names, [edge(methods.get(name)) for name in names])
    return [
        first,
        *(
            Column(heading, [of[name][0].value for name in names], [of[name][1] for name in names])
            for heading, of in figures.items()
        ),
    ]


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
    said = {name: getattr(passport, field) for field, name in words_leaderboard.PASSPORT_FIELDS.items()}
    rows = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in said.items() if value)
    return f"<section><h3>{escape(passport.title)}</h3><dl>{rows}</dl></section>"
