"""An inner tab of a run's results, as its builders return it.

Knows that a tab is filled when it is opened; knows nothing of what is in it.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import gradio as gr
from gradio.blocks import Block

from adapters.methods import UserError
from demo.parts.panes import Values, message


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
