"""The Inside tab: a LoRA by its matrices, a prefix by its words and their attention; what methods cost."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import gradio as gr
from gradio.blocks import Block

from adapters.decoding.visitors import XRAYS
from adapters.learned.costs import COLUMNS, about, rows
from adapters.methods import UserError
from adapters.store.adapter_store import Adapter
from demo.inside import figures, words
from demo.inside.words import control
from demo.look.theme import script
from demo.parts import words as common
from demo.parts.actions import as_file, save_on_click
from demo.parts.events import LIGHT, LOOK, slow, told
from demo.parts.marked import Marked, Values, message, message_line
from demo.parts.plots import plot
from demo.parts.running import closed_at_end
from demo.parts.tables import text_table
from demo.parts.uploads import find_adapter, read_prompt
from demo.parts.views import Page, filled
from demo.services import Services

MAX_PROMPT = 4_000  # characters
COST_WIDTHS = [150, 150, 110, 190, 190, 130]  # px; on a phone the table scrolls sideways
CLICK = script("cell.js")


class InsideView:
    """What is chosen, then a column for a LoRA and one for a prefix: one of the two is visible."""

    def __init__(self) -> None:
        gr.HTML(words.INSIDE_HTML, elem_classes="section")
        with gr.Row(elem_classes="bring"):
            self.adapter = gr.Dropdown([], allow_custom_value=True, scale=3, min_width=220, **control("adapter"))
            with gr.Column(min_width=170, scale=0, elem_classes="run"):
                self.save = gr.Button(words.SAVE_NUMBERS, size="sm")
        self.message = message_line(words.INSIDE, "stands-out")
        with gr.Column(visible=False, elem_classes="stack") as self.lora:
            self.lay_out_lora()
        with gr.Column(visible=False, elem_classes="stack") as self.prefix:
            self.lay_out_prefix()
        of_lora = [self.model, self.module, self.module_line, *self.squares, self.numbers, self.ranks, self.singular]
        self.of_prefix: list[Block] = [self.words, self.watched, self.far, self.seen]
        self.outputs: list[Block] = [self.message, self.adapter, self.lora, self.prefix, *of_lora, *self.of_prefix]

    def lay_out_lora(self) -> None:
        """The picture of the model, then the matrix that was clicked."""
        gr.HTML(words.MODEL_HTML, elem_classes="figure-title")
        self.model = gr.HTML(js_on_load=CLICK, elem_classes="model-picture")
        self.module = gr.Dropdown([], allow_custom_value=True, **control("module"))
        with gr.Row(elem_classes="plots"):
            self.squares = [plot(title) for title in (words.WEIGHT, words.CHANGE, words.ADAPTED)]
        gr.HTML(f"<p>{words.SQUARES_HELP}</p>", elem_classes="help")
        with gr.Accordion(words.DETAILS, open=False):
            self.numbers, self.module_line = (message_line(words.DETAILS, "step-line") for _ in range(2))
            with gr.Row(elem_classes="plots"):
                self.ranks, self.singular = plot(words.RANKS), plot(words.SINGULAR)
            gr.HTML(f"<p>{words.LORA_HELP}</p>", elem_classes="help")

    def lay_out_prefix(self) -> None:
        gr.HTML(f"<h3>{words.WORDS}</h3>", elem_classes="figure-title")
        self.words = text_table(words.WORDS, words.WORD_COLUMNS, [72, 180, 104, 84, 330], max_height=620)
        gr.HTML(f"<p>{words.WORDS_HELP}</p>", elem_classes="help")
        text = {"lines": 2, "max_lines": 6, "max_length": MAX_PROMPT} | control("watch")
        with gr.Row(elem_classes="bring"):
            self.prompt = gr.Textbox(words.PROMPT, scale=3, min_width=260, **text)
            with gr.Column(min_width=150, scale=0, elem_classes="run"):
                self.watch = gr.Button(words.WATCH, size="sm")
        self.watched = message_line(words.ATTENTION, "step-line")
        with gr.Accordion(words.PREFIX_DETAILS, open=False):
            with gr.Row(visible=False, elem_classes="plots") as self.seen:
                self.attention, self.tokens = plot(words.ATTENTION), plot(words.BY_TOKEN)
            with gr.Column(visible=False) as self.far:  # an empty plot is nothing to look at
                self.moved = plot(words.MOVED)
            gr.HTML(f"<p>{words.ATTENTION_HELP}</p>", elem_classes="help")


def inside_tab(services: Services, page: Page) -> None:
    with gr.Column(elem_classes="stack"):
        view = InsideView()
        costs_section(services, page)

    def on_cell(name: Any, event: gr.EventData) -> Values:
        return show_module(services, view, name, event._data.get("module"))

    show, fill = (told(view.message, handler, services, view) for handler in (show_adapter, fill_words))
    opened = [page.blocks.load, page.tab.select, view.adapter.input]
    chosen = gr.on(opened, show, view.adapter, view.outputs, **LIGHT)
    options = slow(view.message, "learned")
    filled_in = chosen.then(fill, view.adapter, [view.message, view.words, view.far, view.moved], **options)
    redraw = told(view.message, show_module, services, view)
    view.module.input(redraw, [view.adapter, view.module], view.outputs, **LIGHT)
    view.model.click(on_cell, view.adapter, view.outputs, **LIGHT)
    looked = [view.adapter, view.prompt]
    shown = [view.message, view.watched, view.words, view.seen, view.attention, view.tokens]
    first, again = (partial(handler, services, view) for handler in (watch_prefix, watch))
    if services.engine.far is None:  # else it takes of a visitor's time on a GPU, who has not asked for it
        watched = filled_in.then(first, looked, shown, **slow(view.watched, LOOK))
        view.adapter.input(None, cancels=[watched])  # what it says would be of the adapter before
    gr.on([view.watch.click, view.prompt.submit], again, looked, shown, **slow(view.watched, LOOK))
    save_on_click(view.save, partial(on_save, services), view.adapter, view.message)


def show_adapter(services: Services, view: InsideView, name: Any) -> Values:
    """The chosen adapter, or the first where none is chosen yet. Raises UserError where it is gone."""
    names = [adapter.name for adapter in services.store.adapters]
    if not names:
        raise UserError(words.NO_ADAPTERS)
    adapter = find_adapter(services, name or names[0])
    is_lora = adapter.kind == "lora"
    updates: Values = {
        view.adapter: gr.update(choices=names, value=adapter.name),
        view.lora: gr.update(visible=is_lora),
        view.prefix: gr.update(visible=not is_lora),
    }
    if is_lora:
        return updates | show_lora(services, view, adapter)
    line = words.prefix_line(adapter.name, adapter.size, adapter.num_parameters, services.num_parameters)
    hidden = dict.fromkeys([view.seen, view.far], gr.update(visible=False))
    return updates | hidden | {view.words: [], view.watched: message(words.LOOKING), view.message: message(line)}


def show_lora(services: Services, view: InsideView, adapter: Adapter) -> Values:
    found = list(services.explorer.updates(adapter.name))
    ordered = sorted(found, key=lambda update: -update.relative)
    choices = [(words.place_of(update), update.path) for update in ordered]
    return {
        view.message: message(words.stands_out(adapter.name, found)),
        view.numbers: message(words.lora_line(adapter.name, found, services.num_parameters)),
        view.ranks: figures.ranks(found),
    } | show_module(services, view, adapter.name, ordered[0].path, choices)


def show_module(services: Services, view: InsideView, name: Any, path: Any, choices: Any = None) -> Values:
    """One matrix of a LoRA; `choices` for a new LoRA. Raises UserError."""
    crop = services.explorer.crop(find_adapter(services, name).name, str(path))
    found = services.explorer.updates(name)
    update = next(one for one in found if one.path == crop.path)
    shown: Values = {
        view.model: figures.model_html(found, crop.path),
        view.module: gr.update(value=crop.path) if choices is None else gr.update(choices=choices, value=crop.path),
        view.module_line: message(words.module_line(update)),
        view.singular: figures.singular(update),
    }
    return shown | dict(zip(view.squares, figures.squares(crop), strict=True))


def fill_words(services: Services, view: InsideView, name: Any) -> Values:
    """The words of a prefix, which take seconds when it is chosen for the first time; nothing of a LoRA."""
    adapter = services.adapter(name)
    if adapter is None or adapter.kind != "prefix":
        return {view.message: gr.skip()}
    tokens = services.explorer.words(adapter.name)
    moved = figures.moved(tokens)
    return {
        view.message: gr.skip(),
        view.words: figures.words_table(tokens),
        view.far: gr.update(visible=moved is not None),
        view.moved: moved,
    }


def watch_prefix(services: Services, view: InsideView, name: Any, prompt: Any) -> Iterator[Values]:
    """Measure the attention to a prefix that was chosen; nothing for a LoRA. Raises UserError."""
    adapter = services.adapter(name)
    if adapter is None or adapter.kind != "prefix":
        yield {view.watched: gr.skip()}
    else:
        yield from watch(services, view, name, prompt)


def watch(services: Services, view: InsideView, name: Any, prompt: Any) -> Iterator[Values]:
    """Write with a prefix, then show what the tokens looked at. Raises UserError."""
    adapter = find_adapter(services, name)
    prompt = read_prompt(prompt, MAX_PROMPT, words.NO_PROMPT)
    with services.allowance.spend(XRAYS), closed_at_end(services.explorer.watch(adapter.name, prompt)) as steps:
        for seen in steps:
            if seen.attention is None:
                yield {view.watched: message(words.WATCHING.format(tokens=len(seen.tokens)))}
            else:
                yield {
                    view.message: message(words.watched_line(adapter.name, seen)),
                    view.watched: message(words.WRITTEN.format(text=common.quote("".join(seen.tokens)))),
                    view.words: figures.words_table(services.explorer.words(adapter.name), seen.attention),
                    view.seen: gr.update(visible=True),
                    view.attention: figures.by_virtual(seen.attention.layers, ".1%"),
                    view.tokens: figures.by_token(seen.attention, seen.tokens),
                }


def on_save(services: Services, name: Any) -> tuple[dict[str, str], Marked]:
    adapter = find_adapter(services, name)
    return as_file(f"{adapter.name}.json", services.explorer.as_json(adapter.name)), []


def costs_section(services: Services, page: Page) -> None:
    """What each method costs, as it was measured last."""
    gr.HTML(words.COSTS_HTML, elem_classes="section")
    line, table = message_line(words.COSTS, "step-line"), text_table(words.COSTS, COLUMNS, COST_WIDTHS)
    parts: list[Block] = [line, table]
    show = filled(line, parts, partial(show_costs, services))
    gr.on([page.blocks.load, page.tab.select], show, None, parts, **LIGHT)


def show_costs(services: Services) -> tuple[Marked, list[list[str]]]:
    """The figures that were measured last, and what they are of. Raises UserError for a damaged file."""
    costs = services.costs()
    return (message(words.NOT_MEASURED), []) if costs is None else (message(about(costs)), rows(costs))
