"""The card of an adapter. Nothing of it is read as Markdown or HTML, since an adapter may come from anywhere."""

from html import escape
from typing import Any

import gradio as gr
from gradio.blocks import Block

from adapters.methods import UserError, to_json
from adapters.store.adapter_store import Adapter
from adapters.training.card import Report
from demo.parts import words as common
from demo.parts.actions import build_confirm
from demo.parts.links import is_own
from demo.parts.marked import Values, marked_text
from demo.parts.numbers import PROMPT, Span
from demo.parts.tables import facts_table, text_table
from demo.parts.words import duration, percent
from demo.services import Services
from demo.train import words
from demo.train.figures import loss_curve
from demo.train.words import control


class CardPart:
    """The components that show a card, hidden until an adapter is chosen."""

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


def card_updates(services: Services, part: CardPart, adapter: Adapter, secret: Any) -> Values:
    report, mine = report_of(services, adapter.name), is_mine(services, adapter, secret)
    updates: Values = {
        part.column: gr.update(visible=True),
        part.head: f"<h2>{escape(adapter.name)}</h2><p>{escape(summary(adapter, services))}</p>",
        part.merge: gr.update(visible=adapter.kind == "lora"),
        part.delete.ask: gr.update(visible=mine),
        part.delete.row: gr.update(visible=False),
        part.push_row: gr.update(visible=mine and services.library.can_push),
        part.measured: gr.update(visible=report is not None),
        part.readme: services.library.card(adapter.name) or words.NO_CARD,
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
