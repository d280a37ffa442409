"""The inner tab with the texts: the prompts of a run, and all texts for one of them side by side.

Knows which component shows what; which texts these are is in demo.leaderboard.results.texts.
"""

from functools import partial
from typing import Any, NamedTuple

import gradio as gr

from adapters.methods import BASE, UserError
from demo.leaderboard import words as words_leaderboard
from demo.leaderboard.form import MAX_METHODS
from demo.leaderboard.results.load import load_data
from demo.leaderboard.results.texts import Order, orders, prompt_spans, prompts_table, texts_for
from demo.parts import words as text
from demo.parts.controls import labelled
from demo.parts.events import LIGHT, or_message
from demo.parts.panes import Values, head_html, marked_text
from demo.parts.tables import show
from demo.parts.views import Inner, Opened, cell_of, inner
from demo.services import Services


class Side(NamedTuple):
    """One method's texts."""

    column: gr.Column
    head: gr.HTML
    text: gr.HighlightedText


class TextsView(NamedTuple):
    """The components."""

    order: gr.Dropdown
    prompts: gr.Dataframe
    prompt: gr.HighlightedText
    sides: tuple[Side, ...]


def texts_tab(services: Services, opened: Opened) -> Inner:
    """The inner tab, laid out and wired."""
    view = lay_out_texts(services)
    shown = [view.prompt, *(part for side in view.sides for part in side)]
    drill = partial(or_message, opened.message, partial(show_prompt, services, view))

    def on_select(id: Any, event: gr.SelectData) -> Values:
        return drill(id, cell_of(event, 0))

    view.prompts.select(on_select, opened.id, [*shown, opened.message], **LIGHT)
    sort = partial(or_message, opened.message, partial(sort_prompts, services, view))
    view.order.input(sort, [opened.id, view.order], [view.prompts, opened.message], **LIGHT)
    return inner(opened, [view.order, view.prompts, *shown], partial(fill_texts, services, view))


def lay_out_texts(services: Services) -> TextsView:
    """Puts the components on the page."""
    order = gr.Dropdown([words_leaderboard.AS_IN_FILE], value=words_leaderboard.AS_IN_FILE, **labelled("order"))
    prompts = gr.Dataframe(
        interactive=False,
        show_search="filter",
        wrap=True,
        label=text.PROMPTS,
        show_label=False,
        max_height=330,
        elem_classes=["quiet-table", "prompts-table"],
    )
    prompt = marked_text(words_leaderboard.PROMPT_AND_REFERENCE, "chosen-prompt")
    with gr.Row(elem_classes="panes"):
        sides = tuple(lay_out_side(services, place) for place in range(MAX_METHODS))
    return TextsView(order, prompts, prompt, sides)


def lay_out_side(services: Services, place: int) -> Side:
    """The place for one method's texts."""
    with gr.Column(visible=False, elem_classes="pane samples", min_width=260) as column:
        head = gr.HTML(head_html(BASE, services), elem_classes="pane-head")
        body = marked_text(words_leaderboard.TEXTS_OF.format(place=place + 1), "pane-text")
    return Side(column, head, body)


# Handlers: values in, values out


def fill_texts(services: Services, view: TextsView, id: Any, *_: Any) -> Values:
    """The prompts of a run, and the texts for the first of them."""
    data = load_data(services, id)
    order = gr.update(choices=list(orders(data)), value=words_leaderboard.AS_IN_FILE)
    return {view.order: order, view.prompts: show(prompts_table(data))} | show_prompt(services, view, id, 1)


def sort_prompts(services: Services, view: TextsView, id: Any, chosen: Any) -> Values:
    """The prompts in another order."""
    data = load_data(services, id)
    order = orders(data).get(chosen) if isinstance(chosen, str) else None
    return {view.prompts: show(prompts_table(data, order or Order()))}


def show_prompt(services: Services, view: TextsView, id: Any, number: Any) -> Values:
    """Every method's texts for the prompt with this number. Raises UserError."""
    data = load_data(services, id)
    if not isinstance(number, int) or not 1 <= number <= len(data.run.prompts.prompts):
        raise UserError(words_leaderboard.NO_SUCH_PROMPT)
    updates: Values = {view.prompt: prompt_spans(data, number - 1)}
    methods = texts_for(data, number - 1)
    for side, shown in zip(view.sides, methods, strict=False):
        updates |= {side.column: gr.update(visible=True), side.head: head_html(shown.method, services)}
        updates[side.text] = list(shown.spans)
    return updates | {side.column: gr.update(visible=False) for side in view.sides[len(methods) :]}
