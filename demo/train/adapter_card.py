"""The card of an adapter. Nothing of it is read as Markdown or HTML, since an adapter may come from anywhere."""

from html import escape
from typing import Any, NamedTuple

import gradio as gr

from demo.parts import words as common
from demo.parts.actions import Confirm, build_confirm
from demo.parts.marked import Values, marked_text
from demo.parts.tables import facts_table, text_table
from demo.services import Services
from demo.train import words
from demo.train.cards import Card, continuation_spans, facts, figures, summary
from demo.train.figures import loss_curve
from demo.train.words import control


class CardPart(NamedTuple):
    """The components that show a card."""

    column: gr.Column
    head: gr.HTML
    download: gr.Button
    merge: gr.Button
    delete: Confirm
    push_row: gr.Row
    repository: gr.Textbox
    push: gr.Button
    measured: gr.Column
    figures: gr.Dataframe
    curve: gr.Plot
    samples: gr.HighlightedText
    facts: gr.Dataframe
    readme: gr.Textbox

    @property
    def outputs(self) -> list[Any]:
        """Everything that opening a card changes."""
        buttons = [self.merge, self.delete.ask, self.delete.row, self.push_row]
        shown = [self.measured, self.figures, self.curve, self.samples, self.facts, self.readme]
        return [self.column, self.head, *buttons, *shown]


def lay_out_card() -> CardPart:
    """The card, hidden until an adapter is chosen."""
    with gr.Column(visible=False, elem_classes="stack results card") as column:
        with gr.Row(elem_classes=["head-row", "card-head"]):
            head = gr.HTML(elem_classes="link-head")
            with gr.Row(elem_classes="below"):
                download = gr.Button(words.DOWNLOAD, size="sm", min_width=0, scale=0)
                merge = gr.Button(words.MERGE, size="sm", min_width=0, scale=0)
                delete = build_confirm(common.DELETE_ADAPTER_QUESTION)
        with gr.Row(visible=False, elem_classes="bring") as push_row:
            repository = gr.Textbox(max_lines=1, max_length=200, scale=3, **control("repository"))
            push = gr.Button(words.PUSH, size="sm", scale=0, min_width=170)
        with gr.Column(elem_classes="stack") as measured:
            with gr.Row(elem_classes="plots"):
                with gr.Column(min_width=280):
                    measures = text_table(words.FIGURES, words.FIGURES_COLUMNS, None, "facts")
                    curve = gr.Plot(label=words.CURVE, show_label=False)
                with gr.Column(min_width=280, elem_classes="pane samples"):
                    samples = marked_text(words.CONTINUATIONS, "pane-text")
            with gr.Accordion(words.HOW, open=False):
                made = facts_table()
        with gr.Accordion(words.CARD_FILE, open=False):
            readme = gr.Textbox(lines=8, max_lines=30, buttons=["copy"], **control("readme", interactive=False))
    parts = head, download, merge, delete, push_row, repository, push, measured, measures, curve, samples, made, readme
    return CardPart(column, *parts)


def card_updates(services: Services, part: CardPart, card: Card) -> Values:
    """The updates that show a card."""
    adapter, report = card.adapter, card.report
    updates: Values = {
        part.column: gr.update(visible=True),
        part.head: f"<h2>{escape(adapter.name)}</h2><p>{escape(summary(card, services))}</p>",
        part.merge: gr.update(visible=adapter.kind == "lora"),
        part.delete.ask: gr.update(visible=card.mine),
        part.delete.row: gr.update(visible=False),
        part.push_row: gr.update(visible=card.mine and services.library.can_push),
        part.measured: gr.update(visible=report is not None),
        part.readme: card.readme or words.NO_CARD,
    }
    if report is None:
        return updates
    curve = loss_curve(report.curve, report.steps, adapter.kind) if report.curve else None
    return updates | {
        part.figures: figures(report),
        part.curve: gr.update(value=curve, visible=curve is not None),
        part.samples: continuation_spans(report),
        part.facts: facts(report),
    }
