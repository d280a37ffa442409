"""What the Compare tab shows, as frozen data.

Knows methods, figures and the words on the page; knows nothing of Gradio or of how a text comes about.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from adapters.decoding.engine import Continuation
from adapters.methods import BASE, Method, Request, Sampling, UserError
from demo.parts import words as text
from demo.parts.numbers import Span

MAX_PANES = 6


class Figures(NamedTuple):
    """The figures under a text; None where there is no value (yet)."""

    tokens: int
    tokens_per_second: float | None = None
    perplexity: float | None = None  # under the base model
    distinct_2: float | None = None
    attribute_words: int | None = None


class PaneView(NamedTuple):
    """What one pane shows."""

    method: Method = BASE
    status: str = text.READY
    spans: tuple[Span, ...] = ()
    figures: Figures | None = None
    note: str = ""
    is_error: bool = False
    running: bool = False


class Outcome(NamedTuple):
    """A finished comparison: enough to keep it, and to write it again."""

    requests: dict[int, Request]
    sampling: Sampling
    rows: Sequence[Continuation]


@dataclass(frozen=True)
class Board:
    """One view for each pane that has something to show, by its place, and a message under the prompt."""

    panes: dict[int, PaneView] = field(default_factory=dict)
    message: str = ""
    is_error: bool = False
    running: bool = False
    errors: dict[int, str] = field(default_factory=dict)  # why panes could not start, by their place
    outcome: Outcome | None = None  # of the texts in the panes, once all have ended

    def refuse(self, error: UserError) -> "Board":
        """This board with an error under the prompt and in the panes at fault; what was there stays."""
        notes = error.notes if isinstance(error, PaneErrors) else {}
        return replace(self, message=str(error), is_error=True, running=False, errors=notes)

    def stop(self) -> "Board":
        """This board after Stop: what was there stays."""
        stopped = {place: view._replace(status=text.STOPPED, running=False) for place, view in self.panes.items()}
        panes = {place: stopped[place] if view.running else view for place, view in self.panes.items()}
        return Board(panes, errors=self.errors, outcome=self.outcome)


class PaneErrors(UserError):
    """What is wrong with single panes, one line each by their place."""

    def __init__(self, notes: dict[int, str]) -> None:
        super().__init__(text.MEND_PANES)
        self.notes = notes
