"""The list of adapters on the Train tab: importing one, the card of one, and what can be done with it.

Knows which component feeds which handler; what a card says is in demo.train.cards.
"""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from adapters.methods import UserError
from demo.parts import words as text
from demo.parts.actions import hand_out_on_click
from demo.parts.events import LIGHT, or_message
from demo.parts.links import owner_of
from demo.parts.panes import Marked, Values, message, message_line
from demo.parts.tables import text_table
from demo.parts.views import Page, cell_of
from demo.services import Services
from demo.train import words as words_train
from demo.train.adapter_card import CardPart, card_updates, lay_out_card
from demo.train.cards import adapter_rows, find_card
from demo.train.form import uploaded
from demo.train.words import control

WIDTHS = [150, 130, 170, 130, 240, 130, 150]  # px, of the columns of the list
HEAVY: dict[str, Any] = {"concurrency_id": "library", "concurrency_limit": 1}  # a merged model takes memory


class ImportControls(NamedTuple):
    """The components that import an adapter."""

    name: gr.Textbox
    upload: gr.UploadButton
    hub_id: gr.Textbox
    hub: gr.Button


class AdaptersPart(NamedTuple):
    """The components of the section; `name` is the adapter whose card is open, or None."""

    importing: ImportControls
    message: gr.HighlightedText
    rows: gr.Dataframe
    card: CardPart
    owner: gr.BrowserState
    name: gr.State

    @property
    def outputs(self) -> list[Any]:
        return [self.message, self.rows, self.name, *self.card.outputs]


def adapters_section(services: Services, page: Page) -> AdaptersPart:
    """The section, laid out and wired but for what fills the list when the tab is opened."""
    with gr.Column(elem_classes="stack next-section"):
        part = lay_out(services, page)
    wire_import(services, part)
    wire_card(services, part)
    page.tab.select(lambda: message(services.library.room_line()), None, part.message, **LIGHT)
    return part


# What is where


def lay_out(services: Services, page: Page) -> AdaptersPart:
    """Puts the components on the page, from top to bottom."""
    gr.HTML(words_train.ADAPTERS_HTML, elem_classes="section")
    importing = lay_out_import(services)
    note = message_line(words_train.ADAPTERS, "shared-note")
    widths = WIDTHS if services.store.adapters else None  # no key would reach an empty list that scrolls sideways
    rows = text_table(words_train.ADAPTERS, words_train.ADAPTER_COLUMNS, widths, "earlier", "adapters-table")
    return AdaptersPart(importing, note, rows, lay_out_card(), page.owner, gr.State(None))


def lay_out_import(services: Services) -> ImportControls:
    """A name, and where the adapter comes from."""
    permitted = services.library.can_fetch
    with gr.Row(elem_classes="bring"):
        name = gr.Textbox(max_lines=1, max_length=40, min_width=180, **control("import_name"))
        hub_id = gr.Textbox(max_lines=1, max_length=200, min_width=220, visible=permitted, **control("hub_id"))
        with gr.Column(min_width=170, scale=0, elem_classes="run"):
            upload = gr.UploadButton(words_train.IMPORT_ZIP, size="sm")
            hub = gr.Button(words_train.IMPORT_FROM_HUB, size="sm", visible=permitted)
    return ImportControls(name, upload, hub_id, hub)


# Which event calls what


def wire_import(services: Services, part: AdaptersPart) -> None:
    """An adapter from a zip, or from the Hub."""
    importing = part.importing
    options: dict[str, Any] = {"api_visibility": "private", "show_progress_on": part.message} | HEAVY
    from_zip = partial(or_message, part.message, partial(on_zip, services, part))
    importing.upload.upload(from_zip, [importing.upload, importing.name, part.owner], part.outputs, **options)
    from_hub = partial(or_message, part.message, partial(on_hub, services, part))
    importing.hub.click(from_hub, [importing.hub_id, importing.name, part.owner], part.outputs, **options)


def wire_card(services: Services, part: AdaptersPart) -> None:
    """Opening a card, and what can be done with its adapter."""
    card = part.card

    def on_select(secret: Any, event: gr.SelectData) -> Values:
        return or_message(part.message, open_card, services, part, cell_of(event, 0), secret)

    part.rows.select(on_select, part.owner, part.outputs, **LIGHT)
    for button, make in ((card.download, partial(new_zip, services)), (card.merge, services.library.merged)):
        hand_out_on_click(button, partial(on_download, make), part.name, part.message, **HEAVY)
    push = partial(or_message, part.message, partial(on_push, services, part))
    options: dict[str, Any] = {"api_visibility": "private", "show_progress_on": part.message} | HEAVY
    card.push.click(push, [part.name, card.repository, part.owner], [part.message], **options)
    delete = partial(or_message, part.message, partial(on_delete, services, part))
    card.delete.yes.click(delete, [part.name, part.owner], part.outputs, **LIGHT)


# Handlers: values in, values out


def show_rows(services: Services, part: AdaptersPart, secret: Any) -> Values:
    """The adapters that there are now."""
    return {part.rows: adapter_rows(services, secret)}


def on_zip(services: Services, part: AdaptersPart, path: Any, name: Any, secret: Any) -> Values:
    """An adapter from an uploaded zip. Raises UserError."""
    name = str(name or "").strip()
    services.library.import_zip(uploaded(path), name, own_owner(secret))
    return imported(services, part, name, secret)


def on_hub(services: Services, part: AdaptersPart, repo: Any, name: Any, secret: Any) -> Values:
    """An adapter from the Hub. Raises UserError."""
    name = str(name or "").strip()
    services.library.import_from_hub(str(repo or "").strip(), name, own_owner(secret))
    return imported(services, part, name, secret)


def open_card(services: Services, part: AdaptersPart, name: Any, secret: Any) -> Values:
    """The card of an adapter. Raises UserError."""
    found = find_card(services, name, secret)
    return {part.name: found.adapter.name} | card_updates(services, part.card, found)


def on_download(make: Callable[[str, Path], Path], folder: Path, name: Any) -> tuple[str | None, Marked]:
    """A file that `make` writes of the adapter within `folder`, or what is wrong."""
    try:
        if not isinstance(name, str):
            raise UserError(words_train.NO_SUCH_ADAPTER)
        return str(make(name, folder)), []
    except UserError as error:
        return None, message(str(error), is_error=True)


def new_zip(services: Services, name: str, folder: Path) -> Path:
    """A zip in a new folder, so that two visitors do not write one file. Raises UserError."""
    return services.library.zip(name, Path(tempfile.mkdtemp(dir=folder)))


def on_push(services: Services, part: AdaptersPart, name: Any, repo: Any, secret: Any) -> Values:
    """Sends one's own adapter to the Hub. Raises UserError."""
    if not find_card(services, name, secret).mine:
        raise UserError(words_train.NOT_YOUR_ADAPTER)
    address = services.library.push(name, str(repo or "").strip())
    return {part.message: message(words_train.PUSHED.format(address=address))}


def on_delete(services: Services, part: AdaptersPart, name: Any, secret: Any) -> Values:
    """Deletes one's own adapter. Raises UserError."""
    if not find_card(services, name, secret).mine:
        raise UserError(words_train.NOT_YOUR_ADAPTER)
    services.library.delete(name, owner_of(secret))
    return show_rows(services, part, secret) | {
        part.message: message(words_train.DELETED.format(name=name)),
        part.card.column: gr.update(visible=False),
        part.name: None,
    }


# Between components and data


def own_owner(secret: Any) -> str:
    """Who takes something in; raises UserError for a browser that keeps no secret, which could never delete it."""
    if (owner := owner_of(secret)) is None:
        raise UserError(text.NO_OWNER)
    return owner


def imported(services: Services, part: AdaptersPart, name: str, secret: Any) -> Values:
    """The list with a new adapter, whose card is open."""
    opened = show_rows(services, part, secret) | open_card(services, part, name, secret)
    return opened | {part.message: message(words_train.IMPORTED.format(name=name))}
