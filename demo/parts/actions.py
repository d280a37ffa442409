"""Saving files, deleting in two steps, and work that a button begins and another one stops."""

import base64
from collections.abc import Callable, Iterator, Sequence
from functools import partial, wraps
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
from gradio.blocks import Block

from adapters.methods import UserError
from demo.look.theme import script
from demo.parts.controls import CONTROLS, labelled
from demo.parts.events import LIGHT, slow
from demo.parts.marked import Values, message, message_line
from demo.parts.running import as_user_error, told
from demo.parts.words import DELETE, DELETE_NO, DELETE_QUESTION, DELETE_YES, STOP, safety
from demo.services import Services

SAVE = script("save.js")


def as_file(name: str, data: bytes) -> dict[str, str]:
    """A file as the browser's part expects it."""
    return {"name": name, "data": base64.b64encode(data).decode()}


def save_on_click(button: gr.Button, make: Callable[..., Any], inputs: Any, line: gr.HighlightedText) -> None:
    """Save what `make` returns, (file or None, value of the message line), when the button is clicked."""
    file = gr.JSON(visible=False)
    made = button.click(or_no_file(make), inputs, [file, line], **LIGHT)
    made.then(None, file, None, js=SAVE, **LIGHT)


def or_no_file(make: Callable[..., Any]) -> Callable[..., Any]:
    """What `make` returns; after an error no file, since the one before must not be saved again."""

    @wraps(make)
    def made(*values: Any) -> Any:
        try:
            return make(*values)
        except Exception as error:
            return None, message(str(as_user_error(error)), is_error=True)

    return made


def hand_out_on_click(
    button: gr.Button, make: Callable[..., Any], inputs: Any, line: gr.HighlightedText, **turn: Any
) -> None:
    """Download the file that `make` writes, when the button is clicked: one too large to be sent as a value.

    `make` gets the folder to write into, which is swept, and the inputs; it returns (path or None, value of the message
    line).
    """
    file = gr.File(visible=False)
    write = or_no_file(partial(make, Path(file.GRADIO_CACHE)))
    made = button.click(write, inputs, [file, line], show_progress_on=line, api_visibility="private", **turn)
    made.then(None, file, None, js=SAVE, **LIGHT)


def small_button(name: str, **options: Any) -> gr.Button:
    """A button as wide as its words."""
    return gr.Button(name, size="sm", min_width=0, scale=0, **options)


class Confirm(NamedTuple):
    """The components; `ask` is hidden where a person may delete nothing."""

    ask: gr.Button
    row: gr.Row
    yes: gr.Button


def build_confirm(question: str = DELETE_QUESTION) -> Confirm:
    """Put the buttons on the page; only `yes` is left to wire."""
    ask = small_button(DELETE, visible=False)
    with gr.Row(visible=False, elem_classes="confirm") as row:
        gr.HTML(f"<p>{question}</p>")
        yes = small_button(DELETE_YES, variant="stop")
        no = small_button(DELETE_NO)
    for button, asked in ((ask, True), (no, False)):
        button.click(partial(show_question, asked), None, [ask, row], **LIGHT)
    return Confirm(ask, row, yes)


def show_question(asked: bool) -> list[dict[str, Any]]:
    return [gr.update(visible=not asked), gr.update(visible=asked)]


def share_link() -> gr.Textbox:
    """The address of something shared, hidden until there is one."""
    link = gr.Textbox(visible=False, buttons=["copy"], elem_classes="link", **labelled("link", interactive=False))
    link.change(None, link, link, js="(link) => link && new URL(link, location.href).href", **LIGHT)
    return link


def shown_link(services: Services, address: str, visible: bool = True) -> dict[str, Any]:
    """The update that shows an address, and how safe it is from a restart."""
    info = f"{CONTROLS['link'].info} {safety(services.backup, services.lasts)}".strip()
    return gr.update(value=address, info=info, visible=visible)


class Work(NamedTuple):
    """The buttons that begin and stop a piece of work, and the line that says how far it is."""

    begin: gr.Button
    stop: gr.Button
    message: gr.HighlightedText


def work_buttons(begin: str, label: str, elem_class: str) -> Work:
    """Both buttons in a row, the line below."""
    with gr.Row(elem_classes="below"):
        buttons = small_button(begin), small_button(STOP, interactive=False)
    return Work(*buttons, message_line(label, elem_class))


def wire_work(
    work: Work,
    steps: Callable[..., Iterator[Values]],
    inputs: Any,
    turn: str,
    stopped: str,
    shown: Sequence[Block] = (),
    also: Sequence[Any] = (),
) -> None:
    """Begin, and each event of `also`, shows the steps, in `shown` too, one work of a turn at a time.

    After Stop the line says `stopped`.
    """
    options = slow(work.message, turn)
    running = gr.on([work.begin.click, *also], partial(play, work, steps), inputs, [*work, *shown], **options)
    ended = work.stop.click(None, cancels=[running])
    ended.then(partial(on_stop, work, stopped), None, list(work), **LIGHT)


def play(work: Work, steps: Callable[..., Iterator[Values]], *inputs: Any) -> Iterator[Values]:
    """The steps, with their error in the line; Stop can be pressed until they end."""

    def refuse(_: Values, error: UserError) -> Values:
        return {work.message: message(str(error), is_error=True)}

    yield pressed(work, True)
    yield from told(steps(*inputs), {}, refuse)
    yield pressed(work, False)


def on_stop(work: Work, stopped: str) -> Values:
    return pressed(work, False) | {work.message: message(stopped)}


def pressed(work: Work, is_running: bool) -> Values:
    return {work.begin: gr.update(interactive=not is_running), work.stop: gr.update(interactive=is_running)}
