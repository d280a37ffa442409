"""The form of a training: data, name, method and settings, and what it would take.

Knows which component feeds which handler; what the controls may say is in demo.train.form.
"""

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import gradio as gr
from gradio.components import Component

from adapters.methods import UserError
from adapters.training.corpus import DATASETS
from adapters.training.order import DEFAULT_LR
from demo.parts import words as text
from demo.parts.events import LIGHT
from demo.parts.panes import Marked, Values, message, message_line
from demo.parts.views import Page
from demo.services import Services
from demo.train import words as words_train
from demo.train.controls import SettingControls, lay_out_settings
from demo.train.form import TrainForm, defaults, read_train, uploaded, your_file
from demo.train.words import control

UNNAMED = "unnamed"  # what is estimated while nobody has thought of a name


class FormPart(NamedTuple):
    """The components; `file` is the path of the newest upload."""

    data: gr.Dropdown
    name: gr.Textbox
    method: gr.Radio
    start: gr.Button
    stop: gr.Button
    message: gr.HighlightedText
    upload: gr.UploadButton
    folded: gr.Accordion  # of the settings; its label says their values
    settings: SettingControls
    estimate: gr.HighlightedText
    file: gr.State

    @property
    def inputs(self) -> list[Component]:
        """What determines a training."""
        return [self.data, self.name, self.method, self.file, *self.settings.fields.values()]


def lay_out_form(services: Services) -> FormPart:
    """Puts the components on the page, from top to bottom."""
    gr.HTML(words_train.TRAIN_HTML, elem_classes="section")
    first = next(iter(DATASETS))
    with gr.Row(elem_classes="top"):
        data = gr.Dropdown(list(DATASETS), value=first, allow_custom_value=True, min_width=220, **control("data"))
        name = gr.Textbox(max_lines=1, max_length=40, min_width=180, **control("name"))
        method = gr.Radio(list(words_train.METHODS), value=words_train.LORA, min_width=220, **control("method"))
        with gr.Column(min_width=150, elem_classes="run"):
            start = gr.Button(words_train.START, variant="primary")
            stop = gr.Button(text.STOP, interactive=False)
    note = message_line(words_train.MESSAGE, "shared-note")
    with gr.Row(elem_classes="shared"):
        with gr.Accordion(first_line(), open=False) as folded:
            settings = lay_out_settings(services)
        upload = gr.UploadButton(words_train.UPLOAD_TEXT, size="sm", min_width=110, scale=0)
    estimate = message_line(words_train.ESTIMATE, "estimate")
    return FormPart(data, name, method, start, stop, note, upload, folded, settings, estimate, gr.State(None))


def wire_form(services: Services, form: FormPart, page: Page) -> None:
    """The upload, the method, and the lines that say what was chosen."""
    taken = [form.data, form.file, form.message]
    form.upload.upload(on_upload, form.upload, taken, **LIGHT)
    lr = form.settings.fields["lr"]
    shown = [form.settings.lora, form.settings.prefix, lr]
    form.method.input(on_method, [form.method, lr], shown, **LIGHT)
    told = [control for control in form.inputs if control is not form.name]
    gr.on(
        [page.blocks.load, page.tab.select, *(control.change for control in told)],  # type: ignore[attr-defined]
        partial(on_estimate, services, form),
        set(form.inputs),
        [form.estimate, form.folded],
        trigger_mode="always_last",
        **LIGHT,
    )


# Handlers: values in, values out


def on_upload(path: Any) -> tuple[Any, Any, Marked]:
    """An uploaded file as the data; a refusal is one line, and nothing else changes."""
    try:
        name = your_file(str(uploaded(path)))
    except UserError as error:
        return gr.skip(), gr.skip(), message(str(error), is_error=True)
    return gr.update(choices=[*DATASETS, name], value=name), path, []


def on_method(method: Any, lr: Any) -> tuple[Any, Any, Any]:
    """The settings of the chosen method, and its learning rate where the other's had not been changed."""
    kind = words_train.METHODS.get(method, "lora")
    rate = DEFAULT_LR[kind] if lr in DEFAULT_LR.values() else gr.skip()
    return gr.update(visible=kind == "lora"), gr.update(visible=kind != "lora"), rate


def on_estimate(services: Services, form: FormPart, values: Values) -> Values:
    """The folded line, and what the training would take here, or what is wrong with it."""
    try:
        order, file = read_train(read_form(form, values))
        line: Values = {form.folded: gr.update(label=words_train.settings_line(order))}
        estimate = services.trainer.estimate(replace(order, name=UNNAMED), file)
        return line | {form.estimate: message(words_train.estimate_lines(estimate))}
    except UserError as error:
        return {form.estimate: message(str(error), is_error=True)}


# Between components and data


def first_line() -> str:
    """The folded line of a fresh page."""
    form = TrainForm("", words_train.LORA, next(iter(DATASETS)), None, defaults())
    return words_train.settings_line(read_train(form).order)


def read_form(form: FormPart, values: Values) -> TrainForm:
    """What the controls say."""
    settings = {name: values[component] for name, component in form.settings.fields.items()}
    return TrainForm(values[form.name], values[form.method], values[form.data], values[form.file], settings)
