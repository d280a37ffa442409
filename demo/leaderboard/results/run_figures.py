"""The inner tabs with figures: the table with its cross-scores, any two metrics, and a run beside another one."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from html import escape
from typing import Any

import gradio as gr

from adapters.methods import Method, UserError
from demo.leaderboard import words
from demo.leaderboard.results.load import find_run, list_runs, load_results, methods_of
from demo.parts import words as common
from demo.parts.controls import labelled
from demo.parts.events import LIGHT
from demo.parts.tables import Column, cell_text, figures_table, show
from demo.parts.views import Inner, Opened, filled, inner
from demo.services import Services
from leaderboard.metrics.passport import Passport
from leaderboard.output.ranking import marks, plot_html
from leaderboard.tables.results import Cell, Results

NOTHING = Cell(math.nan)
Methods = Mapping[str, Method]  # by name


def table_tab(services: Services, opened: Opened) -> Inner:
    table = figures_table(words.TABLE)
    gr.HTML(f"<p>{words.TABLE_HELP}</p>", elem_classes="help")
    with gr.Accordion(words.PASSPORTS, open=False):
        passports = gr.HTML(elem_classes="passports")
    with gr.Accordion(words.CROSS, open=False):
        gr.HTML(f"<p>{words.CROSS_HELP}</p>", elem_classes="help")
        cross = figures_table(words.CROSS)
    return inner(opened, [table, passports, cross], partial(fill_table, services))


def fill_table(services: Services, id: Any, chosen: Any, *_: Any) -> tuple[Any, str, Any]:
    """The table of a run or of a slice of it, what its columns are, and the cross-scores."""
    methods, results = methods_of(find_run(services, id)), load_results(services, id, chosen)
    passports = "".join(map(passport_html, results.passports.values()))
    return show(leaderboard(results, methods)), passports, show(cross_scores(results, methods))


def plots_tab(services: Services, opened: Opened) -> Inner:
    with gr.Row(elem_classes="plots"):
        across = gr.Dropdown([], **labelled("x_axis"))
        up = gr.Dropdown([], **labelled("y_axis"))
    plot = gr.HTML(elem_classes="board")
    gr.HTML(f"<p>{words.PLOTS_HELP}</p>", elem_classes="help")
    redraw = filled(opened.message, [plot], partial(draw, services))
    gr.on([across.input, up.input], redraw, [opened.id, opened.slice, across, up], [plot, opened.message], **LIGHT)
    return inner(opened, [across, up, plot], partial(fill_plots, services))


def fill_plots(services: Services, id: Any, chosen: Any, *_: Any) -> tuple[Any, ...]:
    """The metrics of a run for either axis, and the plot of the first against diversity. Raises UserError."""
    results = load_results(services, id, chosen)
    if not results.metrics:
        raise UserError(words.NO_FIGURES)
    choices = [(results.passports[name].title, name) for name in results.metrics]
    diverse = (name for name in results.metrics if name.startswith("distinct"))
    across, up = results.metrics[0], next(diverse, results.metrics[0])
    offered = (gr.update(choices=choices, value=value) for value in (across, up))
    return *offered, *draw(services, id, chosen, across, up)


def draw(services: Services, id: Any, chosen: Any, across: Any, up: Any) -> tuple[str]:
    run, results = find_run(services, id), load_results(services, id, chosen)
    if across not in results.metrics or up not in results.metrics:
        raise UserError(words.NO_SUCH_METRIC)
    return (plot_html(run, results, across, up),)


def beside_tab(services: Services, opened: Opened) -> Inner:
    other = gr.Dropdown([], value=None, **labelled("other"))
    table = figures_table(words.BESIDE)
    gr.HTML(f"<p>{words.BESIDE_HELP}</p>", elem_classes="help")
    compare = filled(opened.message, [table], partial(show_beside, services))
    other.input(compare, [opened.id, opened.slice, other], [table, opened.message], **LIGHT)
    return inner(opened, [other, table], partial(fill_beside, services))


def fill_beside(services: Services, id: Any, _: Any, secret: Any) -> tuple[Any, None]:
    run, found = find_run(services, id), list_runs(services, secret)
    others = [
        (f"{common.moment(line.created)} · {line.name} · {', '.join(line.methods)}", line.id)
        for line in found
        if line.id != run.id
    ]
    return gr.update(choices=others, value=None), None


def show_beside(services: Services, id: Any, chosen: Any, other: Any) -> tuple[Any]:
    methods = methods_of(find_run(services, other)) | methods_of(find_run(services, id))
    return (show(beside(load_results(services, id, chosen), load_results(services, other), methods)),)


def leaderboard(results: Results, methods: Methods) -> list[Column]:
    """One row a method, one column a metric."""
    columns = {}
    for metric in results.metrics:
        cells = {name: results.cells[metric].get(name, NOTHING) for name in results.methods}
        texts = [(cell, cell_text(cell, marks(results, metric, name), metric)) for name, cell in cells.items()]
        columns[results.passports[metric].heading] = texts
    return by_method(columns, results.methods, methods)


def cross_scores(results: Results, methods: Methods) -> list[Column]:
    """One row a method, the prompts and the references below; one column a scoring model."""
    others = {
        words.PROMPTS_THEMSELVES: results.prompts_perplexity,
        words.REFERENCES_THEMSELVES: results.references_perplexity,
    }
    rows = [*results.methods, *(name for name, column in others.items() if column)]
    columns = {}
    for scorer, column in results.cross.items():
        cells = dict(column) | {name: other.get(scorer, NOTHING) for name, other in others.items()}
        shown = [cells.get(name, NOTHING) for name in rows]
        columns[words.UNDER.format(scorer=scorer)] = [(cell, cell_text(cell)) for cell in shown]
    return by_method(columns, rows, methods)


def beside(one: Results, other: Results, methods: Methods) -> list[Column]:
    """Two runs, metric by metric, for the methods of either; marked where their intervals do not overlap."""
    names = list(dict.fromkeys([*one.methods, *other.methods]))
    columns = {}
    for metric in (metric for metric in one.metrics if metric in other.metrics):
        pairs = [[run.cells[metric].get(name, NOTHING) for run in (one, other)] for name in names]
        title = one.passports[metric].heading
        columns[f"{title}, {words.THIS_RUN}"] = [(mine, cell_text(mine, metric=metric)) for mine, _ in pairs]
        columns[f"{title}, {words.OTHER_RUN}"] = [
            (its, cell_text(its, words.APART if apart(mine, its) else "", metric)) for mine, its in pairs
        ]
    return by_method(columns, names, methods)


def apart(one: Cell, other: Cell) -> bool:
    """Whether two intervals do not overlap; False where one is missing."""
    return one.high < other.low or other.high < one.low


def by_method(
    columns: Mapping[str, Sequence[tuple[Cell, str]]], names: Sequence[str], methods: Methods
) -> list[Column]:
    """A column of names, each under the colour of its method, and a column of figures for each heading."""
    titles = [common.title(methods[name]) if name in methods else name for name in names]
    first = Column(words.METHOD, titles, titles, [edge(methods.get(name)) for name in names])
    figures = (Column(title, [cell.value for cell, _ in of], [text for _, text in of]) for title, of in columns.items())
    return [first, *figures]


def edge(method: Method | None) -> str:
    """CSS for the colours of a method at the left edge of its cell."""
    if method is None:
        return ""
    kinds = common.kinds(method)
    shadows = [f"inset {4 * number}px 0 0 var(--{kind})" for number, kind in enumerate(kinds, 1)]
    return f"box-shadow: {', '.join(shadows)}"


def passport_html(passport: Passport) -> str:
    said = {name: getattr(passport, field) for field, name in words.PASSPORT_FIELDS.items()}
    rows = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in said.items() if value)
    return f"<section><h3>{escape(passport.title)}</h3><dl>{rows}</dl></section>"
