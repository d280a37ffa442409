"""The inner tab with a plot of any two metrics, with 95 % intervals."""

from functools import partial
from typing import Any

import gradio as gr

from adapters.methods import UserError
from demo.leaderboard import words
from demo.leaderboard.results.load import find_run, load_results
from demo.parts.controls import labelled
from demo.parts.events import LIGHT
from demo.parts.views import Inner, Opened, filled, inner
from demo.services import Services
from leaderboard.output.ranking import plot_html


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
