"""The page around a tab, parts that are built when they are first opened, and the inner tabs of a run's results."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import gradio as gr
from gradio.blocks import Block

from adapters.methods import UserError
from demo.parts.events import LIGHT
from demo.parts.panes import Values, message


class Page(NamedTuple):
    """The whole page, the tab itself, the secret by which this browser knows its own runs and comparisons, and the list
    of words that the Attributes tab sends to the panes."""

    blocks: gr.Blocks
    tab: gr.Tab
    owner: gr.BrowserState
    words: gr.State


def build_at_first(events: Sequence[Any], build: Callable[[], None]) -> None:
    """Calls `build`, where this stands on the page, at the first of the events, in each browser."""
    wanted = gr.State(False)
    # Gradio tells of a changed state, and draws, only through the queue.
    gr.on(events, lambda: True, None, wanted, **LIGHT | {"queue": True})

    @gr.render(triggers=[wanted.change], show_progress="hidden")
    def parts() -> None:
        build()


class Opened(NamedTuple):
    """What every inner tab may read and write: the open run, its slice, the owner, and the line for messages."""

    id: gr.State
    tab: gr.State  # the name of the inner tab that is open
    slice: gr.Dropdown
    owner: gr.BrowserState
    message: gr.HighlightedText


class Inner(NamedTuple):
    """The components of an inner tab, and what fills them from the values of `Opened`: id, slice, secret."""

    outputs: Sequence[Block]
    fill: Callable[[Any, Any, Any], Values]


def cell_of(event: gr.SelectData, place: int) -> Any:
    """What the chosen row of a table has at this place; None where a client says nothing of the kind."""
    row = getattr(event, "row_value", None)
    return row[place] if isinstance(row, list) and row else None


def or_message(line: gr.HighlightedText, handler: Callable[..., Values], *values: Any) -> Values:
    """What the handler returns, or in the line what it finds that a person can mend; empty where there is nothing."""
    try:
        return {line: []} | handler(*values)
    except UserError as error:
        return {line: message(str(error), is_error=True)}


def inner(opened: Opened, outputs: Sequence[Block], fill: Callable[..., Values]) -> Inner:
    """An inner tab whose errors stand in the line for messages."""
    return Inner([*outputs, opened.message], partial(or_message, opened.message, fill))
