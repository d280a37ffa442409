"""The controls of a training: the adapter's own settings, and how it learns.

Knows components and their first values; what they may say is checked in demo.train.form.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import gradio as gr
from gradio.components import Component

from demo.services import Services
from demo.train import words as words_train
from demo.train.form import LORA_FIELDS, ORDER_FIELDS, PREFIX_FIELDS, SETTINGS_FIELDS, defaults
from demo.train.words import control

Make = Callable[[str, Any], Component]


class SettingControls(NamedTuple):
    """The components; `fields` by the name of the setting."""

    fields: dict[str, Component]
    lora: gr.Column
    prefix: gr.Column


def lay_out_settings(services: Services) -> SettingControls:
    """Puts the controls on the page, those of LoRA before those of prefix tuning, of which one group is seen."""
    first, special = defaults(), special_controls(services)

    def group(names: Sequence[str]) -> dict[str, Component]:
        with gr.Row(elem_classes="sampling"):
            return {name: special.get(name, plain_control)(name, first[name]) for name in names}

    with gr.Column() as lora:
        controls = group(LORA_FIELDS)
    with gr.Column(visible=False) as prefix:
        controls |= group(PREFIX_FIELDS)
    controls |= group([*SETTINGS_FIELDS, *ORDER_FIELDS])
    return SettingControls(controls, lora, prefix)


def special_controls(services: Services) -> dict[str, Make]:
    """How the settings are made that are neither a number nor a switch nor a text."""

    def modules(name: str, value: Any) -> Component:
        choices = [words_train.ATTENTION, *services.trainer.modules()]
        return gr.Dropdown(choices, value=value, multiselect=True, allow_custom_value=True, **control(name))

    def schedule(name: str, value: Any) -> Component:
        return gr.Dropdown(words_train.SCHEDULES, value=value, allow_custom_value=True, **control(name))

    def reports(name: str, value: Any) -> Component:
        return gr.CheckboxGroup(words_train.REPORTS, value=value, **control(name))

    return {"target_modules": modules, "schedule": schedule, "report_to": reports}


def plain_control(name: str, value: Any) -> Component:
    """A switch, a text or a number. Whatever is typed is let through, so that one line can say what is wrong."""
    if isinstance(value, bool):
        return gr.Checkbox(value, **control(name))
    if isinstance(value, str):
        return gr.Textbox(value, max_lines=4, **control(name))
    return gr.Number(value, **control(name))
