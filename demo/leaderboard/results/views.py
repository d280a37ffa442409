"""The results of one run: its name and link, and an inner tab each for the table, plots, texts, settings and files.

Knows which component feeds which handler. What is behind an inner tab is computed when it is opened, never before.
"""

from collections.abc import Mapping
from functools import partial
from html import escape
from typing import Any, NamedTuple

import gradio as gr
from gradio.events import Dependency

from adapters.methods import UserError
from demo.leaderboard import words as words_leaderboard
from demo.leaderboard.results.load import find_run, slices
from demo.leaderboard.results.run_beside import beside_tab
from demo.leaderboard.results.run_facts import facts_tab
from demo.leaderboard.results.run_files import files_tab
from demo.leaderboard.results.run_plots import plots_tab
from demo.leaderboard.results.run_table import table_tab
from demo.leaderboard.results.run_texts import texts_tab
from demo.parts import words as text
from demo.parts.actions import Confirm, build_confirm, share_link
from demo.parts.controls import labelled
from demo.parts.events import LIGHT
from demo.parts.links import RUN, address, owner_of
from demo.parts.panes import Values, message, message_line
from demo.parts.views import Inner, Opened
from demo.services import Services
from leaderboard.records import Run

INNER = {
    words_leaderboard.TABLE_TAB: table_tab,
    words_leaderboard.PLOTS_TAB: plots_tab,
    words_leaderboard.TEXTS_TAB: texts_tab,
    words_leaderboard.BESIDE_TAB: beside_tab,
    words_leaderboard.FACTS_TAB: facts_tab,
    words_leaderboard.FILES_TAB: files_tab,
}


class ResultsPage(NamedTuple):
    """The components; `opened.id` is the open run's, or None."""

    column: gr.Column
    head: gr.HTML
    link: gr.Textbox
    resume: gr.Button
    delete: Confirm
    tabs: gr.Tabs
    body: gr.Column
    opened: Opened
    table: Inner

    @property
    def outputs(self) -> list[Any]:
        """What opening a run changes."""
        opened = [self.opened.id, self.opened.tab, self.opened.slice]
        parts = [self.column, self.body, self.head, self.link, self.resume, self.delete.ask, self.delete.row, self.tabs]
        return [*opened, *parts, *self.table.outputs]


def results_page(services: Services, owner: gr.BrowserState) -> ResultsPage:
    """The page, laid out and wired, hidden until a run is opened."""
    with gr.Column(visible=False, elem_classes="stack results") as column:
        with gr.Row(elem_classes="head-row"):
            head = gr.HTML(elem_classes="link-head")
            with gr.Row(elem_classes="below"):
                resume = gr.Button(words_leaderboard.RESUME, size="sm", min_width=0, scale=0, variant="primary")
                delete = build_confirm()
        note = message_line("Message", "shared-note")
        with gr.Column(elem_classes="stack") as body:
            with gr.Row(elem_classes="link-row"):
                link = share_link()
                chosen = gr.Dropdown(
                    [words_leaderboard.ALL_PROMPTS], value=words_leaderboard.ALL_PROMPTS, **labelled("slice")
                )
            opened = Opened(gr.State(None), gr.State(words_leaderboard.TABLE_TAB), chosen, owner, note)
            with gr.Tabs() as tabs:
                inner = {name: wire_inner(services, name, opened) for name in INNER}
    wire_slice(opened, inner)
    return ResultsPage(column, head, link, resume, delete, tabs, body, opened, inner[words_leaderboard.TABLE_TAB])


def wire_inner(services: Services, name: str, opened: Opened) -> Inner:
    """One inner tab, which is filled when it is opened."""
    with gr.Tab(name, id=name) as tab:
        inner = INNER[name](services, opened)
    fill = partial(fill_inner, opened, name, inner)
    tab.select(fill, [opened.id, opened.slice, opened.owner], [opened.tab, *inner.outputs], **LIGHT)
    return inner


def wire_slice(opened: Opened, inner: Mapping[str, Inner]) -> None:
    """Another slice fills the inner tab that is open."""

    def on_slice(name: str, id: Any, chosen: Any, secret: Any) -> Values:
        return inner[name].fill(id, chosen, secret)

    outputs = list({output: None for each in inner.values() for output in each.outputs})
    opened.slice.input(on_slice, [opened.tab, opened.id, opened.slice, opened.owner], outputs, **LIGHT)


def wire_delete(services: Services, page: ResultsPage) -> Dependency:
    """Delete; returns the event, for what has to follow."""
    opened = page.opened
    gone = [page.body, page.resume, page.delete.row, page.head, opened.message, opened.id]
    return page.delete.yes.click(partial(on_delete, services, page), [opened.id, opened.owner], gone, **LIGHT)


# Handlers: values in, values out


def fill_inner(opened: Opened, name: str, inner: Inner, id: Any, chosen: Any, secret: Any) -> Values:
    """An inner tab that has just been opened; nothing where no run is open."""
    filled = {} if id is None else inner.fill(id, chosen, secret)
    return {opened.tab: name} | filled


def open_run(services: Services, page: ResultsPage, id: Any, secret: Any, by_link: bool = False) -> Values:
    """The page of a run, its table filled. Raises UserError where there is none."""
    run = find_run(services, id)
    owner = owner_of(secret)
    mine = owner is not None and run.owner == owner
    return page.table.fill(run.id, words_leaderboard.ALL_PROMPTS, secret) | {
        page.opened.id: run.id,
        page.opened.tab: words_leaderboard.TABLE_TAB,
        page.opened.slice: slice_choices(run),
        page.column: gr.update(visible=True),
        page.body: gr.update(visible=True),
        page.head: head_html(run, by_link),
        page.link: gr.update(value=address(RUN, run.id), visible=True),
        page.resume: gr.update(visible=mine and run.status != "done"),
        page.delete.ask: gr.update(visible=mine),
        page.delete.row: gr.update(visible=False),
        page.tabs: gr.Tabs(selected=words_leaderboard.TABLE_TAB),
    }


def slice_choices(run: Run) -> dict[str, Any]:
    """What the prompts of a run can be sliced by."""
    found = list(slices(run.prompts))
    return gr.update(
        choices=[words_leaderboard.ALL_PROMPTS, *found], value=words_leaderboard.ALL_PROMPTS, visible=bool(found)
    )


def on_delete(services: Services, page: ResultsPage, id: Any, secret: Any) -> Values:
    """Deletes the run if it is this browser's own."""
    try:
        run, owner = find_run(services, id), owner_of(secret)
        if owner is None or not services.runner.delete(run.id, owner):
            raise UserError(text.NOT_YOURS)
    except UserError as error:
        return {page.opened.message: message(str(error), is_error=True)}
    hidden = dict.fromkeys([page.body, page.resume, page.delete.row], gr.update(visible=False))
    return hidden | {page.head: text.DELETED_HTML, page.opened.id: None}


def head_html(run: Run, by_link: bool) -> str:
    """The name of a run, what it consists of, and the way to an own one for somebody who came by a link."""
    own = f" · <a href='?'>{text.OWN}</a>" if by_link else ""
    return f"<h2>{escape(run.prompts.name)}</h2><p>{escape(words_leaderboard.run_summary(run))}{own}</p>"
