"""The form of a training: data, name, method and settings, and its estimate."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import gradio as gr
from gradio.components import Component

from adapters.lora.settings import LoraSettings
from adapters.methods import UserError
from adapters.prefix.settings import PrefixSettings
from adapters.training.corpus import DATASETS
from adapters.training.order import DEFAULT_LR, TrainOrder, TrainSettings
from demo.parts import words as common
from demo.parts.events import LIGHT
from demo.parts.marked import Marked, Values, message, message_line
from demo.parts.views import Page
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


class SettingControls(NamedTuple):
    """The components; `fields` by the name of the setting."""

    fields: dict[str, Component]
    lora: gr.Column
    prefix: gr.Column


class FormPart(NamedTuple):
    """The components; `file` is the path of the newest upload."""

    data: gr.Dropdown
    name: gr.Textbox
    method: gr.Radio
    start: gr.Button
    stop: gr.Button
    message: gr.HighlightedText
    folded: gr.Accordion  # of the settings; its label says their values
    settings: SettingControls
    upload: gr.UploadButton
    estimate: gr.HighlightedText
    file: gr.State

    @property
    def inputs(self) -> list[Component]:
        """Everything that determines a training."""
        return [self.data, self.name, self.method, self.file, *self.settings.fields.values()]


def lay_out_form(services: Services) -> FormPart:
    """The components, from top to bottom."""
    gr.HTML(words.TRAIN_HTML, elem_classes="section")
    first = next(iter(DATASETS))
    with gr.Row(elem_classes="top"):
        data = gr.Dropdown(list(DATASETS), value=first, allow_custom_value=True, min_width=220, **control("data"))
        name = gr.Textbox(max_lines=1, max_length=40, min_width=180, **control("name"))
        method = gr.Radio(list(words.METHODS), value=words.LORA, min_width=220, **control("method"))
        with gr.Column(min_width=150, elem_classes="run"):
            start = gr.Button(words.START, variant="primary")
            stop = gr.Button(common.STOP, interactive=False)
    note = message_line(words.MESSAGE, "shared-note")
    with gr.Row(elem_classes="shared"):
        order = read_train(TrainForm("", words.LORA, first, None, defaults())).order
        with gr.Accordion(words.settings_line(order), open=False) as folded:
            settings = lay_out_settings(services)
        upload = gr.UploadButton(words.UPLOAD_TEXT, size="sm", min_width=110, scale=0)
    estimate = message_line(words.ESTIMATE, "estimate")
    return FormPart(data, name, method, start, stop, note, folded, settings, upload, estimate, gr.State(None))


def lay_out_settings(services: Services) -> SettingControls:
    """A control for each setting; of LoRA's and prefix tuning's own ones, one group is visible."""
    first, modules = defaults(), [words.ATTENTION, *services.trainer.modules()]

    def group(names: Sequence[str]) -> dict[str, Component]:
        with gr.Row(elem_classes="sampling"):
            return {name: setting_control(name, first[name], modules) for name in names}

    with gr.Column() as lora:
        controls = group(LORA_FIELDS)
    with gr.Column(visible=False) as prefix:
        controls |= group(PREFIX_FIELDS)
    controls |= group([*SETTINGS_FIELDS, *ORDER_FIELDS])
    return SettingControls(controls, lora, prefix)


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
    form.upload.upload(on_upload, form.upload, [form.data, form.file, form.message], **LIGHT)
    lr = form.settings.fields["lr"]
    form.method.input(on_method, [form.method, lr], [form.settings.lora, form.settings.prefix, lr], **LIGHT)
    told = [control for control in form.inputs if control is not form.name]
    gr.on(
        [page.blocks.load, page.tab.select, *(control.change for control in told)],  # type: ignore[attr-defined]
        partial(on_estimate, services, form),
        set(form.inputs),
        [form.estimate, form.folded],
        trigger_mode="always_last",  # while somebody types, the newest values alone wait
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
    """The settings of the chosen method, and its learning rate unless somebody has typed one."""
    kind = words.METHODS.get(method, "lora")
    rate = DEFAULT_LR[kind] if lr in DEFAULT_LR.values() else gr.skip()
    return gr.update(visible=kind == "lora"), gr.update(visible=kind != "lora"), rate


def on_estimate(services: Services, form: FormPart, values: Values) -> Values:
    """The folded line, and size, memory and time of the training, or the error in its settings."""
    try:
        order, file = read_train(read_form(form, values))
        line: Values = {form.folded: gr.update(label=words.settings_line(order))}
        estimate = services.trainer.estimate(replace(order, name=UNNAMED), file)
        return line | {form.estimate: message(words.estimate_lines(estimate), is_error=bool(estimate.refusal))}
    except UserError as error:
        return {form.estimate: message(str(error), is_error=True)}


def read_form(form: FormPart, values: Values) -> TrainForm:
    """The values of the controls."""
    settings = {name: values[component] for name, component in form.settings.fields.items()}
    return TrainForm(values[form.name], values[form.method], values[form.data], values[form.file], settings)
