"""The inner tab with the texts: the prompts of a run, and all texts for one of them side by side."""

from functools import partial
from typing import Any

import gradio as gr
from gradio.blocks import Block

from adapters.methods import BASE, UserError
from demo.leaderboard import words
from demo.leaderboard.results.load import load_data
from demo.parts import words as common
from demo.parts.controls import labelled
from demo.parts.events import LIGHT
from demo.parts.marked import Values, head_html, marked_text
from demo.parts.numbers import PROMPT, Span
from demo.parts.tables import Column, quiet_table, show
from demo.parts.tables import words as text_column
from demo.parts.views import Inner, Opened, cell_of, filled, inner
from demo.services import Services
from leaderboard.records import MAX_METHODS, RunData
from leaderboard.tables.display import number
from leaderboard.tables.table import SampleFigures, by_prompt, prompt_figures


def texts_tab(services: Services, opened: Opened) -> Inner:
    order = gr.Dropdown([words.AS_IN_FILE], value=words.AS_IN_FILE, **labelled("order"))
    prompts = quiet_table(common.PROMPTS, "prompts-table", show_search="filter", wrap=True, max_height=330)
    shown: list[Block] = [marked_text(words.PROMPT_AND_REFERENCE, "chosen-prompt")]
    with gr.Row(elem_classes="panes"):
        for place in range(1, MAX_METHODS + 1):
            with gr.Column(visible=False, elem_classes="pane samples", min_width=260) as column:
                head = gr.HTML(head_html(BASE, services), elem_classes="pane-head")
                shown += [column, head, marked_text(words.TEXTS_OF.format(place=place), "pane-text")]
    drill = filled(opened.message, shown, partial(show_prompt, services))

    def on_select(id: Any, event: gr.SelectData) -> Values:
        return drill(id, cell_of(event, 0))

    prompts.select(on_select, opened.id, [*shown, opened.message], **LIGHT)
    sort = filled(opened.message, [prompts], partial(sort_prompts, services))
    order.input(sort, [opened.id, order], [prompts, opened.message], **LIGHT)
    return inner(opened, [order, prompts, *shown], partial(fill_texts, services))


def fill_texts(services: Services, id: Any, *_: Any) -> list[Any]:
    """The orders and the prompts of a run, and the texts for the first of them."""
    data = load_data(services, id)
    order = gr.update(choices=[words.AS_IN_FILE, *orders(data)], value=words.AS_IN_FILE)
    return [order, show(prompts_table(data)), *show_prompt(services, id, 1)]


def sort_prompts(services: Services, id: Any, chosen: Any) -> list[Any]:
    data = load_data(services, id)
    return [show(prompts_table(data, chosen if isinstance(chosen, str) else words.AS_IN_FILE))]


def show_prompt(services: Services, id: Any, number: Any) -> list[Any]:
    """The prompt with this number; column, head and texts of every method that there can be. Raises UserError."""
    data = load_data(services, id)
    if not isinstance(number, int) or not 1 <= number <= len(data.run.prompts.prompts):
        raise UserError(words.NO_SUCH_PROMPT)
    values: list[Any] = [prompt_spans(data, number - 1)]
    methods = data.run.spec.methods
    for method, spans in zip(methods, texts_for(data, number - 1), strict=True):
        values += [gr.update(visible=True), head_html(method, services), spans]
    return values + [gr.update(visible=False), gr.skip(), gr.skip()] * (MAX_METHODS - len(methods))


def orders(data: RunData) -> dict[str, tuple[str, bool]]:
    """The method by whose perplexity prompts are sorted, and whether the lowest is first, by label on the page."""
    lines = {words.LOWEST_FIRST: True, words.HIGHEST_FIRST: False}
    names = [method.name for method in data.run.spec.methods]
    return {line.format(method=name): (name, lowest) for name in names for line, lowest in lines.items()}


def prompts_table(data: RunData, order: str = words.AS_IN_FILE) -> list[Column]:
    """One row a prompt: its number, its text, its tags, and the perplexity of each method's texts."""
    prompts = data.run.prompts.prompts
    found = by_prompt(data, "perplexity").reindex(range(len(prompts)))
    if sorting := orders(data).get(order):
        found = found.sort_values(sorting[0], ascending=sorting[1], kind="stable", na_position="last")
    rows = found.index.tolist()
    tags = [dict(prompts[row].tags) for row in rows]
    return [
        Column(words.NUMBER_OF_TEXT, [row + 1 for row in rows], [str(row + 1) for row in rows]),
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


def texts_for(data: RunData, index: int) -> list[list[Span]]:
    """The texts of each method for a prompt, each under a line of its figures."""
    spans: list[list[Span]] = [[] for _ in data.run.spec.methods]
    for figures in prompt_figures(data, index):
        of = spans[figures.sample.method]
        of.append((("\n\n" if of else "") + f"{figures_line(figures)}\n", PROMPT))
        of.append((figures.sample.text.removeprefix(" "), None))
    return [of or [(words.NO_TEXT, PROMPT)] for of in spans]


def figures_line(figures: SampleFigures) -> str:
    return words.SAMPLE_LINE.format(
        draw=figures.sample.draw + 1,
        perplexity=number(figures.perplexity),
        distinct=number(figures.distinct_2),
        repetition=number(figures.repetition),
        tokens=common.count(figures.sample.num_tokens, "token"),
    )
