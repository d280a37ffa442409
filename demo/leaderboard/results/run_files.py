"""The inner tab that exports a run: its files, and the operator's dataset on the Hub."""

from functools import partial
from typing import Any, NamedTuple

import gradio as gr

from adapters.methods import UserError
from demo.leaderboard import words
from demo.leaderboard.results.load import find_own, find_run, load_data
from demo.parts.actions import as_file, save_on_click
from demo.parts.events import slow, told
from demo.parts.links import is_own
from demo.parts.marked import Marked, Values, message
from demo.parts.views import Inner, Opened, inner
from demo.services import Services
from leaderboard.output.export import FILES


class FilesView(NamedTuple):
    """The components beside the buttons that save a file."""

    publish: gr.Button


def files_tab(services: Services, opened: Opened) -> Inner:
    """The inner tab, laid out and wired."""
    with gr.Row(elem_classes="below"):
        for name in FILES:
            button = gr.Button(words.FILES[name], size="sm", min_width=0, scale=0)
            save_on_click(button, partial(make_file, services, name), opened.id, opened.message)
        view = FilesView(gr.Button(words.PUBLISH, size="sm", min_width=0, scale=0, visible=False))
    gr.HTML(f"<p>{words.FILES_HELP}</p>", elem_classes="help")
    publish = told(opened.message, on_publish, services, opened)
    view.publish.click(publish, [opened.id, opened.owner], opened.message, **slow(opened.message))
    return inner(opened, view, partial(fill_files, services, view))


# Handlers: values in, values out


def fill_files(services: Services, view: FilesView, id: Any, _: Any, secret: Any) -> Values:
    """Offer to publish the run to the browser that made it, where the operator has set it up."""
    mine = is_own(find_run(services, id).owner, secret)
    return {view.publish: gr.update(visible=services.publisher is not None and mine)}


def make_file(services: Services, name: str, id: Any) -> tuple[dict[str, str] | None, Marked]:
    """One of the files of a run, and an error message where there is none."""
    try:
        data = load_data(services, id)
        made = FILES[name](data, services.runner.results(data.run.id))
    except UserError as error:
        return None, message(str(error), is_error=True)
    return as_file(f"{data.run.prompts.name}-{name}", made), []


def on_publish(services: Services, opened: Opened, id: Any, secret: Any) -> Values:
    """Send an own run to the Hub, once, and say where it is. Raises UserError."""
    run = find_own(services, id, secret)
    if services.publisher is None:
        raise UserError(words.CANNOT_PUBLISH)
    sent = services.publisher.send(load_data(services, run.id), services.runner.results(run.id), run.owner)
    said = words.PUBLISHED if sent.is_new else words.PUBLISHED_BEFORE
    return {opened.message: message(said.format(address=sent.address))}
