"""The contents of the Compare tab, as frozen data. Knows nothing of Gradio or of how a text comes about."""

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from adapters.decoding.text import Continuation
from adapters.methods import BASE, Method, Sampling, UserError
from demo.compare import words
from demo.parts.numbers import Span


class Figures(NamedTuple):
    """The figures under a text; None for no value (yet)."""

    tokens: int
    tokens_per_second: float | None = None
    perplexity: float | None = None  # under the base model
    distinct_2: float | None = None
    attribute_words: int | None = None


class PaneView(NamedTuple):
    """The contents of one pane."""

    method: Method = BASE
    status: str = words.READY
    spans: tuple[Span, ...] = ()
    figures: Figures | None = None
    note: str = ""
    is_error: bool = False
    running: bool = False


class Outcome(NamedTuple):
    """A finished comparison: enough to keep it, and to write it again."""

    sampling: Sampling
    rows: dict[int, Continuation]  # by place


@dataclass(frozen=True)
class Board:
    """One view per pane that has something to show, by its place, and a message under the prompt."""

    panes: dict[int, PaneView] = field(default_factory=dict)
    message: str = ""
    is_error: bool = False
    running: bool = False
    errors: dict[int, str] = field(default_factory=dict)  # why panes could not start, by their place
    outcome: Outcome | None = None  # of the texts in the panes, once all have ended

    def refuse(self, error: UserError) -> "Board":
        """This board with an error under the prompt and in the panes at fault; the texts stay."""
        notes = error.notes if isinstance(error, PaneErrors) else {}
        return replace(self, message=str(error), is_error=True, running=False, errors=notes)

    def stop(self) -> "Board":
        """This board after Stop; the texts stay."""
        panes = {
            place: view._replace(status=words.STOPPED, running=False) if view.running else view
            for place, view in self.panes.items()
        }
        return Board(panes, errors=self.errors, outcome=self.outcome)


class PaneErrors(UserError):
    """Errors of single panes, one line each by their place."""

    def __init__(self, notes: dict[int, str]) -> None:
        super().__init__(words.MEND_PANES)
        self.notes = notes
