"""The inner tab with the plots: fluency against diversity, and bars for one metric.

Knows which component shows what; how a plot is drawn is in demo.parts.plots.
"""

from functools import partial
from typing import Any, NamedTuple

import gradio as gr

from adapters.methods import UserError
from demo.leaderboard import words as words_leaderboard
from demo.leaderboard.results.figures import bars, trade_off
from demo.leaderboard.results.load import find_run, load_results, methods_of
from demo.parts.controls import labelled
from demo.parts.events import LIGHT, or_message
from demo.parts.panes import Values
from demo.parts.views import Inner, Opened, inner
from demo.services import Services
from leaderboard.tables.results import Results

ACROSS = "perplexity"
DIVERSITY = ("distinct_2", "distinct_1", "distinct_3", "prompt_distinct_2", "self_bleu", "repetition", "compression")


class PlotsView(NamedTuple):
    """The components."""

    up: gr.Dropdown
    trade_off: gr.Plot
    metric: gr.Dropdown
    bars: gr.Plot


def plots_tab(services: Services, opened: Opened) -> Inner:
    """The inner tab, laid out and wired."""
    view = lay_out_plots()
    chosen = [opened.id, opened.slice, view.up, view.metric]
    redraw = partial(or_message, opened.message, partial(draw, services, view))
    gr.on([view.up.input, view.metric.input], redraw, chosen, [view.trade_off, view.bars, opened.message], **LIGHT)
    return inner(opened, view, partial(fill_plots, services, view))


def lay_out_plots() -> PlotsView:
    """Puts the components on the page."""
    with gr.Row(elem_classes="plots"):
        with gr.Column(min_width=300):
            up = gr.Dropdown([], **labelled("up"))
            points = gr.Plot(label=words_leaderboard.TRADE_OFF, show_label=False)
        with gr.Column(min_width=300):
            metric = gr.Dropdown([], **labelled("metric"))
            lengths = gr.Plot(label=words_leaderboard.BARS, show_label=False)
    gr.HTML(f"<p>{words_leaderboard.PLOTS_HELP}</p>", elem_classes="help")
    return PlotsView(up, points, metric, lengths)


def fill_plots(services: Services, view: PlotsView, id: Any, chosen: Any, *_: Any) -> Values:
    """The plots of a run with what they can show."""
    results = load_results(services, id, chosen)
    if not results.metrics:
        raise UserError(words_leaderboard.NO_FIGURES)
    diverse = [name for name in DIVERSITY if name in results.metrics]
    updates: Values = {
        view.up: gr.update(choices=titles(results, diverse), value=diverse[0] if diverse else None),
        view.metric: gr.update(choices=titles(results, results.metrics), value=results.metrics[0]),
    }
    return updates | draw(services, view, id, chosen, diverse[0] if diverse else None, results.metrics[0])


def draw(services: Services, view: PlotsView, id: Any, chosen: Any, up: Any, metric: Any) -> Values:
    """Both plots for the metrics that were chosen. Raises UserError."""
    methods, results = methods_of(find_run(services, id)), load_results(services, id, chosen)
    if metric not in results.metrics or up not in (None, *results.metrics):
        raise UserError(words_leaderboard.NO_SUCH_METRIC)
    both = ACROSS in results.metrics and up is not None
    return {
        view.trade_off: trade_off(results, methods, ACROSS, up) if both else None,
        view.bars: bars(results, methods, metric),
    }


def titles(results: Results, names: Any) -> list[tuple[str, str]]:
    """What a person reads, and the metric that it stands for."""
    return [(results.passports[name].title, name) for name in names]
