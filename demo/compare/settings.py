"""The settings of a pane: its controls, what they say, and what a pane shows when they change.

Knows components and PaneForm; what a method may be is checked in demo.compare.form.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import gradio as gr
from gradio.components import Component

from adapters.methods import NO_LIMIT, UserError
from adapters.pplm.word_list import as_text
from demo.compare.form import SLOTS, PaneForm, read_method
from demo.parts import words as text
from demo.parts.board import PaneView
from demo.parts.controls import labelled, slider
from demo.parts.events import LIGHT
from demo.parts.panes import Marked, Pane, Values, build_view, message, pane_updates
from demo.parts.word_table import read_upload
from demo.services import Services

FIRST_SLOT = SLOTS[0][0]


class Offered(NamedTuple):
    """The choices of the dropdowns of a pane."""

    lora: list[str]
    prefix: list[str]
    attributes: list[str]


def build_pane(services: Services, place: int, form: PaneForm, visible: bool) -> Pane:
    """A pane in the page, set up for the method that `form` describes."""
    view = build_view(services, f"Pane {place + 1}", read_method(form), visible)
    with view.column, gr.Accordion("Settings", open=False, elem_classes="pane-settings") as settings:
        controls = build_parts(services, form)
        with gr.Column(visible=form.has_own_words, elem_classes="own-words") as own:
            controls["words"] = gr.Textbox(form.words, max_lines=4, **labelled("words"))
            upload = gr.UploadButton(text.UPLOAD_LIST, size="sm")
        controls["strength"] = slider("strength", 0, 100, form.strength, 1)
        with gr.Accordion(text.SEVERAL, open=False, elem_classes="pane-settings") as several:
            controls |= build_attributes(form)
        with gr.Accordion(text.MORE_SETTINGS, open=False, elem_classes="pane-settings"):
            controls |= build_knobs(form)
        remove = gr.Button("Remove this pane", size="sm")
    # Long lists in every dropdown of every pane would be a third of the page, so these come when they can be seen.
    further = [controls[name] for name, _ in SLOTS if name != FIRST_SLOT]
    several.expand(partial(offer_attributes, services, len(further)), None, further, **LIGHT)
    upload.upload(take_list, upload, [controls["words"], view.note], **LIGHT)
    return Pane(*view, settings, remove, own, controls)


def build_parts(services: Services, form: PaneForm) -> dict[str, Component]:
    """What a method is made of."""
    return {
        "lora": adapter_dropdown(services, "lora", form.lora),
        "lora_scale": slider("lora_scale", 0, 4, form.lora_scale, 0.05),
        "prefix": adapter_dropdown(services, "prefix", form.prefix),
        FIRST_SLOT: attribute_dropdown(attribute_choices(services), FIRST_SLOT, form),
    }


def build_attributes(form: PaneForm) -> dict[str, Component]:
    """The weight of the first attribute, and more attributes with theirs."""
    controls: dict[str, Component] = {}
    for name, weight in SLOTS:
        if name != FIRST_SLOT:
            controls[name] = attribute_dropdown([text.NONE], name, form)
        controls[weight] = slider(weight, -5, 5, getattr(form, weight), 0.25)
    return controls


def build_knobs(form: PaneForm) -> dict[str, Component]:
    """Every other setting of PPLM."""
    return {
        "step_size": slider("step_size", 0, 0.5, form.step_size, 0.005),
        "num_iterations": slider("num_iterations", 0, 10, form.num_iterations, 1),
        "window_length": slider("window_length", 0, 64, form.window_length, 1),
        "decay": gr.Checkbox(form.decay, **labelled("decay")),
        "grad_length": slider("grad_length", 0, 256, form.grad_length, 1),
        "horizon_length": slider("horizon_length", 0, 8, form.horizon_length, 1),
        "gamma": slider("gamma", 0, 2, form.gamma, 0.05),
        "kl_scale": slider("kl_scale", 0, 1, form.kl_scale, 0.01),
        "gm_scale": slider("gm_scale", 0, 1, form.gm_scale, 0.01),
        "kl_budget": slider("kl_budget", 0, NO_LIMIT, form.kl_budget, 0.05),
        "best_of": slider("best_of", 1, 16, form.best_of, 1),
        "cooldown": slider("cooldown", 0, 64, form.cooldown, 1),
        "carry": gr.Checkbox(form.carry, **labelled("carry")),
        "as_in_paper": gr.Checkbox(form.as_in_paper, **labelled("as_in_paper")),
    }


def adapter_dropdown(services: Services, kind: str, value: Any) -> gr.Dropdown:
    """The adapters of a kind to choose from. One that is gone is let through, so that the pane can say so."""
    return gr.Dropdown(adapter_choices(services, kind), value=value, allow_custom_value=True, **labelled(kind))


def attribute_dropdown(choices: Sequence[str], name: str, form: PaneForm) -> gr.Dropdown:
    """One attribute to choose. Whatever a client sends is let through, so that the pane can say what is wrong."""
    return gr.Dropdown(list(choices), value=getattr(form, name), allow_custom_value=True, **labelled(name))


def adapter_choices(services: Services, kind: str) -> list[str]:
    """The adapters of a kind that a pane can use, and none."""
    return [text.NONE, *services.names(kind)]


def attribute_choices(services: Services) -> list[str]:
    """What a pane can be steered by."""
    return [text.NONE, text.OWN_WORDS, *services.attribute_names()]


def offer_attributes(services: Services, number: int) -> list[Any]:
    """The choices for so many dropdowns of attributes."""
    return [gr.update(choices=attribute_choices(services)) for _ in range(number)]


def offered(services: Services) -> Offered:
    """What can be chosen in a pane now: adapters and discriminators come and go while the app runs."""
    lora, prefix = (adapter_choices(services, kind) for kind in ("lora", "prefix"))
    return Offered(lora, prefix, attribute_choices(services))


def offer(services: Services, panes: Sequence[Pane], before: Offered) -> Values:
    """New choices for the dropdowns of all panes, where there are others than the page has; what is chosen stays."""
    now = offered(services)
    slots = {"lora": ("lora",), "prefix": ("prefix",), "attributes": [name for name, _ in SLOTS]}
    return {
        pane.controls[name]: gr.update(choices=getattr(now, kind))
        for kind, names in slots.items()
        if getattr(now, kind) != getattr(before, kind)
        for pane in panes
        for name in names
    }


def take_list(path: Any) -> tuple[Any, Marked]:
    """The words of an uploaded list in the box, or what is wrong with it; then the box stays as it was."""
    try:
        return as_text(read_upload(path)), []
    except UserError as error:
        return gr.skip(), message(str(error), is_error=True)


def read_pane(pane: Pane, values: Values) -> PaneForm:
    """What the controls of a pane say."""
    return PaneForm(**{name: values[component] for name, component in pane.controls.items()})


def settings_updates(pane: Pane, form: PaneForm, view: PaneView | None, services: Services) -> Values:
    """What a pane shows after a change of its settings; a text that was there stays and is marked as older."""
    own_words: Values = {pane.own: gr.update(visible=form.has_own_words)}
    try:
        method = read_method(form)
    except UserError as error:
        return own_words | {pane.note: message(str(error), is_error=True)}
    if view is None or not view.spans:
        return own_words | pane_updates(pane, PaneView(method), services)
    changed = view.status if method == view.method else text.CHANGED
    shown = view._replace(method=method, status=changed, note="", is_error=False)
    return own_words | pane_updates(pane, shown, services)
