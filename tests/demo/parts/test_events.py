"""Every error of the page stands in a line; unexpected ones are in the log too."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import gradio as gr
import pytest

from adapters.methods import UserError
from demo.page import AT_ONCE, TABS, build_app
from demo.parts.events import guard_events, or_message
from demo.parts.marked import ERROR, message_line
from demo.parts.running import told
from demo.parts.views import Page
from demo.parts.words import SERVER_ERROR
from demo.services import Services
from demo.xray.tab import Source, build_xray

# Handlers without a message line: what the page offers, Gradio's own, and those that only pass values on
OFFERS = {"earlier_rows", "offer_methods", "on_length", "on_method"}
ALONE = OFFERS | {"apply", "compare", "methods", "score", "lambda", "new_seed", "on_load", "on_select", "show_question"}


def broken(*_: Any) -> Any:
    raise RuntimeError("secret")


def refused(*_: Any) -> Any:
    raise UserError("Give it a name.")


def halfway(error: Exception, *_: Any) -> Iterator[Any]:
    yield "first"
    raise error


def test_a_handlers_errors_stand_in_the_message_line(caplog: pytest.LogCaptureFixture) -> None:
    with gr.Blocks() as blocks:
        line, other, button = message_line("Message", "note"), gr.Textbox(), gr.Button()
        for handler in (broken, refused, partial(halfway, RuntimeError("secret")), partial(halfway, UserError("no"))):
            button.click(handler, None, [other, line])
        guard_events()
        guard_events()
    plain, mendable, stream, mendable_stream = (event.fn for event in blocks.fns.values())
    assert plain is not None
    assert plain() == {line: [(SERVER_ERROR, ERROR)]}
    assert "secret" in caplog.text
    assert mendable is not None
    assert mendable() == {line: [("Give it a name.", ERROR)]}
    assert stream is not None
    assert [*stream()] == ["first", {line: [(SERVER_ERROR, ERROR)]}]
    assert mendable_stream is not None
    assert [*mendable_stream()] == ["first", {line: [("no", ERROR)]}]


def test_a_message_goes_when_the_next_event_succeeds() -> None:
    with gr.Blocks():
        line, other = message_line("Message", "note"), gr.Textbox()
    assert or_message(line, lambda value: {other: value}, 3) == {line: [], other: 3}
    assert or_message(line, refused) == {line: [("Give it a name.", ERROR)]}


def test_the_steps_of_a_stream_end_with_one_that_tells_the_error(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(last: str, error: UserError) -> str:
        return f"{last}: {error}"

    assert [*told(iter(["a", "b"]), "0", refuse)] == ["a", "b"]
    assert [*told(halfway(UserError("no")), "0", refuse)] == ["first", "first: no"]
    assert [*told(halfway(RuntimeError("secret")), "0", refuse)][-1] == f"first: {SERVER_ERROR}"
    assert "secret" in caplog.text


def test_every_handler_of_the_page_tells_its_errors(lasting: Services) -> None:
    with gr.Blocks() as late, gr.Tab() as tab:
        for name, build in TABS.items():
            if name not in AT_ONCE:
                build(lasting, Page(late, tab, gr.BrowserState(), gr.State(""), gr.State(None)))
        build_xray(lasting, Source([gr.Button()], [gr.State()], dict, gr.JSON()), [late.load])
        guard_events()
    events = [event for blocks in (build_app(lasting), late) for event in blocks.fns.values() if event.fn is not None]
    silent = [name_of(event.fn) for event in events if not hasattr(event.fn, "__wrapped__")]
    assert set(silent) <= ALONE, sorted(set(silent) - ALONE)
    assert len(silent) < len(events) / 3


def name_of(handler: Any) -> str:
    while isinstance(handler, partial):
        handler = handler.func
    return str(handler.__name__).strip("<>")
