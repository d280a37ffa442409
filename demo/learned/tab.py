"""What one adapter has learned: a LoRA by its matrices, a prefix by its words and its attention."""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import gradio as gr

from adapters.methods import UserError
from adapters.store.adapter_store import Adapter
from demo.learned import figures, words
from demo.learned.costs_view import costs_section
from demo.learned.words import control
from demo.parts import words as common
from demo.parts.actions import as_file, save_on_click
from demo.parts.events import LIGHT, slow, told
from demo.parts.marked import Marked, Values, message, message_line
from demo.parts.plots import plot
from demo.parts.running import closed_at_end
from demo.parts.tables import text_table
from demo.parts.views import Page
from demo.services import Services

MAX_PROMPT = 4_000  # characters


class LoraPart(NamedTuple):
    """The components that show a LoRA."""

    column: gr.Column
    norms: gr.Plot
    ranks: gr.Plot
    module: gr.Dropdown
    line: gr.HighlightedText
    singular: gr.Plot
    squares: tuple[gr.Plot, ...]  # W, what is added, both


class PrefixPart(NamedTuple):
    """The components that show a prefix."""

    column: gr.Column
    words: gr.Dataframe
    far: gr.Column  # around `moved`: an empty plot is nothing to look at
    moved: gr.Plot
    prompt: gr.Textbox
    watch: gr.Button
    line: gr.HighlightedText
    seen: gr.Row  # around the two below
    attention: gr.Plot
    tokens: gr.Plot


class LearnedView(NamedTuple):
    """The components."""

    adapter: gr.Dropdown
    save: gr.Button
    message: gr.HighlightedText
    lora: LoraPart
    prefix: PrefixPart


def learned_tab(services: Services, page: Page) -> None:
    """The tab, laid out and wired."""
    with gr.Column(elem_classes="stack"):
        view = lay_out_learned()
        costs_section(services, page)
    lora, prefix = view.lora, view.prefix
    of_lora = [lora.column, lora.norms, lora.ranks, lora.module, lora.line, lora.singular, *lora.squares]
    of_prefix = [prefix.column, prefix.line, prefix.seen, prefix.words, prefix.far]
    show = told(view.message, show_adapter, services, view)
    chosen = gr.on(
        [page.blocks.load, page.tab.select, view.adapter.input],
        show,
        view.adapter,
        [view.message, view.adapter, *of_lora, *of_prefix],
        **LIGHT,
    )
    fill = told(view.message, fill_words, services, view)
    chosen.then(
        fill,
        view.adapter,
        [view.message, prefix.words, prefix.far, prefix.moved],
        **slow(view.message, "learned"),
    )
    redraw = told(view.message, show_module, services, view)
    one = [view.message, lora.line, lora.singular, *lora.squares]
    lora.module.input(redraw, [view.adapter, lora.module], one, **LIGHT)
    watching, options = partial(watch, services, view), slow(prefix.line, "model")
    shown = [prefix.line, prefix.seen, prefix.attention, prefix.tokens]
    gr.on([prefix.watch.click, prefix.prompt.submit], watching, [view.adapter, prefix.prompt], shown, **options)
    save_on_click(view.save, partial(on_save, services), view.adapter, view.message)


# What is where


def lay_out_learned() -> LearnedView:
    """Puts the components on the page."""
    gr.HTML(words.LEARNED_HTML, elem_classes="section")
    with gr.Row(elem_classes="bring"):
        adapter = gr.Dropdown([], allow_custom_value=True, scale=3, min_width=220, **control("adapter"))
        with gr.Column(min_width=170, scale=0, elem_classes="run"):
            save = gr.Button(words.SAVE_NUMBERS, size="sm")
    line = message_line(words.LEARNED, "shared-note")
    with gr.Column(visible=False, elem_classes="stack") as column:
        lora = lay_out_lora(column)
    with gr.Column(visible=False, elem_classes="stack") as column:
        prefix = lay_out_prefix(column)
    return LearnedView(adapter, save, line, lora, prefix)


def lay_out_lora(column: gr.Column) -> LoraPart:
    """All modules beside each other, then one of them."""
    with gr.Row(elem_classes="plots"):
        norms, ranks = plot(words.NORMS), plot(words.RANKS)
    module = gr.Dropdown([], allow_custom_value=True, **control("module"))
    line = message_line(words.SINGULAR, "step-line")
    singular = plot(words.SINGULAR)
    with gr.Row(elem_classes="plots"):
        squares = tuple(map(plot, (words.WEIGHT, words.CHANGE, words.ADAPTED)))
    gr.HTML(f"<p>{words.LORA_HELP}</p>", elem_classes="help")
    return LoraPart(column, norms, ranks, module, line, singular, squares)


def lay_out_prefix(column: gr.Column) -> PrefixPart:
    """The words near each virtual token, then what the tokens of a text look at."""
    gr.HTML(f"<h3>{words.WORDS}</h3>", elem_classes="figure-title")
    table = text_table(words.WORDS, words.WORD_COLUMNS, [110, 330, 330, 110], max_height=520)
    with gr.Column(visible=False) as far:
        moved = plot(words.MOVED)
    gr.HTML(f"<p>{words.WORDS_HELP}</p>", elem_classes="help")
    with gr.Row(elem_classes="bring"):
        prompt = gr.Textbox(words.PROMPT, lines=2, max_lines=6, max_length=MAX_PROMPT, scale=3, **control("watch"))
        with gr.Column(min_width=150, scale=0, elem_classes="run"):
            watch = gr.Button(words.WATCH, size="sm")
    line = message_line(words.ATTENTION, "step-line")
    with gr.Row(visible=False, elem_classes="plots") as seen:
        attention, tokens = plot(words.ATTENTION), plot(words.BY_TOKEN)
    gr.HTML(f"<p>{words.ATTENTION_HELP}</p>", elem_classes="help")
    return PrefixPart(column, table, far, moved, prompt, watch, line, seen, attention, tokens)


# Handlers: values in, values out


def show_adapter(services: Services, view: LearnedView, name: Any) -> Values:
    """The chosen adapter, or the first where none is chosen yet. Raises UserError where it is gone."""
    names = [adapter.name for adapter in services.store.adapters]
    if not names:
        raise UserError(words.NO_ADAPTERS)
    adapter = find(services, name or names[0])
    is_lora = adapter.kind == "lora"
    updates: Values = {
        view.adapter: gr.update(choices=names, value=adapter.name),
        view.lora.column: gr.update(visible=is_lora),
        view.prefix.column: gr.update(visible=not is_lora),
    }
    if is_lora:
        return updates | show_lora(services, view, adapter)
    line = words.prefix_line(adapter.name, adapter.size, adapter.num_parameters, services.num_parameters)
    hidden = dict.fromkeys([view.prefix.seen, view.prefix.far], gr.update(visible=False))
    return updates | hidden | {view.prefix.words: [], view.prefix.line: [], view.message: message(line)}


def show_lora(services: Services, view: LearnedView, adapter: Adapter) -> Values:
    """All modules of a LoRA, and the one that changed most."""
    found = list(services.explorer.updates(adapter.name))
    ordered = sorted(found, key=lambda update: -update.relative)
    first = ordered[0].path
    return {
        view.message: message(words.lora_line(adapter.name, found, services.num_parameters)),
        view.lora.norms: figures.norms(found),
        view.lora.ranks: figures.ranks(found),
        view.lora.module: gr.update(choices=[(words.place_of(update), update.path) for update in ordered], value=first),
    } | show_module(services, view, adapter.name, first)


def show_module(services: Services, view: LearnedView, name: Any, path: Any) -> Values:
    """One module of a LoRA. Raises UserError."""
    crop = services.explorer.crop(find(services, name).name, str(path))
    update = next(one for one in services.explorer.updates(name) if one.path == crop.path)
    return {
        view.lora.line: message(words.module_line(update)),
        view.lora.singular: figures.singular(update),
    } | dict(zip(view.lora.squares, figures.squares(crop), strict=True))


def fill_words(services: Services, view: LearnedView, name: Any) -> Values:
    """The words of a prefix, which take seconds when it is chosen for the first time; nothing of a LoRA."""
    adapter = services.adapter(name)
    if adapter is None or adapter.kind != "prefix":
        return {view.message: gr.skip()}
    tokens = services.explorer.words(adapter.name)
    moved = figures.moved(tokens)
    return {
        view.message: gr.skip(),
        view.prefix.words: figures.words_table(tokens),
        view.prefix.far: gr.update(visible=moved is not None),
        view.prefix.moved: moved,
    }


def watch(services: Services, view: LearnedView, name: Any, prompt: Any) -> Iterator[Values]:
    """Writes with a prefix, then shows what the tokens looked at."""
    part = view.prefix
    try:
        adapter = find(services, name)
        if not isinstance(prompt, str) or not prompt.strip():
            raise UserError(words.NO_PROMPT)
        if len(prompt) > MAX_PROMPT:
            raise UserError(common.PROMPT_TOO_LONG.format(length=len(prompt), most=MAX_PROMPT))
        with closed_at_end(services.explorer.watch(adapter.name, prompt)) as steps:
            for seen in steps:
                shown: Values = {part.line: message(words.WATCHING.format(tokens=len(seen.tokens)))}
                if seen.attention is not None:
                    shown = {
                        part.line: message(words.watched_line(seen)),
                        part.seen: gr.update(visible=True),
                        part.attention: figures.attention(seen.attention),
                        part.tokens: figures.by_token(seen.attention, seen.tokens),
                    }
                yield shown
    except UserError as error:
        yield {part.line: message(str(error), is_error=True)}


def on_save(services: Services, name: Any) -> tuple[dict[str, str] | None, Marked]:
    """The numbers of an adapter as a file."""
    try:
        adapter = find(services, name)
        return as_file(f"{adapter.name}.json", services.explorer.as_json(adapter.name)), []
    except UserError as error:
        return None, message(str(error), is_error=True)


def find(services: Services, name: Any) -> Adapter:
    """The adapter of this name. Raises UserError where there is none (any more)."""
    adapter = services.adapter(name) if isinstance(name, str) else None
    if adapter is None:
        raise UserError(words.NO_SUCH_ADAPTER)
    return adapter
