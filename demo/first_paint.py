"""What the page opens on, as plain HTML: it can be read before Gradio's script has built the page."""

from collections.abc import Sequence
from typing import Any

from demo.compare import words
from demo.compare.examples import EXAMPLES, Start
from demo.compare.figures import figures_html, legend_html
from demo.compare.panes import status_html
from demo.compare.record import Comparison
from demo.compare.shared import head_html as link_head_html
from demo.leaderboard.results.run_page import head_html as run_head_html
from demo.look.theme import STYLE_SHEET, render
from demo.parts import words as common
from demo.parts.marked import head_html
from demo.parts.numbers import DEPARTS, PROMPT, TOPICS
from demo.services import Services
from leaderboard.output.ranking import STYLE as BOARD_STYLE
from leaderboard.output.ranking import Board as RunBoard
from leaderboard.output.ranking import board_html
from leaderboard.records import Run

CLASSES = {PROMPT: "prompt-text", DEPARTS: "departs"} | {mark: f"topic-{place}" for place, mark in enumerate(TOPICS)}


def first_paint(services: Services, tabs: Sequence[str], opened: Comparison | Start) -> str:
    """A shared comparison, or the one that a fresh page opens on; empty if none ships for this base model."""
    board, start = opened.board, opened if isinstance(opened, Start) else None
    if board.record is None:
        return ""
    return painted(
        tabs,
        tabs[0],
        words=words,
        start=start,
        examples=EXAMPLES,
        link_head="" if isinstance(opened, Start) else link_head_html(opened),
        views=[view for _, view in sorted(board.panes.items())],
        head=lambda view: head_html(view.method, services),
        status=status_html,
        classes=mark_classes,
        legend=legend_html(board),
        figures=figures_html(board),
    )


def first_paint_of_run(tabs: Sequence[str], open: str, run: Run, board: RunBoard, ships: bool) -> str:
    """A run that was opened by its link."""
    return painted(tabs, open, link_head=run_head_html(run, True, ships), board=board_html(board))


def painted(tabs: Sequence[str], open: str, **parts: Any) -> str:
    styles = [STYLE_SHEET.read_text(), BOARD_STYLE.read_text()]
    values = {"start": None, "board": "", "common": common, "tabs": tabs, "open": open, "styles": styles}
    return render("first_paint.html", **values | parts)


def mark_classes(mark: str | None) -> str:
    """The classes of a piece of text for its marks, which stand as "topic 1, departs".

    >>> mark_classes("topic 1, departs"), mark_classes(None)
    ('topic-0 departs', '')
    """
    return " ".join(CLASSES[one] for one in (mark or "").split(", ") if one)
