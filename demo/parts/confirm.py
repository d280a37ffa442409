"""Deleting in two steps: a button asks, and shows one that does it beside one that does not.

Knows buttons; knows nothing of what is deleted.
"""

from typing import Any, NamedTuple

import gradio as gr

from demo.parts import words as text
from demo.parts.events import LIGHT


class Confirm(NamedTuple):
    """The components; `ask` is hidden where there is nothing that a person may delete."""

    ask: gr.Button
    row: gr.Row
    yes: gr.Button


def build_confirm(question: str = text.DELETE_QUESTION) -> Confirm:
    """The buttons in the page, wired but for what `yes` does."""
    ask = gr.Button(text.DELETE, size="sm", min_width=0, scale=0, visible=False)
    with gr.Row(visible=False, elem_classes="confirm") as row:
        gr.HTML(f"<p>{question}</p>")
        yes = gr.Button(text.DELETE_YES, size="sm", min_width=0, scale=0, variant="stop")
        no = gr.Button(text.DELETE_NO, size="sm", min_width=0, scale=0)
    ask.click(show_question, None, [ask, row], **LIGHT)
    no.click(hide_question, None, [ask, row], **LIGHT)
    return Confirm(ask, row, yes)


def show_question() -> list[dict[str, Any]]:
    return [gr.update(visible=False), gr.update(visible=True)]


def hide_question() -> list[dict[str, Any]]:
    return [gr.update(visible=True), gr.update(visible=False)]
