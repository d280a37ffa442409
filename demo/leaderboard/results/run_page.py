"""The results of one run: conclusion, ranking and plot, and inner tabs.

A click on a method shows its texts beside Base's. An inner tab is computed when it is opened, never before.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from html import escape
from typing import Any

import gradio as gr
from gradio.events import Dependency

from adapters.methods import UserError
from demo.leaderboard import words
from demo.leaderboard.results.load import find_own, find_run, list_runs, load_results, slices
from demo.leaderboard.results.run_facts import facts_tab, files_tab
from demo.leaderboard.results.run_figures import beside_tab, plots_tab, table_tab
from demo.leaderboard.results.run_texts import texts_tab
from demo.look.theme import script
from demo.parts import words as common
from demo.parts.actions import build_confirm, share_link, shown_link
from demo.parts.controls import labelled
from demo.parts.events import LIGHT, told
from demo.parts.links import RUN, address, is_own
from demo.parts.marked import Values, message_line
from demo.parts.tables import text_table
from demo.parts.views import Inner, Opened
from demo.services import Services
from leaderboard.output.looks import look
from leaderboard.output.ranking import board_html, board_of
from leaderboard.records import Run, Sample

MOST = 60  # texts that are shown
INNER: dict[str, Callable[[Services, Opened], Inner]] = {
    words.TABLE_TAB: table_tab,
    words.PLOTS_TAB: plots_tab,
    words.TEXTS_TAB: texts_tab,
    words.BESIDE_TAB: beside_tab,
    words.FACTS_TAB: facts_tab,
    words.FILES_TAB: files_tab,
}


class BoardView:
    def __init__(self) -> None:
        self.board = gr.HTML(elem_classes="board", js_on_load=script("pick.js"))
        self.title = gr.HTML(elem_classes="texts-title", elem_id="texts")
        self.texts = text_table(words.TEXTS, [words.PROMPT], None, "method-texts")
        self.outputs = [self.board, self.title, self.texts]


def wire_board(services: Services, view: BoardView, opened: Opened) -> None:
    show = told(opened.message, show_texts, services, view)

    def on_pick(id: Any, event: gr.SelectData) -> Values:
        return show(id, event.index)

    view.board.select(on_pick, opened.id, [view.title, view.texts, opened.message], **LIGHT)


def fill_board(services: Services, view: BoardView, id: Any, chosen: Any = words.ALL_PROMPTS) -> Values:
    """The board of a run or of a slice of it, and the texts of its first method that is not Base. Raises UserError."""
    board = board_of(find_run(services, id), load_results(services, id, chosen))
    changed = [row.place for row in board.rows if row.look.kinds != ["base"]]
    return {view.board: board_html(board)} | show_texts(services, view, id, (changed or [0])[0])


def show_texts(services: Services, view: BoardView, id: Any, place: Any) -> Values:
    """The texts of the method at this place, beside those of Base. Raises UserError."""
    run = find_run(services, id)
    if not isinstance(place, int) or not 0 <= place < len(run.spec.methods):
        raise UserError(words.NO_SUCH_METHOD)
    headers, rows = texts_of(run, services.database.samples(run.id, range(MOST)), place)
    widths = ["22%", *[f"{78 / (len(headers) - 1):.0f}%"] * (len(headers) - 1)]
    title = words.texts_title(headers[-1], len(rows), len(run.prompts.prompts))
    return {view.title: title, view.texts: gr.update(value={"headers": headers, "data": rows}, column_widths=widths)}


def texts_of(run: Run, samples: Sequence[Sample], place: int) -> tuple[list[str], list[list[str]]]:
    """Headers and rows: prompt, the first text of Base where there is one, the first text of the method."""
    looks = [look(method) for method in run.spec.methods]
    bases = [number for number, each in enumerate(looks) if each.kinds == ["base"] and number != place]
    shown = [*bases[:1], place]
    first = {(sample.prompt, sample.method): sample.text for sample in samples if sample.draw == 0}
    rows = [
        [prompt.prompt, *(first.get((number, method), words.NO_TEXT).strip() for method in shown)]
        for number, prompt in enumerate(run.prompts.prompts[:MOST])
    ]
    return [words.PROMPT, *(looks[method].title for method in shown)], rows


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
