"""How events of the page are run, and where their errors stand."""

import inspect
import logging
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import gradio as gr

from adapters.methods import UserError
from demo.parts.panes import Marked, Values, message
from demo.parts.words import SERVER_ERROR

# Light work. Without a place to show progress the browser need not go through all components for each output.
LIGHT: dict[str, Any] = {
    "show_progress": "hidden",
    "show_progress_on": [],
    "api_visibility": "private",
    "queue": False,
}
MODEL: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1}  # one at a time, whoever asks
Handler = Callable[..., Any]


def guarded(line: gr.HighlightedText, handler: Handler) -> Handler:
    """The handler, with its errors in the message line, which must be one of the event's outputs.

    A UserError is shown in its own words. For any other exception the line says that something went wrong on the
    server, and the log holds the exception.
    """

    @wraps(handler)
    def answer(*values: Any) -> Any:
        try:
            return handler(*values)
        except Exception as error:
            return {line: error_message(error)}

    @wraps(handler)
    def stream(*values: Any) -> Iterator[Any]:
        try:
            yield from handler(*values)
        except Exception as error:
            yield {line: error_message(error)}

    return stream if inspect.isgeneratorfunction(handler) else answer


def or_message(line: gr.HighlightedText, handler: Callable[..., Values], *values: Any) -> Values:
    """What a guarded handler returns; the line is emptied unless the handler fills it."""
    return {line: []} | guarded(line, handler)(*values)


def error_message(error: Exception) -> Marked:
    """An error for the message line; logged unless a person can mend it."""
    return message(str(as_user_error(error)), is_error=True)


def as_user_error(error: Exception) -> UserError:
    """The error itself if a person can mend it; else one that says no more than that, and the log has the rest."""
    if isinstance(error, UserError):
        return error
    logging.error("An event of the page failed", exc_info=error)
    return UserError(SERVER_ERROR)
