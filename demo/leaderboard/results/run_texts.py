"""The inner tab with the texts: the prompts of a run, and all texts for one of them side by side."""

from functools import partial
from typing import Any, NamedTuple

import gradio as gr

from adapters.methods import BASE, Method, UserError
from demo.leaderboard import words
from demo.leaderboard.results.load import load_data
from demo.parts import words as common
from demo.parts.controls import labelled
from demo.parts.events import LIGHT, told
from demo.parts.marked import Values, head_html, marked_text
from demo.parts.numbers import PROMPT, Span
from demo.parts.tables import Column, show
from demo.parts.tables import words as text_column
from demo.parts.views import Inner, Opened, cell_of, inner
from demo.services import Services
from leaderboard.records import MAX_METHODS, RunData
from leaderboard.tables.display import number
from leaderboard.tables.table import SampleFigures, by_prompt, prompt_figures

NUMBER = "no."
METRIC = "perplexity"  # by which prompts are worst and best


class Order(NamedTuple):
    """How the prompts are sorted: by the perplexity of one method, or, without one, as in the file."""

    method: str | None = None
    highest_first: bool = False


class MethodTexts(NamedTuple):
    """All texts of one method for a prompt."""

    method: Method
    spans: tuple[Span, ...]


class TextsBeside(NamedTuple):
    """The components of one method's texts."""

    column: gr.Column
    head: gr.HTML
    text: gr.HighlightedText


class TextsView(NamedTuple):
    """The components."""

    order: gr.Dropdown
    prompts: gr.Dataframe
    prompt: gr.HighlightedText
    sides: tuple[TextsBeside, ...]


def texts_tab(services: Services, opened: Opened) -> Inner:
    """The inner tab, laid out and wired."""
    view = lay_out_texts(services)
    shown = [view.prompt, *(part for side in view.sides for part in side)]
    drill = told(opened.message, show_prompt, services, view)

    def on_select(id: Any, event: gr.SelectData) -> Values:
        return drill(id, cell_of(event, 0))

    view.prompts.select(on_select, opened.id, [*shown, opened.message], **LIGHT)
    sort = told(opened.message, sort_prompts, services, view)
    view.order.input(sort, [opened.id, view.order], [view.prompts, opened.message], **LIGHT)
    return inner(opened, [view.order, view.prompts, *shown], partial(fill_texts, services, view))


def lay_out_texts(services: Services) -> TextsView:
    """The prompts, and the texts for one of them."""
    order = gr.Dropdown([words.AS_IN_FILE], value=words.AS_IN_FILE, **labelled("order"))
    prompts = gr.Dataframe(
        interactive=False,
        show_search="filter",
        wrap=True,
        label=common.PROMPTS,
        show_label=False,
        max_height=330,
        elem_classes=["quiet-table", "prompts-table"],
    )
    prompt = marked_text(words.PROMPT_AND_REFERENCE, "chosen-prompt")
    with gr.Row(elem_classes="panes"):
        sides = tuple(lay_out_side(services, index) for index in range(MAX_METHODS))
    return TextsView(order, prompts, prompt, sides)


def lay_out_side(services: Services, index: int) -> TextsBeside:
    """The column of one method's texts."""
    with gr.Column(visible=False, elem_classes="pane samples", min_width=260) as column:
        head = gr.HTML(head_html(BASE, services), elem_classes="pane-head")
        body = marked_text(words.TEXTS_OF.format(place=index + 1), "pane-text")
    return TextsBeside(column, head, body)


# Handlers: values in, values out


def fill_texts(services: Services, view: TextsView, id: Any, *_: Any) -> Values:
    """The prompts of a run, and the texts for the first of them."""
    data = load_data(services, id)
    order = gr.update(choices=list(orders(data)), value=words.AS_IN_FILE)
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
        raise UserError(words.NO_SUCH_PROMPT)
    updates: Values = {view.prompt: prompt_spans(data, number - 1)}
    methods = texts_for(data, number - 1)
    for side, shown in zip(view.sides, methods, strict=False):
        updates |= {side.column: gr.update(visible=True), side.head: head_html(shown.method, services)}
        updates[side.text] = list(shown.spans)
    return updates | {side.column: gr.update(visible=False) for side in view.sides[len(methods) :]}


# Between samples and components


def orders(data: RunData) -> dict[str, Order]:
    """The orders of the prompts by their label on the page."""
    found = {words.AS_IN_FILE: Order()}
    for method in data.run.spec.methods:
        found[words.LOWEST_FIRST.format(method=method.name)] = Order(method.name)
        found[words.HIGHEST_FIRST.format(method=method.name)] = Order(method.name, highest_first=True)
    return found


def prompts_table(data: RunData, order: Order = Order()) -> list[Column]:  # noqa: B008
    """One row a prompt: its number, its text, its tags, and the perplexity of each method's texts."""
    prompts = data.run.prompts.prompts
    found = by_prompt(data, METRIC).reindex(range(len(prompts)))
    if order.method is not None:
        found = found.sort_values(order.method, ascending=not order.highest_first, kind="stable", na_position="last")
    rows = found.index.tolist()
    tags = [dict(prompts[row].tags) for row in rows]
    return [
        Column(NUMBER, [row + 1 for row in rows], [str(row + 1) for row in rows]),
        text_column(PROMPT, [prompts[row].prompt for row in rows]),
        *(
            text_column(words.TAG.format(name=name), [tag.get(name, "") for tag in tags])
            for name in data.run.prompts.tag_names
        ),
        *(Column(str(name), found[name].tolist(), [number(value) for value in found[name]]) for name in found),
    ]


def prompt_spans(data: RunData, index: int) -> list[Span]:
    """A prompt with its number and, where there is one, its reference."""
    prompt = data.run.prompts.prompts[index]
    spans: list[Span] = [(words.PROMPT_NUMBER.format(number=index + 1) + "\n", PROMPT), (prompt.prompt, None)]
    if prompt.reference is not None:
        spans += [(f"\n{words.REFERENCE}\n", PROMPT), (prompt.reference, None)]
    return spans


def texts_for(data: RunData, index: int) -> list[MethodTexts]:
    """Every method's texts for a prompt, each under a line of its figures."""
    texts = {(sample.method, sample.draw): sample.text for sample in data.samples if sample.prompt == index}
    methods = {method.name: number for number, method in enumerate(data.run.spec.methods)}
    spans: list[list[Span]] = [[] for _ in methods]
    for figures in prompt_figures(data, index):
        method = methods[figures.method]
        end = "\n\n" if spans[method] else ""
        spans[method].append((f"{end}{figures_line(figures)}\n", PROMPT))
        spans[method].append((texts[method, figures.draw].removeprefix(" "), None))
    nothing: list[Span] = [(words.NO_TEXT, PROMPT)]
    return [MethodTexts(method, tuple(of or nothing)) for method, of in zip(data.run.spec.methods, spans, strict=True)]


def figures_line(figures: SampleFigures) -> str:
    """The figures of one text in one line."""
    return words.SAMPLE_LINE.format(
        draw=figures.draw + 1,
        perplexity=number(figures.perplexity),
        distinct=number(figures.distinct_2),
        repetition=number(figures.repetition),
        tokens=common.count(figures.num_tokens, "token"),
    )
