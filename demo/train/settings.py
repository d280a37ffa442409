"""The form of a training in three steps: text, method, length. Its name is proposed, and its estimate shown."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

import gradio as gr
from gradio.components import Component

from adapters.lora.settings import LoraSettings
from adapters.prefix.settings import PrefixSettings
from adapters.training.order import DEFAULT_LR, TrainOrder, TrainSettings
from demo.parts import words as common
from demo.parts.events import LIGHT, told
from demo.parts.marked import Values, glyph, message, message_line
from demo.parts.views import Page
from demo.services import Services
from demo.train import words
from demo.train.form import PRESETS, SETTINGS, defaults, proposed_name, read_train, uploaded, your_file
from demo.train.words import control

FIRST = "poetry"
TYPES: dict[str, Any] = {name: kind for of in SETTINGS for name, kind in get_type_hints(of).items()}


class FormPart:
    def __init__(self, services: Services) -> None:
        gr.HTML(words.TRAIN_HTML, elem_classes="section")
        with gr.Row(elem_classes="train-steps"):
            with step(1, words.YOUR_TEXT):
                sets = list(words.DATA_NAMES.items())
                self.data = gr.Dropdown(sets, value=FIRST, allow_custom_value=True, **control("data"))
                self.pasted = gr.Textbox(lines=3, max_lines=6, **control("pasted"))
                self.drop = gr.File(label=words.DROP, height=104, interactive=True, elem_classes="drop")
            with step(2, words.WHAT):
                methods = list(words.METHODS)
                self.method = gr.Radio(methods, value=words.LORA, elem_classes="unnamed", **control("method"))
                lines = [f"<p>{glyph(kind)}<span>{line}</span></p>" for kind, line in words.KINDS_OF_TRAINING.items()]
                gr.HTML("".join(lines), elem_classes="kinds")
                self.name = gr.Textbox(max_lines=1, max_length=40, **control("name"))
            with step(3, words.HOW_LONG):
                lengths = [*PRESETS, words.ADVANCED]
                self.length = gr.Radio(lengths, value=words.QUICK, **control("length"))
                self.estimate = message_line(words.ESTIMATE, "estimate")
                with gr.Row(elem_classes="run-row"):
                    self.start = gr.Button(words.START, variant="primary", min_width=90)
                    self.stop = gr.Button(common.STOP, interactive=False, min_width=90)
        self.message = message_line(words.MESSAGE, "shared-note")
        chosen = {"name": "", "method": words.LORA, "data": FIRST, "file": None, "pasted": ""}
        order, _ = read_train(chosen | defaults())
        with gr.Accordion(words.settings_line(order), open=True, visible=False) as self.folded:
            modules = [words.ATTENTION, *services.trainer.modules()]
            with gr.Column() as self.lora:
                fields = setting_controls(modules, LoraSettings)
            with gr.Column(visible=False) as self.prefix:
                fields |= setting_controls(modules, PrefixSettings)
            self.fields = fields | setting_controls(modules, TrainSettings, TrainOrder)
        self.file, self.proposed = gr.State(None), gr.State("")  # the newest upload's path, the name proposed last
        own = {"data": self.data, "name": self.name, "method": self.method, "file": self.file, "pasted": self.pasted}
        self.inputs: dict[str, Component] = own | self.fields  # everything that determines a training


def step(number: int, title: str) -> gr.Column:
    with gr.Column(min_width=280, elem_classes="train-step") as column:
        gr.HTML(words.STEP_HTML.format(number=number, title=title))
    return column


def setting_controls(modules: Sequence[str], *settings: type[Any]) -> dict[str, Component]:
    first = defaults()
    names = [name for of in settings for name in get_type_hints(of) if name in first]
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
    """The three steps, the proposed name, and the line that says what was chosen."""
    drop = told(form.message, on_upload, form)
    form.drop.upload(drop, form.drop, [form.message, form.data, form.file], **LIGHT)
    # In the browser, as somebody may press Train at once; of `change`, as `input` does not tell of a first paste.
    to_pasted = f"(text, data) => text.trim() ? {words.PASTED!r} : data"
    form.pasted.change(None, [form.pasted, form.data], form.data, js=to_pasted, **LIGHT)
    rate = form.fields["lr"]
    form.method.input(on_method, [form.method, rate], [form.lora, form.prefix, rate], **LIGHT)
    preset = [form.fields[name] for name in PRESETS[words.QUICK]]
    form.length.input(on_length, form.length, [form.folded, *preset], **LIGHT)
    named = [form.data, form.file, form.method, form.name, form.proposed]
    changes = [page.blocks.load, page.tab.select, form.data.change, form.method.change]
    gr.on(changes, told(form.message, on_propose, services, form), named, [form.message, *named[-2:]], **LIGHT)
    read = [control for control in form.inputs.values() if control is not form.name]
    gr.on(
        [page.blocks.load, page.tab.select, *(control.change for control in read)],  # type: ignore[attr-defined]
        told(form.estimate, on_estimate, services, form),
        set(form.inputs.values()),
        [form.estimate, form.folded],
        trigger_mode="always_last",  # while somebody types, the newest values alone wait
        **LIGHT,
    )


def on_upload(form: FormPart, path: Any) -> Values:
    name = your_file(str(uploaded(path)))
    choices = [*words.DATA_NAMES.items(), name]
    return {form.data: gr.update(choices=choices, value=name), form.file: path}


def on_method(method: Any, lr: Any) -> tuple[Any, Any, Any]:
    """The settings of the chosen method, and its learning rate unless somebody has typed one."""
    kind = words.METHODS.get(method, "lora")
    rate = DEFAULT_LR[kind] if lr in DEFAULT_LR.values() else gr.skip()
    return gr.update(visible=kind == "lora"), gr.update(visible=kind != "lora"), rate


def on_length(length: Any) -> list[Any]:
    """The settings of a length; Advanced shows them all as they are."""
    values = PRESETS.get(length, {})
    return [gr.update(visible=not values), *(values.get(name, gr.skip()) for name in PRESETS[words.QUICK])]


def on_propose(
    services: Services, form: FormPart, data: Any, file: Any, method: Any, name: Any, proposed: Any
) -> Values:
    """A name for this text and method, unless somebody has typed one."""
    if str(name or "").strip() not in ("", proposed):
        return {}
    name = proposed_name(str(data), file, words.METHODS.get(method, "lora"), services.store.is_taken)
    return {form.name: name, form.proposed: name}


def on_estimate(services: Services, form: FormPart, values: Values) -> Values:
    """The folded line, and time, size and memory of the training. Raises UserError."""
    order, file = read_train(read_form(form, values))
    estimate = services.trainer.estimate(replace(order, name="unnamed"), file)
    return {
        form.folded: gr.update(label=words.settings_line(order)),
        form.estimate: message(words.estimate_lines(estimate), is_error=bool(estimate.refusal)),
    }


def read_form(form: FormPart, values: Values) -> dict[str, Any]:
    return {name: values[component] for name, component in form.inputs.items()}
