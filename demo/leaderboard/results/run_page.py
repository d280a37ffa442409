"""The results of one run; an inner tab is computed when it is opened, never before."""

from collections.abc import Callable, Mapping
from functools import partial
from html import escape
from typing import Any

import gradio as gr
from gradio.events import Dependency

from demo.leaderboard import words
from demo.leaderboard.results.load import find_own, find_run, list_runs, slices
from demo.leaderboard.results.run_board import BoardView, fill_board, wire_board
from demo.leaderboard.results.run_facts import facts_tab, files_tab
from demo.leaderboard.results.run_figures import beside_tab, plots_tab, table_tab
from demo.leaderboard.results.run_texts import texts_tab
from demo.parts import words as common
from demo.parts.actions import build_confirm, share_link, shown_link
from demo.parts.controls import labelled
from demo.parts.events import LIGHT, told
from demo.parts.links import RUN, address, is_own
from demo.parts.marked import Values, message_line
from demo.parts.views import Inner, Opened
from demo.services import Services
from leaderboard.records import Run

INNER: dict[str, Callable[[Services, Opened], Inner]] = {
    words.TABLE_TAB: table_tab,
    words.PLOTS_TAB: plots_tab,
    words.TEXTS_TAB: texts_tab,
    words.BESIDE_TAB: beside_tab,
    words.FACTS_TAB: facts_tab,
    words.FILES_TAB: files_tab,
}


class ResultsPage:
    """The page, laid out and wired, hidden until a run is opened."""

    def __init__(self, services: Services, owner: gr.BrowserState) -> None:
        with gr.Column(visible=False, elem_classes="stack results") as self.column:
            with gr.Row(elem_classes="head-row"):
                self.head = gr.HTML(elem_classes="link-head")
                with gr.Row(elem_classes="below"):
                    self.resume = gr.Button(words.RESUME, size="sm", min_width=0, scale=0, variant="primary")
                    self.delete = build_confirm()
            note = message_line("Message", "shared-note")
            with gr.Column(elem_classes="stack") as self.body:
                self.board = BoardView()
                with gr.Row(elem_classes="link-row"):
                    self.link = share_link()
                    chosen = gr.Dropdown([words.ALL_PROMPTS], value=words.ALL_PROMPTS, **labelled("slice"))
                self.opened = opened = Opened(gr.State(None), gr.State(words.TABLE_TAB), chosen, owner, note)
                with gr.Accordion(words.DETAILS, open=False), gr.Tabs() as self.tabs:
                    tabs = {name: wire_inner(services, name, opened) for name in INNER}
        inner = {name: each for name, (_, each) in tabs.items()}
        self.beside, self.table = tabs[words.BESIDE_TAB][0], inner[words.TABLE_TAB]
        wire_board(services, self.board, opened)
        wire_slice(services, self, inner)
        shown = [opened.id, opened.tab, opened.slice, self.column, self.body, self.head, self.link, self.tabs]
        buttons = [self.resume, self.delete.ask, self.delete.row, self.beside]
        # everything that opening a run changes
        self.outputs: list[Any] = [*shown, *buttons, *self.board.outputs, *self.table.outputs]


def wire_inner(services: Services, name: str, opened: Opened) -> tuple[gr.Tab, Inner]:
    with gr.Tab(name, id=name) as tab:
        inner = INNER[name](services, opened)
    fill = partial(fill_inner, opened, name, inner)
    tab.select(fill, [opened.id, opened.slice, opened.owner], [opened.tab, *inner.outputs], **LIGHT)
    return tab, inner


def wire_slice(services: Services, page: ResultsPage, inner: Mapping[str, Inner]) -> None:
    """Another slice fills the board and the inner tab that is open."""
    opened = page.opened
    fill = told(opened.message, fill_board, services, page.board)

    def on_slice(name: str, id: Any, chosen: Any, secret: Any) -> Values:
        return fill(id, chosen) | inner[name].fill(id, chosen, secret)

    outputs = dict.fromkeys([*page.board.outputs, *(output for each in inner.values() for output in each.outputs)])
    opened.slice.input(on_slice, [opened.tab, opened.id, opened.slice, opened.owner], [*outputs], **LIGHT)


def wire_delete(services: Services, page: ResultsPage) -> Dependency:
    """Delete; returns the event, for what has to follow."""
    opened = page.opened
    gone = [page.body, page.resume, page.delete.row, page.head, opened.message, opened.id]
    delete = told(opened.message, on_delete, services, page)
    return page.delete.yes.click(delete, [opened.id, opened.owner], gone, **LIGHT)


def fill_inner(opened: Opened, name: str, inner: Inner, id: Any, chosen: Any, secret: Any) -> Values:
    """An inner tab that has just been opened; nothing where no run is open."""
    return {opened.tab: name} | ({} if id is None else inner.fill(id, chosen, secret))


def open_run(services: Services, page: ResultsPage, id: Any, secret: Any, by_link: bool = False) -> Values:
    """The page of a run, its table filled. Raises UserError where there is none."""
    run, ships = find_run(services, id), id in services.database.shipped
    mine, tags = is_own(run.owner, secret), list(slices(run.prompts))
    choices = gr.update(choices=[words.ALL_PROMPTS, *tags], value=words.ALL_PROMPTS, visible=bool(tags))
    others = [line for line in list_runs(services, secret) if line.id != run.id]
    filled = fill_board(services, page.board, run.id) | page.table.fill(run.id, words.ALL_PROMPTS, secret)
    return filled | {
        page.opened.id: run.id,
        page.opened.tab: words.TABLE_TAB,
        page.opened.slice: choices,
        page.column: gr.update(visible=True),
        page.body: gr.update(visible=True),
        page.head: head_html(run, by_link, ships),
        page.link: shown_link(services, address(RUN, run.id), not ships),
        page.resume: gr.update(visible=mine and run.status != "done"),
        page.delete.ask: gr.update(visible=mine),
        page.delete.row: gr.update(visible=False),
        page.beside: gr.update(visible=bool(others)),
        page.tabs: gr.Tabs(selected=words.TABLE_TAB),
    }


def on_delete(services: Services, page: ResultsPage, id: Any, secret: Any) -> Values:
    run = find_own(services, id, secret)
    services.runner.delete(run.id, run.owner)
    hidden = dict.fromkeys([page.body, page.resume, page.delete.row], gr.update(visible=False))
    return hidden | {page.head: common.DELETED_HTML, page.opened.id: None}


def head_html(run: Run, by_link: bool, ships: bool = False) -> str:
    """The name and size of a run, and an invitation for somebody who came by a link."""
    own = f" · <a href='?'>{common.OWN}</a>" if by_link else ""
    name, summary = run.prompts.name.replace("_", " "), words.run_summary(run, ships)
    return f"<h2>{escape(name)}</h2><p>{escape(summary)}{own}</p>"
