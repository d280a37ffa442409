"""The whole page: title, tabs, look, and how it is served. A new tab is a folder and a line in TABS."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from adapters.base_model import EMBEDDED_ID, EMBEDDED_REPO
from adapters.methods import UserError
from demo.admin import Admin
from demo.compare.examples import opening
from demo.compare.record import find_comparison
from demo.compare.shared import MAX_TITLE, find, name_of
from demo.compare.tab import compare_tab
from demo.front import Front, Fronts, first_paint, first_paint_of_run, picture
from demo.gate import Door, Gate
from demo.inside.tab import inside_tab
from demo.leaderboard.results.load import find_run
from demo.leaderboard.tab import leaderboard_tab
from demo.look.theme import FAVICON, STYLE_SHEET, script, theme
from demo.parts import words
from demo.parts.events import LIGHT, VISITORS, guard_events
from demo.parts.links import COMPARE, RUN, Link, is_id, new_secret, read_link
from demo.parts.views import Page, build_at_first
from demo.services import Services
from demo.steer.tab import steer_tab
from demo.train.tab import train_tab
from leaderboard.output.looks import style
from leaderboard.output.ranking import STYLE as BOARD_STYLE
from leaderboard.output.ranking import board_of

TABS: dict[str, Callable[[Services, Page], None]] = {
    "Compare": compare_tab,
    "Leaderboard": leaderboard_tab,
    "Train": train_tab,
    "Steer": steer_tab,
    "Inside": inside_tab,
}
AT_ONCE = {"Compare", "Leaderboard"}  # links lead here; the other tabs are built when they are first opened
TAB_OF = {COMPARE: "Compare", RUN: "Leaderboard"}  # where a link is opened
# Names of the owner's secret in the browser. Never change them, or nobody could delete their own runs.
STORAGE_KEY, STORAGE_SECRET = "steerboard-owner", "steerboard"
QUEUE_SIZE = 32  # events that may wait; more are told that the queue is full
SMALL = Door(4_000_000)
SWEEP = (3600, 3600)  # every hour, delete files older than an hour
SESSIONS = 200  # visitors whose panes are remembered


def build_app(services: Services) -> gr.Blocks:
    with gr.Blocks(title=words.TITLE, analytics_enabled=False, fill_width=True, delete_cache=SWEEP) as blocks:
        gr.HTML(f"<h1>{words.TITLE}</h1><p>{words.PURPOSE}</p>", elem_classes="masthead")
        owner = gr.BrowserState(None, storage_key=STORAGE_KEY, secret=STORAGE_SECRET)
        sent, adapter = gr.State(""), gr.State(None)
        missing = gr.HTML(visible=False, elem_classes="missing")
        with gr.Tabs() as tabs:
            for name, build in TABS.items():
                with gr.Tab(name, id=name) as tab:
                    ready = partial(build, services, Page(blocks, tab, owner, sent, adapter))
                    ready() if name in AT_ONCE else build_at_first([tab.select], ready)

        repository = EMBEDDED_REPO if services.base == EMBEDDED_ID else services.base
        gr.HTML(words.links_html(repository, services.space), elem_classes="help")

        def on_load(secret: Any, request: gr.Request) -> tuple[Any, ...]:
            return (keep_secret(secret), *open_tab(services, read_link(request.query_params)))

        blocks.load(on_load, owner, [owner, tabs, missing], **LIGHT)
        guard_events()
    return blocks.queue(api_open=False, max_size=QUEUE_SIZE)


def keep_secret(secret: Any) -> Any:
    return gr.skip() if is_id(secret) else new_secret()


def open_tab(services: Services, link: Link | None) -> tuple[Any, Any]:
    """The tab of a link; for a dead link, one page instead of the tabs, always the same."""
    if link is None:
        return gr.skip(), gr.skip()
    try:
        (find_comparison if link.kind == COMPARE else find_run)(services, link.id)
    except UserError as error:
        return gr.update(visible=False), gr.update(value=words.missing_html(error), visible=True)
    return gr.Tabs(selected=TAB_OF[link.kind]), gr.skip()


def front(services: Services, query: Mapping[str, str]) -> Front:
    """What a link shows where it is posted, and on the page at first: its texts or its board, else what the app is."""
    link = read_link(query)
    if link is not None and link.kind == RUN:
        return front_of_run(services, link.id)
    shared = find(services, link.id) if link is not None and link.kind == COMPARE else None
    opened = shared or opening(services)
    board, name = opened.board, name_of(opened.board.record) if opened.board.record else ""
    methods = ", ".join(words.title(view.method) for view in board.panes.values())
    title = f"{name[:MAX_TITLE]} · {words.TITLE}" if shared else words.TITLE
    line = f"Continued by {methods}. {words.PURPOSE}" if shared else words.PURPOSE
    body = first_paint(services, list(TABS), opened) if shared or link is None else ""
    return Front(title, line, body, partial(picture, name, board) if board.record is not None else None)


def front_of_run(services: Services, id: str) -> Front:
    """The front of a run's link; what the app is where there is no such run, or where its table is still to be made."""
    plain = front(services, {})._replace(body="")
    try:
        run = find_run(services, id)
    except UserError:
        return plain
    if run.status != "done":
        return plain
    board = board_of(run, services.runner.results(run.id))
    body = first_paint_of_run(list(TABS), TAB_OF[RUN], run, board, run.id in services.database.shipped)
    title = f"{run.prompts.name[:MAX_TITLE]} · {words.TITLE}"
    return plain._replace(title=title, description=" ".join(board.conclusion), body=body)


def start(services: Services, blocks: gr.Blocks, host: str, port: int, door: Door = SMALL) -> str:
    """Serve the page in the background and return its address. Raises OSError if the port is taken."""
    shown = Middleware(Fronts, front=partial(front, services))
    admin = Middleware(Admin, services=services, door=door, lines=partial(lines, blocks))
    app, address, _ = blocks.launch(
        server_name=host,
        server_port=port,
        theme=theme(),
        css=style(),
        css_paths=[STYLE_SHEET, BOARD_STYLE],
        js=script("page.js"),
        favicon_path=FAVICON,
        footer_links=["api"],
        run_history=False,
        enable_monitoring=False,
        max_file_size=door.max_upload,
        max_threads=2 * VISITORS,
        state_session_capacity=SESSIONS,
        share=False,
        ssr_mode=False,
        show_error=False,
        quiet=True,
        prevent_thread_lock=True,
        app_kwargs={"middleware": [shown, admin], "openapi_url": None},
    )
    # Around everything: Gradio puts its own leave for foreign pages around the middleware that it is given.
    app.middleware_stack = Gate(app.middleware_stack or app.build_middleware_stack(), door, services.allowance)
    return address


def lines(blocks: gr.Blocks) -> list[tuple[str, int, int]]:
    """The turns of events of the page, each with how many events run and how many wait."""
    queues = blocks._queue.event_queue_per_concurrency_id
    return [(name, each.current_concurrency, len(each.queue)) for name, each in queues.items() if name.isalpha()]
