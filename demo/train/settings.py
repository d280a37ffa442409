"""The form of a training: data, name, method and settings, and its estimate."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

import gradio as gr
from gradio.components import Component

from adapters.lora.settings import LoraSettings
from adapters.prefix.settings import PrefixSettings
from adapters.training.corpus import DATASETS
from adapters.training.order import DEFAULT_LR, TrainOrder, TrainSettings
from demo.parts import words as common
from demo.parts.events import LIGHT, told
from demo.parts.marked import Values, message, message_line
from demo.parts.views import Page, filled
from demo.services import Services
from demo.train import words
from demo.train.form import (
    LORA_FIELDS,
    ORDER_FIELDS,
    PREFIX_FIELDS,
    SETTINGS_FIELDS,
    TrainForm,
    defaults,
    read_train,
    uploaded,
    your_file,
)
from demo.train.words import control

UNNAMED = "unnamed"  # for the estimate while there is no name yet
TYPES: dict[str, Any] = {}  # of the settings
for _settings in (LoraSettings, PrefixSettings, TrainSettings, TrainOrder):
    TYPES |= get_type_hints(_settings)


class FormPart:
    """The components, from top to bottom."""

    def __init__(self, services: Services) -> None:
        gr.HTML(words.TRAIN_HTML, elem_classes="section")
        sets, methods = list(DATASETS), list(words.METHODS)
        with gr.Row(elem_classes="top"):
            self.data = gr.Dropdown(sets, value=sets[0], allow_custom_value=True, min_width=220, **control("data"))
            self.name = gr.Textbox(max_lines=1, max_length=40, min_width=180, **control("name"))
            self.method = gr.Radio(methods, value=words.LORA, min_width=220, **control("method"))
            with gr.Column(min_width=150, elem_classes="run"):
                self.start = gr.Button(words.START, variant="primary")
                self.stop = gr.Button(common.STOP, interactive=False)
        self.message = message_line(words.MESSAGE, "shared-note")
        with gr.Row(elem_classes="shared"):
            order = read_train(TrainForm("", words.LORA, sets[0], None, defaults())).order
            with gr.Accordion(words.settings_line(order), open=False) as self.folded:
                modules = [words.ATTENTION, *services.trainer.modules()]
                with gr.Column() as self.lora:
                    fields = setting_controls(LORA_FIELDS, modules)
                with gr.Column(visible=False) as self.prefix:
                    fields |= setting_controls(PREFIX_FIELDS, modules)
                self.fields = fields | setting_controls([*SETTINGS_FIELDS, *ORDER_FIELDS], modules)
            self.upload = gr.UploadButton(words.UPLOAD_TEXT, size="sm", min_width=110, scale=0)
        self.estimate = message_line(words.ESTIMATE, "estimate")
        self.file = gr.State(None)  # path of the newest upload
        # Everything that determines a training.
        self.inputs: list[Component] = [self.data, self.name, self.method, self.file, *self.fields.values()]


def setting_controls(names: Sequence[str], modules: Sequence[str]) -> dict[str, Component]:
    """A row with a control for each of these settings."""
    first = defaults()
    with gr.Row(elem_classes="sampling"):
        return {name: setting_control(name, first[name], modules) for name in names}


def setting_control(name: str, value: Any, modules: Sequence[str]) -> Component:
    """The control of a setting by its type. Every typed value passes, so that one line can say what is wrong."""
    choices = get_args(TYPES[name])
    if name == "target_modules":
        return gr.Dropdown(list(modules), value=value, multiselect=True, allow_custom_value=True, **control(name))
    if get_origin(TYPES[name]) is Literal:
        return gr.Dropdown(list(choices), value=value, allow_custom_value=True, **control(name))
    if isinstance(value, list):  # of one of several words
        return gr.CheckboxGroup(list(get_args(choices[0])), value=value, **control(name))
    if isinstance(value, bool):
        return gr.Checkbox(value, **control(name))
    if isinstance(value, str):
        return gr.Textbox(value, max_lines=4, **control(name))
    return gr.Number(value, **control(name))


def wire_form(services: Services, form: FormPart, page: Page) -> None:
    """The upload, the method, and the lines that say what was chosen."""
    upload = filled(form.message, [form.data, form.file], on_upload)
    form.upload.upload(upload, form.upload, [form.message, form.data, form.file], **LIGHT)
    lr = form.fields["lr"]
    form.method.input(on_method, [form.method, lr], [form.lora, form.prefix, lr], **LIGHT)
    read = [control for control in form.inputs if control is not form.name]
    gr.on(
        [page.blocks.load, page.tab.select, *(control.change for control in read)],  # type: ignore[attr-defined]
        told(form.estimate, on_estimate, services, form),
        set(form.inputs),
        [form.estimate, form.folded],
        trigger_mode="always_last",  # while somebody types, the newest values alone wait
        **LIGHT,
    )


def on_upload(path: Any) -> tuple[Any, Any]:
    """An uploaded file as the data. Raises UserError."""
    name = your_file(str(uploaded(path)))
    return gr.update(choices=[*DATASETS, name], value=name), path


def on_method(method: Any, lr: Any) -> tuple[Any, Any, Any]:
    """The settings of the chosen method, and its learning rate unless somebody has typed one."""
    kind = words.METHODS.get(method, "lora")
    rate = DEFAULT_LR[kind] if lr in DEFAULT_LR.values() else gr.skip()
    return gr.update(visible=kind == "lora"), gr.update(visible=kind != "lora"), rate


def on_estimate(services: Services, form: FormPart, values: Values) -> Values:
    """The folded line, and size, memory and time of the training. Raises UserError."""
    order, file = read_train(read_form(form, values))
    estimate = services.trainer.estimate(replace(order, name=UNNAMED), file)
    return {
        form.folded: gr.update(label=words.settings_line(order)),
        form.estimate: message(words.estimate_lines(estimate), is_error=bool(estimate.refusal)),
    }


def read_form(form: FormPart, values: Values) -> TrainForm:
    """The values of the controls."""
    settings = {name: values[component] for name, component in form.fields.items()}
    return TrainForm(values[form.name], values[form.method], values[form.data], values[form.file], settings)
