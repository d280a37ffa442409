"""The Leaderboard tab: the results of a run, a form to score own prompts, and earlier runs."""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import gradio as gr
from gradio.blocks import Block

from adapters.decoding.visitors import TOKENS
from adapters.methods import UserError
from demo.leaderboard import words
from demo.leaderboard.results.load import find_own, list_runs
from demo.leaderboard.results.run_page import ResultsPage, open_run, wire_delete
from demo.leaderboard.score_api import score_endpoint
from demo.leaderboard.settings import Setup, offer_methods, on_estimate, read_setup, wire_setup
from demo.parts import words as common
from demo.parts.events import LIGHT, or_message, slow
from demo.parts.links import RUN, Link, owner_of, read_link
from demo.parts.marked import Marked, Values, message, message_line
from demo.parts.running import closed_at_end, told, work_of_run
from demo.parts.tables import text_table
from demo.parts.views import Page, cell_of
from demo.services import Services
from leaderboard.records import Run, Sample

RUNS = "leaderboard"  # the turn of runs: one at a time, whoever asks
PACE = 0.4  # seconds between two looks at a run
NEWEST = 50  # texts that are shown while they arrive
PATIENCE = 10.0  # seconds
BAR = f'<progress {{done}} aria-label="{words.PROGRESS}"></progress>'
SHOW_RESULTS = "() => document.querySelector('.results')?.scrollIntoView({behavior: 'smooth'})"


class Scoreboard:
    def __init__(self, services: Services, owner: gr.BrowserState) -> None:
        self.owner, self.results = owner, ResultsPage(services, owner)
        self.setup = Setup(services)
        self.message = message_line("Message", "shared-note")
        self.bar = gr.HTML(elem_classes="bar")
        columns = [words.PROMPT, words.METHOD, words.NUMBER_OF_TEXT, words.WRITTEN, words.TOKENS]
        widths = [280, 150, 60, 610, 90]
        self.rows = text_table(words.NEWEST, columns, widths, "newest", visible=False, show_label=True)
        self.safety = gr.HTML(visible=False, elem_classes="help")
        with (
            gr.Column(elem_classes="stack") as self.list_column,
            gr.Accordion(words.EARLIER, open=True, visible=False) as self.earlier_box,
        ):
            self.earlier = text_table(
                words.EARLIER, words.EARLIER_COLUMNS, None, "earlier", show_search="filter", wrap=False, max_height=360
            )
        self.listed = [self.earlier, self.earlier_box, self.safety, self.message]  # what the list of runs changes
        self.going = gr.State(None)  # the id of the run that is running
        changed = [self.setup.run, self.setup.stop, self.setup.estimate, self.bar, self.rows, self.going]
        self.outputs = [self.message, *changed, *self.results.outputs]  # everything that a run changes


def leaderboard_tab(services: Services, page: Page) -> None:
    board = Scoreboard(services, page.owner)
    wire_setup(services, board.setup)
    wire_runs(services, board)
    wire_earlier(services, board, page)
    gr.api(score_endpoint(services), api_name="score", concurrency_id=RUNS, concurrency_limit=1)


def wire_runs(services: Services, board: Scoreboard) -> None:
    """Run, Resume and Stop. One run at a time, whoever asks."""
    options = slow(board.message, RUNS)
    inputs: set[Block] = {*board.setup.inputs, board.owner}
    begun = board.setup.run.click(partial(on_run, services, board), inputs, board.outputs, **options)
    opened = [board.results.opened.id, board.owner]
    resumed = board.results.resume.click(partial(on_resume, services, board), opened, board.outputs, **options)
    stopped = board.setup.stop.click(None, cancels=[begun, resumed])
    shown = stopped.then(partial(on_stop, services, board), [board.going, board.owner], board.outputs, **LIGHT)
    for event in (begun, resumed, shown, wire_delete(services, board.results)):
        event.then(partial(list_earlier, services, board), board.owner, board.listed, **LIGHT)
    for event in (begun, resumed, shown):
        event.then(None, None, None, js=SHOW_RESULTS, **LIGHT)


def wire_earlier(services: Services, board: Scoreboard, page: Page) -> None:
    page.tab.select(partial(list_earlier, services, board), board.owner, board.listed, **LIGHT)
    board.setup.methods.focus(partial(offer_methods, services), None, board.setup.methods, **LIGHT)
    estimate = partial(on_estimate, services, board.setup)
    page.tab.select(estimate, set(board.setup.inputs), [board.setup.estimate, board.setup.folded], **LIGHT)

    def on_select(secret: Any, event: gr.SelectData) -> Values:
        return or_message(board.message, open_run, services, board.results, cell_of(event, -1), secret)

    outputs = [board.message, *board.results.outputs]
    chosen = board.earlier.select(on_select, board.owner, outputs, **LIGHT)
    chosen.then(None, None, None, js=SHOW_RESULTS, **LIGHT)

    def on_load(secret: Any, request: gr.Request) -> Values:
        return open_link(services, board, read_link(request.query_params), secret)

    page.blocks.load(on_load, page.owner, [board.setup.column, board.list_column, *outputs], **LIGHT)


def list_earlier(services: Services, board: Scoreboard, secret: Any) -> Values:
    """The list of runs, shown where there is more than one."""
    rows, safety = earlier_rows(services, secret), common.safety(services.backup, services.lasts)
    shown = {board.earlier: rows, board.earlier_box: gr.update(visible=len(rows) > 1)}
    return shown | {board.safety: gr.update(value=f"<p>{safety}</p>", visible=bool(safety))}


def earlier_rows(services: Services, secret: Any) -> list[list[str]]:
    """The runs that this browser may open without a link."""
    ships = services.database.shipped
    return [
        [
            common.moment(line.created),
            f"{line.name} ({line.num_prompts})",
            ", ".join(line.methods),
            line.status,
            words.SHIPPED if line.id in ships else words.COMMAND_LINE if line.owner is None else words.HERE,
            line.id,
        ]
        for line in list_runs(services, secret)
    ]


def on_run(services: Services, board: Scoreboard, values: Values) -> Iterator[Values]:
    """Begin a run and show its texts as they arrive, then its results. Raises UserError."""
    if (owner := owner_of(values[board.owner])) is None:
        raise UserError(common.NO_OWNER)
    spec, prompts, texts = read_setup(services, board.setup, values)
    with services.allowance.spend(TOKENS, work_of_run(spec, prompts)):
        run = services.runner.add(spec, prompts, owner, texts)
    yield from play(services, board, run, values[board.owner])


def on_resume(services: Services, board: Scoreboard, id: Any, secret: Any) -> Iterator[Values]:
    yield from play(services, board, find_own(services, id, secret), secret)


def play(services: Services, board: Scoreboard, run: Run, secret: Any) -> Iterator[Values]:
    """Write and score the missing texts of a run and show them as they arrive; then its results, as far as it came."""

    def refuse(_: Values, error: UserError) -> Values:
        return run_updates(board, message(str(error), is_error=True))

    last: Values = {}
    with closed_at_end(told(written(services, board, run), last, refuse)) as steps:
        for last in steps:
            yield last
    yield ended(services, board, run.id, last[board.message], secret)


def written(services: Services, board: Scoreboard, run: Run) -> Iterator[Values]:
    """The texts of a run as they arrive, the newest first. Closing it stops the run and keeps finished texts."""
    yield run_updates(board, message(common.STARTING), (), BAR.format(done=""), run.id)
    rows: list[list[str]] = []
    num_texts, shown = 0, time.monotonic()
    with closed_at_end(services.runner.run(run.id)) as steps:
        for progress in steps:
            num_texts += len(progress.samples)
            rows = [*(text_row(run, sample) for sample in reversed(progress.samples)), *rows][:NEWEST]
            if time.monotonic() - shown >= PACE:
                bar = BAR.format(done=f'value="{progress.done}" max="{progress.total}"')
                yield run_updates(board, message(words.progress(progress, num_texts)), rows, bar, run.id)
                shown = time.monotonic()
    total = len(run.prompts.prompts) * len(run.spec.written) * run.spec.samples
    yield run_updates(board, message(words.run_done(total, num_texts)), rows)


def text_row(run: Run, sample: Sample) -> list[str]:
    prompt, method = run.prompts.prompts[sample.prompt].prompt, run.spec.methods[sample.method].name
    return [prompt, method, str(sample.draw + 1), sample.text, str(sample.num_tokens)]


def on_stop(services: Services, board: Scoreboard, id: Any, secret: Any) -> Values:
    """The results of a stopped run so far."""
    if id is None:
        return run_updates(board, [])
    wait_until_stopped(services, id)
    return ended(services, board, id, message(words.RUN_STOPPED), secret)


def open_link(services: Services, board: Scoreboard, link: Link | None, secret: Any) -> Values:
    """The run of a link, alone on its tab; without a link the run that ships; nothing changes for any other link."""
    if link is None and (ships := next(iter(services.database.shipped), None)) is not None:
        return {board.message: []} | open_run(services, board.results, ships, secret)
    if link is None or link.kind != RUN:
        return {board.message: []}
    try:
        opened = open_run(services, board.results, link.id, secret, by_link=True)
    except UserError:
        return {board.message: []}
    return opened | {board.setup.column: gr.update(visible=False), board.list_column: gr.update(visible=False)}


def run_updates(
    board: Scoreboard, said: Marked, rows: Sequence[list[str]] = (), bar: str = "", going: str | None = None
) -> Values:
    """The message and the newest texts of a run; while it is going, its bar and its id too."""
    return {
        board.setup.run: gr.update(visible=going is None),
        board.setup.stop: gr.update(visible=going is not None),
        board.setup.estimate: [],
        board.message: said,
        board.bar: bar,
        board.rows: gr.update(value=list(rows), visible=bool(rows)),
        board.going: going,
    }


def ended(services: Services, board: Scoreboard, id: str, said: Marked, secret: Any) -> Values:
    """The end of a run: its last message, and its results as far as it came."""
    updates = run_updates(board, said)
    with suppress(UserError):  # nothing was written yet, or the run is gone: the message says why it ended
        updates |= open_run(services, board.results, id, secret)
    return updates


def wait_until_stopped(services: Services, id: str) -> None:
    """Wait for the piece of work that was in progress when Stop was pressed, but not for ever."""
    patience = time.monotonic() + PATIENCE
    while time.monotonic() < patience and (run := services.database.run(id)) is not None and run.status == "running":
        time.sleep(0.1)
