"""The contents of the Compare tab, as frozen data. Knows nothing of Gradio or of how a text comes about."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from adapters.methods import BASE, Method, UserError
from demo.compare import words
from demo.parts.numbers import Span
from demo.parts.running import PaneErrors

Record = Mapping[str, Any]  # a finished comparison as JSON; see demo.compare.record


class Figures(NamedTuple):
    """The figures under a text; None for no value (yet)."""

    tokens: int
    tokens_per_second: float | None = None
    perplexity: float | None = None  # under the base model
    distinct_2: float | None = None
    attribute_words: int | None = None


class PaneView(NamedTuple):
    method: Method = BASE
    status: str = words.READY
    spans: tuple[Span, ...] = ()
    figures: Figures | None = None
    note: str = ""
    is_error: bool = False
    running: bool = False


@dataclass(frozen=True)
class Board:
    """One view per pane that has something to show, by its place, and a message under the prompt."""

    panes: dict[int, PaneView] = field(default_factory=dict)
    message: str = ""
    is_error: bool = False
    running: bool = False
    errors: dict[int, str] = field(default_factory=dict)  # why panes could not start, by their place
    topics: tuple[str, ...] = ()  # names of the lists whose words are marked
    stored: bool = False  # the texts ship with the app
    seconds_left: float | None = None  # while texts grow
    record: Record | None = None  # of the texts in the panes, once all have ended

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
        return replace(self, panes=panes, message="", is_error=False, running=False)
