"""The inner tab in which a run stands beside another one.

Knows which component shows what; what is in the table is in demo.leaderboard.results.tables.
"""

from functools import partial
from typing import Any, NamedTuple

import gradio as gr

from demo.leaderboard import words as words_leaderboard
from demo.leaderboard.results.load import find_run, load_results, methods_of
from demo.leaderboard.results.tables import beside
from demo.parts.controls import labelled
from demo.parts.events import LIGHT, or_message
from demo.parts.links import owner_of
from demo.parts.panes import Values
from demo.parts.tables import figures_table, show
from demo.parts.views import Inner, Opened, inner
from demo.services import Services


class BesideView(NamedTuple):
    """The components."""

    other: gr.Dropdown
    table: gr.Dataframe


def beside_tab(services: Services, opened: Opened) -> Inner:
    """The inner tab, laid out and wired."""
    view = lay_out_beside()
    show = partial(or_message, opened.message, partial(show_beside, services, view))
    view.other.input(show, [opened.id, opened.slice, view.other], [view.table, opened.message], **LIGHT)
    return inner(opened, view, partial(fill_beside, services, view))


def lay_out_beside() -> BesideView:
    """Puts the components on the page."""
    other = gr.Dropdown([], value=None, **labelled("other"))
    table = figures_table(words_leaderboard.BESIDE)
    gr.HTML(f"<p>{words_leaderboard.BESIDE_HELP}</p>", elem_classes="help")
    return BesideView(other, table)


def fill_beside(services: Services, view: BesideView, id: Any, _: Any, secret: Any) -> Values:
    """The runs that this one can stand beside."""
    find_run(services, id)
    others = [
        (words_leaderboard.run_title(line), line.id)
        for line in services.database.runs(owner_of(secret))
        if line.id != id
    ]
    return {view.other: gr.update(choices=others, value=None), view.table: None}


def show_beside(services: Services, view: BesideView, id: Any, chosen: Any, other: Any) -> Values:
    """Both runs' figures, metric by metric."""
    methods = methods_of(find_run(services, other)) | methods_of(find_run(services, id))
    one, two = load_results(services, id, chosen), load_results(services, other)
    return {view.table: show(beside(one, two, methods))}
