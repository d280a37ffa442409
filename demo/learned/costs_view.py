"""What each method costs here, as a table that is measured when somebody asks for it."""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import gradio as gr

from adapters.learned.costs import COLUMNS, about, rows
from adapters.methods import UserError
from demo.learned import words
from demo.parts import words as common
from demo.parts.events import LIGHT, slow, told
from demo.parts.marked import Values, message, message_line
from demo.parts.running import closed_at_end
from demo.parts.tables import text_table
from demo.parts.views import Page
from demo.services import Services


class CostsView(NamedTuple):
    """The components."""

    measure: gr.Button
    stop: gr.Button
    message: gr.HighlightedText
    table: gr.Dataframe


def costs_section(services: Services, page: Page) -> None:
    """The section, laid out and wired."""
    view = lay_out_costs()
    show = told(view.message, show_costs, services, view)
    gr.on([page.blocks.load, page.tab.select], show, None, [view.message, view.table], **LIGHT)
    measuring = partial(measure, services, view)
    measured = view.measure.click(measuring, None, list(view), **slow(view.message, "costs"))
    stopped = view.stop.click(None, cancels=[measured])
    stopped.then(partial(on_stop, view), None, list(view)[:3], **LIGHT)


def lay_out_costs() -> CostsView:
    """Puts the components on the page."""
    gr.HTML(words.COSTS_HTML, elem_classes="section")
    with gr.Row(elem_classes="below"):
        begin = gr.Button(words.MEASURE, size="sm", min_width=0, scale=0)
        stop = gr.Button(common.STOP, size="sm", min_width=0, scale=0, interactive=False)
    line = message_line(words.COSTS, "step-line")
    table = text_table(words.COSTS, COLUMNS)
    return CostsView(begin, stop, line, table)


# Handlers: values in, values out


def show_costs(services: Services, view: CostsView) -> Values:
    """What was measured last. Raises UserError for a damaged file."""
    costs = services.costs.stored()
    if costs is None:
        return {view.message: message(words.NOT_MEASURED), view.table: []}
    return {view.message: message(about(costs)), view.table: rows(costs)}


def measure(services: Services, view: CostsView) -> Iterator[Values]:
    """Measures, says how far it is, and shows the figures."""
    try:
        with closed_at_end(services.costs.measure()) as steps:
            for step in steps:
                yield running(view, True) | {view.message: message(f"{step[:1].upper()}{step[1:]}.")}
        yield running(view, False) | show_costs(services, view)
    except UserError as error:
        yield running(view, False) | {view.message: message(str(error), is_error=True)}
    except Exception:
        yield running(view, False) | {view.message: message(common.SERVER_ERROR, is_error=True)}
        raise


def on_stop(view: CostsView) -> Values:
    """After Stop: nothing was stored."""
    return running(view, False) | {view.message: message(words.MEASURING_STOPPED)}


def running(view: CostsView, is_running: bool) -> Values:
    """Which buttons can be pressed."""
    return {view.measure: gr.update(interactive=not is_running), view.stop: gr.update(interactive=is_running)}
