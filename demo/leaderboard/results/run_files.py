"""The inner tab that saves a run as files and sends it to the Hub."""

from functools import partial
from typing import Any

import gradio as gr

from adapters.methods import UserError
from demo.leaderboard import words as words_leaderboard
from demo.leaderboard.results.load import load_data
from demo.parts.actions import as_file, save_on_click
from demo.parts.events import or_message
from demo.parts.links import owner_of
from demo.parts.panes import Marked, Values, message
from demo.parts.views import Inner, Opened, inner
from demo.services import Services
from leaderboard.output.export import FILES


def files_tab(services: Services, opened: Opened) -> Inner:
    """The inner tab, laid out and wired."""
    with gr.Row(elem_classes="below"):
        for name in FILES:
            button = gr.Button(words_leaderboard.FILES[name], size="sm", min_width=0, scale=0)
            save_on_click(button, partial(make_file, services, name), opened.id, opened.message)
        if services.publisher is not None:
            publish = gr.Button(words_leaderboard.PUBLISH, size="sm", min_width=0, scale=0)
            push = partial(or_message, opened.message, partial(on_publish, services, opened))
            publish.click(
                push, [opened.id, opened.owner], opened.message, show_progress="minimal", api_visibility="private"
            )
    gr.HTML(f"<p>{words_leaderboard.FILES_HELP}</p>", elem_classes="help")
    return inner(opened, [], lambda *_: {})


def make_file(services: Services, name: str, id: Any) -> tuple[dict[str, str] | None, Marked]:
    """One of the files of a run, and a message where there is none."""
    try:
        data = load_data(services, id)
        made = FILES[name](data, services.runner.results(data.run.id))
    except UserError as error:
        return None, message(str(error), is_error=True)
    return as_file(f"{data.run.prompts.name}-{name}", made), []


def on_publish(services: Services, opened: Opened, id: Any, secret: Any) -> Values:
    """Send this browser's own run to the Hub, once; say where it is."""
    if services.publisher is None:
        raise UserError(words_leaderboard.CANNOT_PUBLISH)
    data = load_data(services, id)
    sent = services.publisher.send(data, services.runner.results(data.run.id), owner_of(secret))
    said = words_leaderboard.PUBLISHED if sent.is_new else words_leaderboard.PUBLISHED_BEFORE
    return {opened.message: message(said.format(address=sent.address))}
