"""Classifiers (discriminators) of the Steer tab: how well each does, and training one."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import gradio as gr
import plotly.graph_objects as go

from adapters.decoding.visitors import TRAININGS
from adapters.discriminators.labelled import Labelled, read_labelled
from adapters.methods import UserError
from adapters.pplm.discriminator import DiscriminatorReport, Measured
from demo.look.theme import COLORS
from demo.parts import words as common
from demo.parts.actions import Work, build_confirm, wire_work
from demo.parts.controls import labelled
from demo.parts.events import LIGHT, told
from demo.parts.links import is_own, owner_of
from demo.parts.marked import Marked, Values, message, message_line
from demo.parts.plots import dressed, whiskers
from demo.parts.running import closed_at_end
from demo.parts.tables import text_table
from demo.parts.uploads import uploaded
from demo.parts.views import Page
from demo.services import Services
from demo.steer import words
from leaderboard.tables.results import Cell


class Discriminators:
    def __init__(self, services: Services) -> None:
        gr.HTML(words.DISCRIMINATORS_HTML, elem_classes="section")
        names = [*services.store.discriminators]
        shown = {"value": names[0] if names else None, "allow_custom_value": True} | labelled("discriminator")
        with gr.Row(elem_classes="below"):
            self.chosen = gr.Dropdown(names, **shown)
            self.delete = build_confirm(common.DELETE_ADAPTER_QUESTION)
        self.message = message_line(words.HELD_OUT_ACCURACY, "shared-note")
        with gr.Row(elem_classes="plots"):
            with gr.Column(min_width=280):
                self.confusion = text_table(words.CONFUSION, [words.ACTUAL_PREDICTED])
            with gr.Column(min_width=280):
                self.curve = gr.Plot(label=words.CURVE, show_label=False)


def discriminators_section(services: Services, page: Page) -> None:
    part = Discriminators(services)
    show = told(part.message, show_discriminator, services, part)
    outputs = [part.message, part.confusion, part.curve, part.delete.ask, part.delete.row]
    gr.on([page.blocks.load, part.chosen.change], show, [part.chosen, page.owner], outputs, **LIGHT)
    delete = told(part.message, on_delete, services, part)
    part.delete.yes.click(delete, [part.chosen, page.owner], [*outputs, part.chosen], **LIGHT)
    page.tab.select(lambda: gr.update(choices=list(services.store.discriminators)), None, part.chosen, **LIGHT)
    training_section(services, part, page)


def training_section(services: Services, part: Discriminators, page: Page) -> None:
    """The form that trains a discriminator; its rows are those of the newest upload."""
    with gr.Accordion(words.TRAIN_OWN, open=False):
        gr.HTML(words.TRAIN_HTML, elem_classes="help")
        with gr.Row(elem_classes="bring"):
            name = gr.Textbox(max_lines=1, max_length=40, scale=3, min_width=260, **labelled("discriminator_name"))
            with gr.Column(min_width=150, elem_classes="run"):
                upload = gr.UploadButton(words.UPLOAD_ROWS, size="sm")
                with gr.Row():
                    begin = gr.Button(words.TRAIN, size="sm", min_width=0)
                    stop = gr.Button(common.STOP, size="sm", min_width=0, interactive=False)
        work, rows = Work(begin, stop, message_line(words.TRAIN, "shared-note")), gr.State(())
    upload.upload(partial(take_rows, services), upload, [rows, work.message], **LIGHT)
    training = partial(train, services, work, part)
    wire_work(work, training, [name, rows, page.owner], "training", words.TRAINING_STOPPED, [part.chosen])


def show_discriminator(services: Services, part: Discriminators, name: Any, secret: Any) -> Values:
    """The figures of a discriminator, nothing where there is none to choose. Raises UserError."""
    if not services.store.discriminators:
        return {}
    measured = find_report(services, name).measured
    headers, rows = confusion(measured)
    return {
        part.delete.ask: gr.update(visible=is_own(services.library.owner(name), secret)),
        part.delete.row: gr.update(visible=False),
        part.message: message(words.accuracy_line(measured)),
        part.confusion: gr.update(value={"headers": headers, "data": rows}),
        part.curve: curve(measured),
    }


def on_delete(services: Services, part: Discriminators, name: Any, secret: Any) -> Values:
    """Delete one's own discriminator; the first of the others is shown. Raises UserError."""
    if not isinstance(name, str) or name not in services.store.discriminators:
        raise UserError(words.NO_SUCH_DISCRIMINATOR)
    services.library.delete(name, owner_of(secret))
    left = list(services.store.discriminators)
    chosen = gr.update(choices=left, value=left[0] if left else None)
    return {part.chosen: chosen, part.delete.row: gr.update(visible=False)}


def take_rows(services: Services, path: Any) -> tuple[Sequence[Labelled], Marked]:
    """The rows of an uploaded file, none where something is wrong with it."""
    try:
        rows = read_rows(path, services)
    except UserError as error:
        return (), message(str(error), is_error=True)
    return rows, message(words.rows_line(class_sizes(rows)))


def read_rows(path: Any, services: Services) -> tuple[Labelled, ...]:
    most = services.limits.max_bytes
    data, name = uploaded(path, most)
    if len(data) > most:
        raise UserError(words.ROWS_TOO_LONG.format(most=most))
    return tuple(read_labelled(data, name))


def class_sizes(rows: Sequence[Labelled]) -> dict[str, int]:
    return dict(sorted(Counter(row.label for row in rows).items()))


def train(
    services: Services, work: Work, part: Discriminators, name: Any, rows: Sequence[Labelled], secret: Any
) -> Iterator[Values]:
    """Train a discriminator of this browser's own and say how far it is; then it is chosen. Raises UserError."""
    if not rows:
        raise UserError(words.NO_ROWS)
    name = str(name or "").strip()
    yield {work.message: message(common.STARTING)}
    training = services.discriminator_trainer.train(name, rows, owner_of(secret))
    with services.allowance.spend(TRAININGS), closed_at_end(training) as lines:
        for line in lines:
            yield {work.message: message(f"{line[:1].upper()}{line[1:]}.")}
    classes = ", ".join(f"{name}:{label}" for label in class_sizes(rows))
    chosen = gr.update(choices=list(services.store.discriminators), value=name)
    yield {work.message: message(words.TRAINED.format(names=classes)), part.chosen: chosen}


def find_report(services: Services, name: Any) -> DiscriminatorReport:
    """What was measured of a discriminator. Raises UserError where there is none of that name, or nothing is known."""
    if not isinstance(name, str) or name not in services.store.discriminators:
        raise UserError(services.store.refused.get(str(name), words.NO_SUCH_DISCRIMINATOR))
    report = services.discriminator_trainer.report(name)
    if report is None:
        raise UserError(words.NO_FIGURES_OF_HEAD)
    return report


def confusion(measured: Measured) -> tuple[list[str], list[list[str]]]:
    """Headers and rows: how often each class is taken for each other."""
    headers = [words.ACTUAL_PREDICTED, *measured.classes]
    rows = [[name, *map(str, row)] for name, row in zip(measured.classes, measured.confusion, strict=True)]
    return headers, rows


def curve(measured: Measured) -> go.Figure:
    """Held-out accuracy against the number of training texts, with 95 % intervals, over the most frequent class."""
    points = measured.curve
    cells = [Cell(100 * point.share, 100 * point.low, 100 * point.high) for point in points]
    color = COLORS["pplm"]
    plot = go.Figure(
        go.Scatter(
            x=[point.rows for point in points],
            y=[cell.value for cell in cells],
            error_y=whiskers(cells, color),
            mode="lines+markers",
            line={"color": color, "width": 2},
            marker={"size": 8, "color": color},
            hoverinfo="text",
            hovertext=[f"{point.rows:,}: {common.percent(point.share)}" for point in points],
        )
    )
    plot.add_hline(
        y=100 * measured.largest_class,
        line={"color": COLORS["base"], "dash": "dot", "width": 1.5},
        annotation={"text": words.LARGEST_CLASS, "font": {"size": 12}},
        annotation_position="bottom right",
    )
    sizes = [point.rows for point in points]
    plot.update_xaxes(type="log", tickvals=sizes, ticktext=[f"{size:,}" for size in sizes])
    return dressed(plot, 320, words.TRAINING_TEXTS, words.HELD_OUT_ACCURACY)
