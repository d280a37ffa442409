"""How events of the page are run, and where their errors stand."""

import inspect
from collections.abc import Callable, Iterator
from functools import partial, wraps
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.context import get_blocks_context

from demo.parts.marked import MESSAGE, Values, message
from demo.parts.running import as_user_error

# Light work. Without a place to show progress the browser need not go through all components for each output.
LIGHT: dict[str, Any] = {"show_progress": "hidden", "show_progress_on": [], "api_visibility": "private", "queue": False}
MODEL = "model"  # the turn of whatever uses the model
LOOK = "look"  # the turn of looking into a model: it holds much memory that the engine does not count
VISITORS = 64  # that may use the model at once: the engine lets them in
Handler = Callable[..., Any]


def slow(line: Component, turn: str | None = None) -> dict[str, Any]:
    """Options of work that takes a while: `line` shows its progress; works with the same `turn` share its places."""
    options: dict[str, Any] = {"show_progress": "minimal", "show_progress_on": line, "api_visibility": "private"}
    places = VISITORS if turn == MODEL else 1
    return options if turn is None else options | {"concurrency_id": turn, "concurrency_limit": places}


def guard_events() -> None:
    """Guard the handlers of every event on the page so far that can fill a message line."""
    context = get_blocks_context()
    for event in [] if context is None else context.fns.values():
        line = next((part for part in event.outputs if MESSAGE in (getattr(part, "elem_classes", None) or ())), None)
        if isinstance(line, gr.HighlightedText) and event.fn is not None and not hasattr(event.fn, "__wrapped__"):
            event.fn = guarded(line, event.fn)


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
            return {line: message(str(as_user_error(error)), is_error=True)}

    @wraps(handler)
    def stream(*values: Any) -> Iterator[Any]:
        try:
            yield from handler(*values)
        except Exception as error:
            yield {line: message(str(as_user_error(error)), is_error=True)}

    return stream if inspect.isgeneratorfunction(handler) else answer


def or_message(line: gr.HighlightedText, handler: Callable[..., Values], *values: Any) -> Values:
    """What a guarded handler returns; the line is emptied unless the handler fills it."""
    return {line: []} | guarded(line, handler)(*values)


def told(line: gr.HighlightedText, handler: Callable[..., Values], *bound: Any) -> Callable[..., Values]:
    """The handler with its first arguments, and its errors in the message line."""
    return partial(or_message, line, partial(handler, *bound))
