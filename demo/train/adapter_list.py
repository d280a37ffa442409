"""The list of adapters on the Train tab: imports, the card of one, downloads, and deleting."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from adapters.methods import UserError
from demo.parts import words as common
from demo.parts.actions import hand_out_on_click
from demo.parts.events import LIGHT, or_message, slow, told
from demo.parts.links import owner_of
from demo.parts.marked import Marked, Values, message, message_line
from demo.parts.tables import text_table
from demo.parts.views import Page, cell_of
from demo.services import Services
from demo.train import words
from demo.train.adapter_card import CardPart, card_updates, lay_out_card
from demo.train.cards import adapter_rows, find_card
from demo.train.form import uploaded
from demo.train.words import control

WIDTHS = [150, 130, 170, 130, 200, 130, 150]  # px, of the columns of the list
TURN = "library"  # one at a time: a merged model takes memory


class ImportControls(NamedTuple):
    """The components that import an adapter."""

    name: gr.Textbox
    hub_id: gr.Textbox
    upload: gr.UploadButton
    hub: gr.Button


class AdaptersPart(NamedTuple):
    """The components of the section; `name` is the adapter of the open card, or None."""

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


def lay_out(services: Services, page: Page) -> AdaptersPart:
    """The components, from top to bottom."""
    gr.HTML(words.ADAPTERS_HTML, elem_classes="section")
    importing = lay_out_import(services)
    note = message_line(words.ADAPTERS, "shared-note")
    widths = WIDTHS if services.store.adapters else None  # no key would reach an empty list that scrolls sideways
    rows = text_table(words.ADAPTERS, words.ADAPTER_COLUMNS, widths, "earlier", "adapters-table")
    return AdaptersPart(importing, note, rows, lay_out_card(), page.owner, gr.State(None))


def lay_out_import(services: Services) -> ImportControls:
    """A name, and the source of the adapter."""
    permitted = services.library.can_fetch
    with gr.Row(elem_classes="bring"):
        name = gr.Textbox(max_lines=1, max_length=40, min_width=180, **control("import_name"))
        hub_id = gr.Textbox(max_lines=1, max_length=200, min_width=220, visible=permitted, **control("hub_id"))
        with gr.Column(min_width=170, scale=0, elem_classes="run"):
            upload = gr.UploadButton(words.IMPORT_ZIP, size="sm")
            hub = gr.Button(words.IMPORT_FROM_HUB, size="sm", visible=permitted)
    return ImportControls(name, hub_id, upload, hub)


def wire_import(services: Services, part: AdaptersPart) -> None:
    """Import from a zip, or from the Hub."""
    importing, options = part.importing, slow(part.message, TURN)
    from_zip = told(part.message, on_zip, services, part)
    importing.upload.upload(from_zip, [importing.upload, importing.name, part.owner], part.outputs, **options)
    from_hub = told(part.message, on_hub, services, part)
    importing.hub.click(from_hub, [importing.hub_id, importing.name, part.owner], part.outputs, **options)


def wire_card(services: Services, part: AdaptersPart) -> None:
    """Opening a card, and its buttons."""
    card = part.card

    def on_select(secret: Any, event: gr.SelectData) -> Values:
        return or_message(part.message, open_card, services, part, cell_of(event, 0), secret)

    part.rows.select(on_select, part.owner, part.outputs, **LIGHT)
    turn = {"concurrency_id": TURN, "concurrency_limit": 1}
    for button, make in ((card.download, partial(new_zip, services)), (card.merge, services.library.merged)):
        hand_out_on_click(button, partial(on_download, make), part.name, part.message, **turn)
    push = told(part.message, on_push, services, part)
    card.push.click(push, [part.name, card.repository, part.owner], part.message, **slow(part.message, TURN))
    delete = told(part.message, on_delete, services, part)
    card.delete.yes.click(delete, [part.name, part.owner], part.outputs, **LIGHT)


# Handlers: values in, values out


def show_rows(services: Services, part: AdaptersPart, secret: Any) -> Values:
    """The current list."""
    return {part.rows: adapter_rows(services, secret)}


def on_zip(services: Services, part: AdaptersPart, path: Any, name: Any, secret: Any) -> Values:
    """Import an uploaded zip. Raises UserError."""
    return imported(services, part, partial(services.library.import_zip, uploaded(path)), name, secret)


def on_hub(services: Services, part: AdaptersPart, repo: Any, name: Any, secret: Any) -> Values:
    """Import from the Hub. Raises UserError."""
    source = partial(services.library.import_from_hub, str(repo or "").strip())
    return imported(services, part, source, name, secret)


def imported(services: Services, part: AdaptersPart, source: Callable[..., Any], name: Any, secret: Any) -> Values:
    """The list with the new adapter, its card open. Raises UserError, also for a browser that could never delete it."""
    name = str(name or "").strip()
    if (owner := owner_of(secret)) is None:
        raise UserError(common.NO_OWNER)
    source(name, owner)
    opened = show_rows(services, part, secret) | open_card(services, part, name, secret)
    return opened | {part.message: message(words.IMPORTED.format(name=name))}


def open_card(services: Services, part: AdaptersPart, name: Any, secret: Any) -> Values:
    """The card of an adapter. Raises UserError."""
    found = find_card(services, name, secret)
    return {part.name: found.adapter.name} | card_updates(services, part.card, found)


def on_download(make: Callable[[str, Path], Path], folder: Path, name: Any) -> tuple[str | None, Marked]:
    """The file that `make` writes of the adapter within `folder`, or the error."""
    try:
        if not isinstance(name, str):
            raise UserError(words.NO_SUCH_ADAPTER)
        return str(make(name, folder)), []
    except UserError as error:
        return None, message(str(error), is_error=True)


def new_zip(services: Services, name: str, folder: Path) -> Path:
    """A zip in a new folder, so that two visitors do not write one file. Raises UserError."""
    return services.library.zip(name, Path(tempfile.mkdtemp(dir=folder)))


def on_push(services: Services, part: AdaptersPart, name: Any, repo: Any, secret: Any) -> Values:
    """Send an own adapter to the Hub. Raises UserError."""
    check_own(services, name, secret)
    address = services.library.push(name, str(repo or "").strip())
    return {part.message: message(words.PUSHED.format(address=address))}


def on_delete(services: Services, part: AdaptersPart, name: Any, secret: Any) -> Values:
    """Delete an own adapter. Raises UserError."""
    check_own(services, name, secret)
    services.library.delete(name, owner_of(secret))
    return show_rows(services, part, secret) | {
        part.message: message(words.DELETED.format(name=name)),
        part.card.column: gr.update(visible=False),
        part.name: None,
    }


def check_own(services: Services, name: Any, secret: Any) -> None:
    """Raises UserError where the adapter is not this browser's own."""
    if not find_card(services, name, secret).mine:
        raise UserError(words.NOT_YOUR_ADAPTER)
