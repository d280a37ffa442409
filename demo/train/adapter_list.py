"""The list of adapters on the Train tab: imports, downloads, deleting, and the card of the one that is chosen.

Nothing of a card is read as Markdown or HTML, since an adapter may come from anywhere.
"""

import tempfile
from collections.abc import Callable
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.blocks import Block

from adapters.decoding.visitors import UPLOADS
from adapters.methods import UserError, to_json
from adapters.store.adapter_store import Adapter
from adapters.training.card import Report
from demo.parts import words as common
from demo.parts.actions import build_confirm, hand_out_on_click
from demo.parts.events import LIGHT, slow, told
from demo.parts.links import is_own, owner_of
from demo.parts.marked import Marked, Values, marked_text, message, message_line
from demo.parts.numbers import PROMPT, Span
from demo.parts.tables import facts_table, text_table
from demo.parts.uploads import find_adapter
from demo.parts.views import Page
from demo.parts.words import duration, percent
from demo.services import Services
from demo.train import words
from demo.train.figures import loss_curve
from demo.train.form import uploaded
from demo.train.words import control

FILE_BYTES = 2  # of a parameter on disk
SHOW_CARD = "() => document.querySelector('.card')?.scrollIntoView({behavior: 'smooth', block: 'start'})"
TURN = "library"  # one at a time: a merged model takes memory


class CardPart:
    def __init__(self) -> None:
        with gr.Column(visible=False, elem_classes="stack results card") as self.column:
            with gr.Row(elem_classes=["head-row", "card-head"]):
                self.head = gr.HTML(elem_classes="link-head")
                with gr.Row(elem_classes="below"):
                    self.download = gr.Button(words.DOWNLOAD, size="sm", min_width=0, scale=0)
                    self.merge = gr.Button(words.MERGE, size="sm", min_width=0, scale=0)
                    self.delete = build_confirm(common.DELETE_ADAPTER_QUESTION)
            with gr.Row(visible=False, elem_classes="bring") as self.push_row:
                self.repository = gr.Textbox(max_lines=1, max_length=200, scale=3, **control("repository"))
                self.push = gr.Button(words.PUSH, size="sm", scale=0, min_width=170)
            with gr.Column(elem_classes="stack") as self.measured:
                with gr.Row(elem_classes="plots"):
                    with gr.Column(min_width=280):
                        self.figures = text_table(words.FIGURES, words.FIGURES_COLUMNS, None, "facts")
                        self.curve = gr.Plot(label=words.CURVE, show_label=False)
                    with gr.Column(min_width=280, elem_classes="pane samples"):
                        self.samples = marked_text(words.CONTINUATIONS, "pane-text")
                with gr.Accordion(words.HOW, open=False):
                    self.facts = facts_table()
            with gr.Accordion(words.CARD_FILE, open=False):
                readme = control("readme", interactive=False)
                self.readme = gr.Textbox(lines=8, max_lines=30, buttons=["copy"], **readme)
        buttons: list[Block] = [self.merge, self.delete.ask, self.delete.row, self.push_row]
        shown = [self.measured, self.figures, self.curve, self.samples, self.facts, self.readme]
        self.outputs = [self.column, self.head, *buttons, *shown]  # everything that opening a card changes


class AdaptersPart:
    def __init__(self, services: Services, page: Page) -> None:
        gr.HTML(words.ADAPTERS_HTML, elem_classes="section")
        can_fetch = services.library.can_fetch
        self.message = message_line(words.ADAPTERS, "shared-note")
        self.rows = gr.Radio([], label=words.ADAPTERS, show_label=False, interactive=True, elem_classes="adapter-cards")
        self.card, self.owner = CardPart(), page.owner
        with gr.Accordion(words.IMPORT, open=False), gr.Row(elem_classes="bring"):
            self.import_name = gr.Textbox(max_lines=1, max_length=40, min_width=180, **control("import_name"))
            self.hub_id = gr.Textbox(max_lines=1, max_length=200, min_width=220, visible=can_fetch, **control("hub_id"))
            with gr.Column(min_width=170, scale=0, elem_classes="run"):
                self.upload = gr.UploadButton(words.IMPORT_ZIP, size="sm")
                self.hub = gr.Button(words.IMPORT_FROM_HUB, size="sm", visible=can_fetch)
        self.name = gr.State(None)  # of the adapter whose card is open
        self.outputs = [self.message, self.rows, self.name, *self.card.outputs]


def adapters_section(services: Services, page: Page) -> AdaptersPart:
    """The section, laid out and wired but for what fills the list when the tab is opened."""
    with gr.Column(elem_classes="stack next-section"):
        part = AdaptersPart(services, page)
    wire_adapters(services, part)
    page.tab.select(lambda: message(services.library.room_line()), None, part.message, **LIGHT)
    return part


def wire_adapters(services: Services, part: AdaptersPart) -> None:
    options = slow(part.message, TURN)
    from_zip, from_hub = (told(part.message, handler, services, part) for handler in (on_zip, on_hub))
    part.upload.upload(from_zip, [part.upload, part.import_name, part.owner], part.outputs, **options)
    part.hub.click(from_hub, [part.hub_id, part.import_name, part.owner], part.outputs, **options)
    card = part.card
    open_it = told(part.message, open_card, services, part)

    def on_select(secret: Any, event: gr.SelectData) -> Values:
        return open_it(event.value, secret)

    opened = part.rows.select(on_select, part.owner, part.outputs, **LIGHT)
    opened.then(None, None, None, js=SHOW_CARD, **LIGHT)
    turn = {"concurrency_id": TURN, "concurrency_limit": 1}
    for button, make in ((card.download, partial(new_zip, services)), (card.merge, services.library.merged)):
        hand_out_on_click(button, partial(on_download, make), part.name, part.message, **turn)
    push, delete = (told(part.message, handler, services, part) for handler in (on_push, on_delete))
    card.push.click(push, [part.name, card.repository, part.owner], part.message, **slow(part.message, TURN))
    card.delete.yes.click(delete, [part.name, part.owner], part.outputs, **LIGHT)


def adapter_rows(services: Services, secret: Any) -> list[tuple[str, str]]:
    """The text of a small card and the name of each usable adapter, in the order of the panes' choices."""
    return [(small_card(services, adapter, secret), adapter.name) for adapter in services.store.adapters]


def small_card(services: Services, adapter: Adapter, secret: Any) -> str:
    """Name, method, size and owner, fit and forgetting, in lines."""
    owner, report = services.library.owner(adapter.name), report_of(services, adapter.name)
    whose = words.SHIPPED if owner is None else words.MINE if is_own(owner, secret) else words.SOMEBODY
    method = f"{words.METHOD_NAMES[adapter.kind]}, {words.size_name(adapter.kind, adapter.size)}"
    about = f"{method} · {words.num_bytes(FILE_BYTES * adapter.num_parameters)} · {whose}"
    return "\n".join([adapter.name, about, *(words.fit_lines(report) if report else [])])


def on_zip(services: Services, part: AdaptersPart, path: Any, name: Any, secret: Any) -> Values:
    return imported(services, part, partial(services.library.import_zip, uploaded(path)), name, secret)


def on_hub(services: Services, part: AdaptersPart, repo: Any, name: Any, secret: Any) -> Values:
    source = partial(services.library.import_from_hub, str(repo or "").strip())
    with services.allowance.spend(UPLOADS):
        return imported(services, part, source, name, secret)


def imported(services: Services, part: AdaptersPart, source: Callable[..., Any], name: Any, secret: Any) -> Values:
    """The list with the new adapter, its card open. Raises UserError, also for a browser that could never delete it."""
    name = str(name or "").strip()
    if (owner := owner_of(secret)) is None:
        raise UserError(common.NO_OWNER)
    source(name, owner)
    said: Values = {
        part.message: message(words.IMPORTED.format(name=name)),
        part.rows: gr.update(choices=adapter_rows(services, secret)),
    }
    return open_card(services, part, name, secret) | said


def open_card(services: Services, part: AdaptersPart, name: Any, secret: Any) -> Values:
    """The card of an adapter. Raises UserError where it is gone."""
    adapter, card = find_adapter(services, name), part.card
    report, mine = report_of(services, adapter.name), is_mine(services, adapter, secret)
    updates: Values = {
        part.name: adapter.name,
        card.column: gr.update(visible=True),
        card.head: f"<h2>{escape(adapter.name)}</h2><p>{escape(summary(adapter, services))}</p>",
        card.merge: gr.update(visible=adapter.kind == "lora"),
        card.delete.ask: gr.update(visible=mine),
        card.delete.row: gr.update(visible=False),
        card.push_row: gr.update(visible=mine and services.library.can_push),
        card.measured: gr.update(visible=report is not None),
        card.readme: services.library.card(adapter.name) or words.NO_CARD,
    }
    if report is None:
        return updates
    curve = loss_curve(report.curve, report.steps, adapter.kind) if report.curve else None
    return updates | {
        card.figures: figures(report),
        card.curve: gr.update(value=curve, visible=curve is not None),
        card.samples: continuation_spans(report),
        card.facts: facts(report),
    }


def on_download(make: Callable[[str, Path], Path], folder: Path, name: Any) -> tuple[str, Marked]:
    """The file that `make` writes of the adapter within `folder`. Raises UserError."""
    if not isinstance(name, str):
        raise UserError(common.NO_SUCH_ADAPTER)
    return str(make(name, folder)), []


def new_zip(services: Services, name: str, folder: Path) -> Path:
    """A zip in a new folder, so that two visitors do not write one file. Raises UserError."""
    return services.library.zip(name, Path(tempfile.mkdtemp(dir=folder)))


def on_push(services: Services, part: AdaptersPart, name: Any, repo: Any, secret: Any) -> Values:
    check_own(services, name, secret)
    address = services.library.push(name, str(repo or "").strip())
    return {part.message: message(words.PUSHED.format(address=address))}


def on_delete(services: Services, part: AdaptersPart, name: Any, secret: Any) -> Values:
    check_own(services, name, secret)
    services.library.delete(name, owner_of(secret))
    return {
        part.rows: gr.update(choices=adapter_rows(services, secret), value=None),
        part.message: message(words.DELETED.format(name=name)),
        part.card.column: gr.update(visible=False),
        part.name: None,
    }


def check_own(services: Services, name: Any, secret: Any) -> None:
    if not is_mine(services, find_adapter(services, name), secret):
        raise UserError(words.NOT_YOUR_ADAPTER)


def is_mine(services: Services, adapter: Adapter, secret: Any) -> bool:
    return is_own(services.library.owner(adapter.name), secret)


def report_of(services: Services, name: str) -> Report | None:
    """The report of an adapter; None where it has none, or it cannot be read."""
    try:
        return services.library.report(name)
    except UserError:
        return None


def summary(adapter: Adapter, services: Services) -> str:
    parts = [words.METHOD_NAMES[adapter.kind], words.size_name(adapter.kind, adapter.size)]
    share = percent(adapter.num_parameters / services.num_parameters)
    return " · ".join([*parts, f"{adapter.num_parameters:,} parameters, {share} of the base model"])


def figures(report: Report) -> list[list[str]]:
    base, adapter = report.base_scores, report.adapter_scores
    lines = [(words.TEXT_PERPLEXITY, base.text_perplexity, adapter.text_perplexity)]
    if base.perplexity != base.text_perplexity:
        lines.append((words.PERPLEXITY, base.perplexity, adapter.perplexity))
    lines.append((words.GENERAL_PERPLEXITY, base.general_perplexity, adapter.general_perplexity))
    rows = [[what, f"{before:.2f}", f"{after:.2f}", f"{after / before:.2f}"] for what, before, after in lines]
    if base.exact_match is not None and adapter.exact_match is not None:
        rows.append([words.EXACT, percent(base.exact_match), percent(adapter.exact_match), ""])
    return rows


def facts(report: Report) -> list[list[str]]:
    settings = to_json(report.settings)
    return [
        [words.DATA, report.about],
        [words.LICENCE, report.licence],
        [words.SPLIT, f"{report.training_rows:,} to train, {report.validation_rows:,} held out"],
        [words.TOOK, f"{report.steps} steps in {duration(report.seconds)}, kept: step {report.best_step}"],
        *([name, words.setting(value)] for name, value in (settings.pop("adapter") | settings).items()),
        [words.MACHINE, report.machine],
        [words.COMMAND, report.command],
    ]


def continuation_spans(report: Report) -> list[Span]:
    spans: list[Span] = []
    for index, sample in enumerate(report.samples):
        spans += [("\n\n" if index else "", None), (sample.prompt, PROMPT), (sample.continuation, None)]
    return [span for span in spans if span[0]]
