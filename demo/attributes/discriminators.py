"""Discriminators, below the lists of words: how well each does, and training one."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import gradio as gr

from adapters.discriminators.labelled import Labelled
from adapters.methods import UserError
from demo.attributes import words
from demo.attributes.run import TrainView, class_sizes, confusion, curve, find_report, read_rows, train
from demo.parts import words as common
from demo.parts.actions import Confirm, build_confirm
from demo.parts.controls import labelled
from demo.parts.events import LIGHT, slow, told
from demo.parts.links import is_own, owner_of
from demo.parts.marked import Marked, Values, message, message_line
from demo.parts.running import closed_at_end
from demo.parts.tables import text_table
from demo.parts.views import Page
from demo.services import Services


class Discriminators(NamedTuple):
    """The components that show a discriminator."""

    chosen: gr.Dropdown
    delete: Confirm
    message: gr.HighlightedText
    confusion: gr.Dataframe
    curve: gr.Plot


class Training(NamedTuple):
    """The components that train one; `rows` are those of the newest upload."""

    name: gr.Textbox
    upload: gr.UploadButton
    train: gr.Button
    stop: gr.Button
    message: gr.HighlightedText
    rows: gr.State


def discriminators_section(services: Services, page: Page) -> None:
    """The section, laid out and wired."""
    part, training = lay_out_discriminators(services), lay_out_training()
    wire_discriminators(services, part, page)
    wire_training(services, training, part, page)


# What is where


def lay_out_discriminators(services: Services) -> Discriminators:
    """A discriminator and its figures."""
    gr.HTML(words.DISCRIMINATORS_HTML, elem_classes="section")
    names = list(services.store.discriminators)
    with gr.Row(elem_classes="below"):
        chosen = gr.Dropdown(
            names, value=names[0] if names else None, allow_custom_value=True, **labelled("discriminator")
        )
        delete = build_confirm(common.DELETE_ADAPTER_QUESTION)
    line = message_line(words.HELD_OUT_ACCURACY, "shared-note")
    with gr.Row(elem_classes="plots"):
        with gr.Column(min_width=280):
            told = text_table(words.CONFUSION, [words.ACTUAL_PREDICTED])
        with gr.Column(min_width=280):
            learned = gr.Plot(label=words.CURVE, show_label=False)
    return Discriminators(chosen, delete, line, told, learned)


def lay_out_training() -> Training:
    """The form that trains a discriminator."""
    gr.HTML(words.TRAIN_HTML, elem_classes="section")
    with gr.Row(elem_classes="bring"):
        name = gr.Textbox(max_lines=1, max_length=40, scale=3, min_width=260, **labelled("discriminator_name"))
        with gr.Column(min_width=150, elem_classes="run"):
            upload = gr.UploadButton(words.UPLOAD_ROWS, size="sm")
            with gr.Row():
                begin = gr.Button(words.TRAIN, size="sm", min_width=0)
                stop = gr.Button(common.STOP, size="sm", min_width=0)
    line = message_line(words.TRAIN, "shared-note")
    return Training(name, upload, begin, stop, line, gr.State(()))


# Which event calls what


def wire_discriminators(services: Services, part: Discriminators, page: Page) -> None:
    """The choice of a discriminator; there may be more each time that the tab is opened."""
    show = told(part.message, show_discriminator, services, part)
    outputs = [
        part.message,
        part.confusion,
        part.curve,
        part.delete.ask,
        part.delete.row,
    ]
    gr.on([page.blocks.load, part.chosen.change], show, [part.chosen, page.owner], outputs, **LIGHT)
    delete = told(part.message, on_delete, services, part)
    part.delete.yes.click(delete, [part.chosen, page.owner], [*outputs, part.chosen], **LIGHT)
    page.tab.select(partial(offer_discriminators, services), None, part.chosen, **LIGHT)


def wire_training(services: Services, training: Training, part: Discriminators, page: Page) -> None:
    """The upload of rows, Train and Stop."""
    training.upload.upload(partial(take_rows, services), training.upload, [training.rows, training.message], **LIGHT)
    begun = training.train.click(
        partial(play, services, training, part),
        [training.name, training.rows, page.owner],
        [training.message, training.train, training.stop, part.chosen],
        **slow(training.message, "training"),
    )
    stopped = training.stop.click(None, cancels=[begun])
    outputs = [training.message, training.train, training.stop]
    stopped.then(partial(on_stop, training), None, outputs, **LIGHT)


# Handlers: values in, values out


def offer_discriminators(services: Services) -> Any:
    """The discriminators that there are now."""
    return gr.update(choices=list(services.store.discriminators))


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
    """Deletes one's own discriminator; the first of the others is shown. Raises UserError."""
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


def play(
    services: Services,
    training: Training,
    part: Discriminators,
    name: Any,
    rows: Sequence[Labelled],
    secret: Any,
) -> Iterator[Values]:
    """Trains and shows how far it is; at the end the new discriminator."""
    with closed_at_end(train(services, name, rows, owner_of(secret))) as views:
        for view in views:
            shown = training_updates(training, view)
            if view.done:
                shown[part.chosen] = gr.update(choices=list(services.store.discriminators), value=str(name).strip())
            yield shown


def on_stop(training: Training) -> Values:
    """After Stop: nothing was stored."""
    return training_updates(training, TrainView(words.TRAINING_STOPPED))


def training_updates(training: Training, view: TrainView) -> Values:
    """What the form shows of a training."""
    return {
        training.message: message(view.message, view.is_error),
        training.train: gr.update(interactive=not view.running),
        training.stop: gr.update(variant="primary" if view.running else "secondary"),
    }
