"""The inner tab with the leaderboard itself: the table, what its columns are, and the cross-scores.

Knows which component shows what; what is in a table is in demo.leaderboard.results.tables.
"""

from functools import partial
from typing import Any, NamedTuple

import gradio as gr

from demo.leaderboard import words as words_leaderboard
from demo.leaderboard.results.load import find_run, load_results, methods_of
from demo.leaderboard.results.tables import cross_scores, leaderboard, passports_html
from demo.parts.panes import Values
from demo.parts.tables import figures_table, show
from demo.parts.views import Inner, Opened, inner
from demo.services import Services


class TableView(NamedTuple):
    """The components."""

    table: gr.Dataframe
    passports: gr.HTML
    cross: gr.Dataframe


def table_tab(services: Services, opened: Opened) -> Inner:
    """The inner tab, laid out and wired."""
    view = lay_out_table()
    return inner(opened, view, partial(fill_table, services, view))


def lay_out_table() -> TableView:
    """Puts the components on the page."""
    table = figures_table(words_leaderboard.TABLE)
    gr.HTML(f"<p>{words_leaderboard.TABLE_HELP}</p>", elem_classes="help")
    with gr.Accordion(words_leaderboard.PASSPORTS, open=False):
        passports = gr.HTML(elem_classes="passports")
    with gr.Accordion(words_leaderboard.CROSS, open=False):
        gr.HTML(f"<p>{words_leaderboard.CROSS_HELP}</p>", elem_classes="help")
        cross = figures_table(words_leaderboard.CROSS)
    return TableView(table, passports, cross)


def fill_table(services: Services, view: TableView, id: Any, chosen: Any, *_: Any) -> Values:
    """The table of a run, or of a slice of it."""
    methods, results = methods_of(find_run(services, id)), load_results(services, id, chosen)
    return {
        view.table: show(leaderboard(results, methods)),
        view.passports: passports_html(results),
        view.cross: show(cross_scores(results, methods)),
    }
