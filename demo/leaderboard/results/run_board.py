"""What a run says: conclusion, ranking and plot; a click on a method shows its texts beside Base's."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from adapters.methods import UserError
from demo.leaderboard import words
from demo.leaderboard.results.load import find_run, load_results
from demo.look.theme import script
from demo.parts.events import LIGHT, told
from demo.parts.marked import Values
from demo.parts.tables import text_table
from demo.parts.views import Opened
from demo.services import Services
from leaderboard.output.looks import look
from leaderboard.output.ranking import board_html, board_of
from leaderboard.records import Run, Sample

MOST = 60  # texts that are shown


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
