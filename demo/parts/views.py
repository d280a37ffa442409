"""The page around a tab, parts that are built when they are first opened, and the inner tabs of a run."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import gradio as gr
from gradio.blocks import Block

from demo.parts.events import LIGHT, guard_events, told
from demo.parts.marked import Values

Fill = Callable[..., Values]


class Page(NamedTuple):
    blocks: gr.Blocks
    tab: gr.Tab
    owner: gr.BrowserState  # the secret that lets this browser delete its own runs and comparisons
    words: gr.State  # the topic that the Steer tab sends to the panes: name, own words
    adapter: gr.State  # kind and name of the adapter that the Train tab sends to a pane; None: none


def build_at_first(events: Sequence[Any], build: Callable[[], None]) -> None:
    """Call `build` in place at the first of the events, once in each browser."""
    wanted = gr.State(False)
    # Gradio tells of a changed state, and draws, only through the queue.
    gr.on(events, lambda: True, None, wanted, **LIGHT | {"queue": True})

    @gr.render(triggers=[wanted.change], show_progress="hidden")
    def parts() -> None:
        build()
        guard_events()


class Opened(NamedTuple):
    """What every inner tab may read and write."""

    id: gr.State
    tab: gr.State  # the name of the inner tab that is open
    slice: gr.Dropdown
    owner: gr.BrowserState
    message: gr.HighlightedText


class Inner(NamedTuple):
    """The components of an inner tab, and what fills them from the values of `Opened`: id, slice, secret."""

    outputs: Sequence[Block]
    fill: Fill


def cell_of(event: gr.SelectData, place: int) -> Any:
    """The cell of the chosen row at this index; None for a malformed event."""
    row = getattr(event, "row_value", None)
    return row[place] if isinstance(row, list) and row else None


def filled(line: gr.HighlightedText, outputs: Sequence[Block], handler: Callable[..., Sequence[Any]]) -> Fill:
    """The handler, whose values go to the outputs in this order; its errors stand in the message line."""
    return told(line, lambda *values: dict(zip(outputs, handler(*values), strict=True)))


def inner(opened: Opened, outputs: Sequence[Block], fill: Callable[..., Sequence[Any]]) -> Inner:
    """An inner tab with its errors in the message line."""
    return Inner([*outputs, opened.message], filled(opened.message, outputs, fill))
