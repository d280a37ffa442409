"""A shared comparison, opened by its link: read it, write it again, save it, or delete it as its owner."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from html import escape
from typing import Any

import gradio as gr
import orjson
from gradio.events import Dependency

from adapters.decoding.visitors import DISK
from adapters.methods import UserError
from demo.compare.board import Board, PaneView, Record
from demo.compare.figures import figures_html, legend_html
from demo.compare.panes import View
from demo.compare.record import Comparison, find_comparison, read_record
from demo.compare.run import replay
from demo.compare.words import NOTHING_TO_SHARE, SHARED_COMPARISON
from demo.parts import words as common
from demo.parts.actions import Work, as_file, build_confirm, save_on_click, shown_link, small_button, wire_work
from demo.parts.events import LIGHT, MODEL
from demo.parts.links import COMPARE, Link, address, is_id, owner_of, read_link
from demo.parts.marked import MAX_PANES, Marked, Values, message, message_line
from demo.parts.running import closed_at_end, only, replaying
from demo.parts.tables import facts_table, model_facts
from demo.parts.views import Page
from demo.services import Services
from demo.xray.run import Text
from demo.xray.words import XRAY
from leaderboard.output.report import comparison_report

MAX_TITLE = 80  # characters
MAX_KEPT = 100  # comparisons in the list of a browser


class SharedPage:
    """The page of a shared comparison, hidden until a link opens it; `id` is that of the open one, or None."""

    def __init__(self, services: Services) -> None:
        with gr.Column(visible=False, elem_classes="stack") as self.column:
            self.head = gr.HTML(elem_classes="link-head")
            with gr.Column(elem_classes="stack") as self.body:
                self.settings = gr.HTML(elem_classes="help")
                with gr.Row(elem_classes="below"):
                    begin, stop = small_button(common.REPLAY), small_button(common.STOP, interactive=False)
                    self.xray, self.report = small_button(XRAY, elem_classes="xray-button"), small_button(common.REPORT)
                    self.delete = build_confirm()
                self.work = Work(begin, stop, message_line("Message", "shared-note"))
                with gr.Row(elem_classes="panes"):
                    self.panes = [View(services, f"Shared pane {place + 1}", PaneView()) for place in range(MAX_PANES)]
                self.legend, self.figures = gr.HTML(elem_classes="legend"), gr.HTML(elem_classes="figures")
                with gr.Accordion(common.MADE_WITH, open=False):
                    self.facts = facts_table()
        self.id, self.board = gr.State(None), gr.State(Board())


def wire_shared(services: Services, shared: SharedPage, live: gr.Column, page: Page) -> Dependency:
    """Wire the buttons, and the link that a page is loaded with; return the event of Delete."""
    panes = [part for pane in shared.panes for part in (pane.column, *pane.parts)]
    notes, line = [pane.note for pane in shared.panes], shared.work.message
    again = partial(on_replay, services, shared)
    wire_work(shared.work, again, [shared.id, page.owner], MODEL, common.REPLAY_STOPPED, notes)
    save_on_click(shared.report, partial(on_report, services), shared.id, line)
    gone = [shared.body, shared.head, line, shared.id]
    delete = partial(on_delete, services, shared)
    deleted = shared.delete.yes.click(delete, [shared.id, page.owner], gone, **LIGHT)

    def on_load(secret: Any, request: gr.Request) -> Values:
        return open_shared(services, shared, live, read_link(request.query_params), secret)

    facts = [shared.settings, shared.delete.ask, shared.facts, shared.legend, shared.figures, shared.id, shared.board]
    opened = [live, shared.column, shared.head, *facts, line, *panes]
    page.blocks.load(on_load, page.owner, opened, **LIGHT)
    return deleted


def on_share(services: Services, board: Board, name: Any, secret: Any) -> tuple[dict[str, Any], Marked]:
    """Keep the comparison on the page, under a name if it has one. Returns its link. Raises UserError."""
    owner = owner_of(secret)
    if board.record is None or owner is None:
        raise UserError(NOTHING_TO_SHARE if board.record is None else common.NO_OWNER)
    named = {"title": name.strip()[:MAX_TITLE]} if isinstance(name, str) and name.strip() else {}
    record = {**board.record, **named}
    with services.allowance.spend(DISK, len(orjson.dumps(record))):
        id = services.database.add_comparison(record, owner)
    return shown_link(services, address(COMPARE, id)), []


def kept_rows(services: Services, secret: Any) -> list[list[str]]:
    """Time, name and id of this browser's comparisons, newest first."""
    owner = owner_of(secret)
    kept = [] if owner is None else services.database.comparisons(owner, MAX_KEPT)
    return [[common.moment(created), name_of(record), id] for id, created, record in kept]


def name_of(record: Record) -> str:
    """The title that its sharer gave, or its prompt."""
    return str(record.get("title") or record["prompt"].strip())


def open_shared(services: Services, page: SharedPage, live: gr.Column, link: Link | None, secret: Any) -> Values:
    """The page of the comparison that a link leads to; nothing changes for any other link."""
    comparison = None if link is None or link.kind != COMPARE else find(services, link.id)
    if link is None or comparison is None:
        return {page.id: None}
    owner, record = owner_of(secret), comparison.record
    mine = owner is not None and services.database.owns_comparison(link.id, owner)
    updates: Values = {
        live: gr.update(visible=False),
        page.column: gr.update(visible=True),
        page.head: head_html(comparison),
        page.settings: f"<p>{escape(common.sampling_line(comparison.sampling, record['seed'], record['chat']))}</p>",
        page.delete.ask: gr.update(visible=mine),
        page.facts: model_facts(record["base"], record["hashes"], record["versions"]),
        page.id: link.id,
        page.board: comparison.board,
        page.legend: legend_html(comparison.board),
        page.figures: figures_html(comparison.board),
    }
    for place, view in comparison.board.panes.items():
        pane = page.panes[place]
        updates |= {pane.column: gr.update(visible=True)} | pane.values(view, services)
    return updates


def on_replay(services: Services, page: SharedPage, id: Any, secret: Any) -> Iterator[Values]:
    """Write the comparison again and say what differs. Raises UserError."""
    comparison = find_comparison(services, id)
    with replaying(), closed_at_end(only(services, owner_of(secret), replay(services, comparison))) as boards:
        for board in boards:
            views = {} if board.running else board.panes
            notes: Values = {page.panes[place].note: message(view.note) for place, view in views.items()}
            yield notes | {page.work.message: message(board.message)}


def on_report(services: Services, id: Any) -> tuple[dict[str, str] | None, Marked]:
    """The comparison as one HTML file. Raises UserError."""
    return as_file("comparison.html", comparison_report(find_comparison(services, id).record).encode()), []


def on_delete(services: Services, page: SharedPage, id: Any, secret: Any) -> Values:
    """Delete the comparison if it is this browser's own. Raises UserError."""
    owner = owner_of(secret)
    if owner is None or not is_id(id) or not services.database.delete_comparison(id, owner):
        raise UserError(common.NOT_YOURS)
    return {page.body: gr.update(visible=False), page.head: common.DELETED_HTML, page.id: None}


def find(services: Services, id: Any) -> Comparison | None:
    """The comparison with this id; None if this release cannot read it."""
    try:
        return find_comparison(services, id)
    except UserError:
        return None


def texts_on_page(services: Services, board: Board, id: Any) -> dict[int, Text]:
    """The texts of the open shared comparison, else those that were written last."""
    if id is None:
        return {} if board.record is None else read_record(services, board.record).texts
    comparison = find(services, id)
    return {} if comparison is None else comparison.texts


def head_html(comparison: Comparison) -> str:
    made = common.moment(datetime.fromisoformat(comparison.record["created"]))
    panes = ", ".join(common.title(view.method) for view in comparison.board.panes.values())
    line = SHARED_COMPARISON.format(panes=escape(panes), made=made)
    return f"<h2>{escape(name_of(comparison.record))}</h2><p>{line} · <a href='?'>{common.OWN}</a></p>"
