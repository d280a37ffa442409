"""The inner tab with the plots: fluency against diversity, and bars for one metric, both with 95 % intervals."""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import gradio as gr
import plotly.graph_objects as go

from adapters.methods import Method, UserError
from demo.leaderboard import words
from demo.leaderboard.results.load import find_run, load_results, methods_of
from demo.look.theme import COLORS
from demo.parts import words as common
from demo.parts.controls import labelled
from demo.parts.events import LIGHT
from demo.parts.plots import BESIDE, dressed, marker, whiskers
from demo.parts.tables import cell_text
from demo.parts.views import Inner, Opened, filled, inner
from demo.services import Services
from leaderboard.tables.display import number
from leaderboard.tables.results import Results

ACROSS = "perplexity"
DIVERSITY = ("distinct_2", "distinct_1", "distinct_3", "prompt_distinct_2", "self_bleu", "repetition", "compression")


def plots_tab(services: Services, opened: Opened) -> Inner:
    """Two plots side by side, the choice of a metric above each."""
    with gr.Row(elem_classes="plots"):
        with gr.Column(min_width=300):
            up = gr.Dropdown([], **labelled("up"))
            points = gr.Plot(label=words.TRADE_OFF, show_label=False)
        with gr.Column(min_width=300):
            metric = gr.Dropdown([], **labelled("metric"))
            lengths = gr.Plot(label=words.BARS, show_label=False)
    gr.HTML(f"<p>{words.PLOTS_HELP}</p>", elem_classes="help")
    redraw = filled(opened.message, [points, lengths], partial(draw, services))
    chosen, plots = [opened.id, opened.slice, up, metric], [points, lengths, opened.message]
    gr.on([up.input, metric.input], redraw, chosen, plots, **LIGHT)
    return inner(opened, [up, metric, points, lengths], partial(fill_plots, services))


def fill_plots(services: Services, id: Any, chosen: Any, *_: Any) -> tuple[Any, ...]:
    """The metrics of a run for either plot, and the plots of the first ones."""
    results = load_results(services, id, chosen)
    if not results.metrics:
        raise UserError(words.NO_FIGURES)
    diverse = [name for name in DIVERSITY if name in results.metrics]
    up, first = diverse[0] if diverse else None, results.metrics[0]
    choices = [[(results.passports[name].title, name) for name in names] for names in (diverse, results.metrics)]
    offered = (gr.update(choices=of, value=value) for of, value in zip(choices, (up, first), strict=True))
    return *offered, *draw(services, id, chosen, up, first)


def draw(services: Services, id: Any, chosen: Any, up: Any, metric: Any) -> tuple[go.Figure | None, go.Figure]:
    """Both plots of the chosen metrics. Raises UserError."""
    methods, results = methods_of(find_run(services, id)), load_results(services, id, chosen)
    if metric not in results.metrics or up not in (None, *results.metrics):
        raise UserError(words.NO_SUCH_METRIC)
    both = ACROSS in results.metrics and up is not None
    return trade_off(results, methods, ACROSS, up) if both else None, bars(results, methods, metric)


def trade_off(results: Results, methods: Mapping[str, Method], across: str, up: str) -> go.Figure:
    """One metric against another; a point a method, its name beside it."""
    plot = go.Figure()
    for index, name in enumerate(results.methods):
        x, y = results.cells[across].get(name), results.cells[up].get(name)
        if x is None or y is None or not (math.isfinite(x.value) and math.isfinite(y.value)):
            continue
        kinds = common.kinds(methods[name])
        plot.add_scatter(
            x=[x.value],
            y=[y.value],
            error_x=whiskers([x], COLORS[kinds[-1]]),
            error_y=whiskers([y], COLORS[kinds[-1]]),
            mode="markers+text",
            text=[name],
            textposition=BESIDE[index % len(BESIDE)],
            marker=marker(kinds),
            name=name,
            hoverinfo="text",
            hovertext=f"{name}: {number(x.value)}, {number(y.value)}",
        )
    return dressed(plot, 430, axis(results, across), axis(results, up))


def bars(results: Results, methods: Mapping[str, Method], metric: str) -> go.Figure:
    """One bar a method, from zero, in the order of the table."""
    cells = results.cells[metric]
    shown = {name: cells[name] for name in results.methods if name in cells and math.isfinite(cells[name].value)}
    kinds = [common.kinds(methods[name]) for name in shown]
    edges = {"color": [COLORS[kind[0]] for kind in kinds], "width": 3}
    plot = go.Figure(
        go.Bar(
            x=[cell.value for cell in shown.values()],
            y=list(shown),
            orientation="h",
            error_x=whiskers(list(shown.values()), "#7f8a9b"),
            marker={"color": [COLORS[kind[-1]] for kind in kinds], "line": edges},
            text=[cell_text(cell).split("\n")[0] for cell in shown.values()],
            textposition="inside",
            insidetextanchor="start",
            width=0.6,
            hoverinfo="text",
            hovertext=[f"{name}: {cell_text(cell)}".replace("\n", ", ") for name, cell in shown.items()],
        )
    )
    plot.update_xaxes(rangemode="tozero")
    plot.update_yaxes(autorange="reversed", ticksuffix="  ")
    return dressed(plot, 120 + 44 * len(shown), axis(results, metric))


def axis(results: Results, metric: str) -> str:
    """The name of an axis and its better direction."""
    better = {True: common.HIGHER, False: common.LOWER, None: ""}[results.passports[metric].higher_is_better]
    return ", ".join(filter(None, [results.passports[metric].title, better]))
