"""The two inner tabs with tables: the leaderboard with its cross-scores, and a run beside another one."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from html import escape
from typing import Any, NamedTuple

import gradio as gr

from adapters.methods import Method
from demo.leaderboard import words
from demo.leaderboard.results.load import find_run, load_results, methods_of
from demo.parts import words as common
from demo.parts.controls import labelled
from demo.parts.events import LIGHT, told
from demo.parts.links import owner_of
from demo.parts.marked import Values
from demo.parts.tables import Column, cell_text, figures_table, heading, marks, show
from demo.parts.views import Inner, Opened, inner
from demo.services import Services
from leaderboard.metrics.metric import Passport
from leaderboard.tables.results import Cell, Results

METHOD = "method"
NOTHING = Cell(*[math.nan] * len(Cell._fields))
Figures = Mapping[str, tuple[Cell, str]]  # of one column, by row: the cell and its text


class TableView(NamedTuple):
    """The components of the leaderboard."""

    table: gr.Dataframe
    passports: gr.HTML
    cross: gr.Dataframe


class BesideView(NamedTuple):
    """The components of two runs beside each other."""

    other: gr.Dropdown
    table: gr.Dataframe


def table_tab(services: Services, opened: Opened) -> Inner:
    """The leaderboard, laid out and wired."""
    view = lay_out_table()
    return inner(opened, view, partial(fill_table, services, view))


def lay_out_table() -> TableView:
    """The table, what its columns are, and the cross-scores."""
    table = figures_table(words.TABLE)
    gr.HTML(f"<p>{words.TABLE_HELP}</p>", elem_classes="help")
    with gr.Accordion(words.PASSPORTS, open=False):
        passports = gr.HTML(elem_classes="passports")
    with gr.Accordion(words.CROSS, open=False):
        gr.HTML(f"<p>{words.CROSS_HELP}</p>", elem_classes="help")
        cross = figures_table(words.CROSS)
    return TableView(table, passports, cross)


def beside_tab(services: Services, opened: Opened) -> Inner:
    """Two runs beside each other, laid out and wired."""
    view = lay_out_beside()
    compare = told(opened.message, show_beside, services, view)
    view.other.input(compare, [opened.id, opened.slice, view.other], [view.table, opened.message], **LIGHT)
    return inner(opened, view, partial(fill_beside, services, view))


def lay_out_beside() -> BesideView:
    """The choice of the other run, and the table."""
    other = gr.Dropdown([], value=None, **labelled("other"))
    table = figures_table(words.BESIDE)
    gr.HTML(f"<p>{words.BESIDE_HELP}</p>", elem_classes="help")
    return BesideView(other, table)


# Handlers: values in, values out


def fill_table(services: Services, view: TableView, id: Any, chosen: Any, *_: Any) -> Values:
    """The table of a run, or of a slice of it."""
    methods, results = methods_of(find_run(services, id)), load_results(services, id, chosen)
    return {
        view.table: show(leaderboard(results, methods)),
        view.passports: "".join(map(passport_html, results.passports.values())),
        view.cross: show(cross_scores(results, methods)),
    }


def fill_beside(services: Services, view: BesideView, id: Any, _: Any, secret: Any) -> Values:
    """The other runs to choose from."""
    run, found = find_run(services, id), services.database.runs(owner_of(secret))
    others = [(words.run_title(line), line.id) for line in found if line.id != run.id]
    return {view.other: gr.update(choices=others, value=None), view.table: None}


def show_beside(services: Services, view: BesideView, id: Any, chosen: Any, other: Any) -> Values:
    """The figures of both runs, metric by metric."""
    methods = methods_of(find_run(services, other)) | methods_of(find_run(services, id))
    one, two = load_results(services, id, chosen), load_results(services, other)
    return {view.table: show(beside(one, two, methods))}


# Tables


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
    """One row a method, the prompts and the references below; one column a scoring model."""
    others = {
        words.PROMPTS_THEMSELVES: results.prompts_perplexity,
        words.REFERENCES_THEMSELVES: results.references_perplexity,
    }
    rows = [*results.methods, *(name for name, column in others.items() if column)]
    columns = {}
    for scorer, column in results.cross.items():
        cells = dict(column) | {name: other.get(scorer, NOTHING) for name, other in others.items()}
        columns[words.UNDER.format(scorer=scorer)] = {
            name: (cell := cells.get(name, NOTHING), cell_text(cell)) for name in rows
        }
    return by_method(columns, rows, methods)


def beside(one: Results, other: Results, methods: Mapping[str, Method]) -> list[Column]:
    """Two runs, metric by metric, for the methods of either; marked where their intervals do not overlap."""
    names = tuple(dict.fromkeys([*one.methods, *other.methods]))
    columns = {}
    for metric in (metric for metric in one.metrics if metric in other.metrics):
        pairs = {name: [run.cells[metric].get(name, NOTHING) for run in (one, other)] for name in names}
        for index, run in enumerate((words.THIS_RUN, words.OTHER_RUN)):
            columns[f"{heading(one, metric)}, {run}"] = {
                name: (pair[index], cell_text(pair[index], words.APART if index and apart(*pair) else ""))
                for name, pair in pairs.items()
            }
    return by_method(columns, names, methods)


def apart(one: Cell, other: Cell) -> bool:
    """Whether two intervals do not overlap; False where one is missing."""
    return one.high < other.low or other.high < one.low


def by_method(figures: Mapping[str, Figures], names: Sequence[str], methods: Mapping[str, Method]) -> list[Column]:
    """A column of names, each under the colour of its method, and a column of figures for each heading."""
    first = Column(METHOD, names, names, [edge(methods.get(name)) for name in names])
    columns = (
        Column(title, [column[name][0].value for name in names], [column[name][1] for name in names])
        for title, column in figures.items()
    )
    return [first, *columns]


def edge(method: Method | None) -> str:
    """CSS for the colours of a method at the left edge of its cell."""
    if method is None:
        return ""
    kinds = common.kinds(method)
    shadows = [f"inset {4 * number}px 0 0 var(--{kind})" for number, kind in enumerate(kinds, 1)]
    return f"box-shadow: {', '.join(shadows)}"


def passport_html(passport: Passport) -> str:
    """What exactly a column is: a heading and a list."""
    said = {name: getattr(passport, field) for field, name in words.PASSPORT_FIELDS.items()}
    rows = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in said.items() if value)
    return f"<section><h3>{escape(passport.title)}</h3><dl>{rows}</dl></section>"
