"""The settings of a pane: its controls, their values, and the pane after a change."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import gradio as gr
from gradio.components import Component

from adapters.methods import UserError
from adapters.pplm.word_list import as_text
from demo.compare import words
from demo.compare.board import PaneView
from demo.compare.form import PaneForm, has_own_words, read_method
from demo.compare.knobs import DEFAULTS, FIRST, KNOBS, MORE, SEVERAL, SLOTS, label
from demo.compare.panes import Pane, build_view, view_updates
from demo.parts.controls import slider
from demo.parts.events import LIGHT
from demo.parts.marked import Marked, Values, message
from demo.parts.word_table import read_upload
from demo.parts.words import NONE, OWN_WORDS, UPLOAD_LIST
from demo.services import Services

Choices = dict[str, list[str]]  # of the dropdowns, by kind
KIND = {"lora": "lora", "prefix": "prefix"} | {name: "attribute" for name, _ in SLOTS}  # of each dropdown


def build_pane(services: Services, place: int, form: PaneForm, visible: bool) -> Pane:
    """A pane on the page, set up for the method that `form` describes."""
    view = build_view(services, f"Pane {place + 1}", read_method(form), visible)
    choices = offered(services)
    with view.column, gr.Accordion("Settings", open=False, elem_classes="pane-settings") as settings:
        controls = {name: control(name, form, choices.get(KIND.get(name, ""))) for name in FIRST}
        with gr.Column(visible=has_own_words(form), elem_classes="own-words") as own:
            controls["words"] = control("words", form)
            upload = gr.UploadButton(UPLOAD_LIST, size="sm")
        controls["strength"] = control("strength", form)
        with gr.Accordion(words.SEVERAL, open=False, elem_classes="pane-settings") as several:
            controls |= {name: control(name, form) for name in SEVERAL}
        with gr.Accordion(words.MORE_SETTINGS, open=False, elem_classes="pane-settings"):
            controls |= {name: control(name, form) for name in MORE}
        remove = gr.Button("Remove this pane", size="sm")
    # Long lists in every dropdown of every pane would be a third of the page, so these come when they can be seen.
    further = [controls[name] for name in SEVERAL if name in KIND]
    several.expand(partial(offer_attributes, services, len(further)), None, further, **LIGHT)
    upload.upload(take_list, upload, [controls["words"], view.note], **LIGHT)
    return Pane(view, settings, remove, own, controls)


def control(name: str, form: PaneForm, choices: Sequence[str] | None = None) -> Component:
    """The component of a knob. A dropdown accepts any value, so that the form can name a bad one."""
    knob, value = KNOBS[name], form[name]
    labels: dict[str, Any] = {"label": label(name), "info": knob.info, "interactive": True}
    if knob.scale is not None:
        return slider(value, knob.scale, **labels)
    if isinstance(DEFAULTS[name], bool):
        return gr.Checkbox(value, **labels)
    if name in KIND:
        return gr.Dropdown(list(choices or [NONE]), value=value, allow_custom_value=True, **labels)
    return gr.Textbox(value, max_lines=4, **labels)


def offered(services: Services) -> Choices:
    """The choices in a pane now: adapters and discriminators come and go while the app runs."""
    adapters = {kind: [NONE, *services.names(kind)] for kind in ("lora", "prefix")}
    return adapters | {"attribute": [NONE, OWN_WORDS, *services.attribute_names()]}


def offer_attributes(services: Services, number: int) -> list[Any]:
    """The choices for so many dropdowns of attributes."""
    return [gr.update(choices=offered(services)["attribute"])] * number


def offer(services: Services, panes: Sequence[Pane], before: Choices) -> Values:
    """New choices for the dropdowns of all panes that differ from those on the page."""
    now = offered(services)
    return {
        pane.controls[name]: gr.update(choices=now[kind])
        for pane in panes
        for name, kind in KIND.items()
        if now[kind] != before[kind]
    }


def take_list(path: Any) -> tuple[Any, Marked]:
    """The words of an uploaded list. Raises UserError."""
    return as_text(read_upload(path)), []


def read_pane(pane: Pane, values: Values) -> PaneForm:
    """The values of a pane's controls."""
    return {name: values[component] for name, component in pane.controls.items()}


def settings_updates(pane: Pane, form: PaneForm, view: PaneView | None, services: Services) -> Values:
    """The pane after a change of its settings; its text stays, is marked as old, and is not sent again."""
    shown = pane.view
    own_words: Values = {pane.own: gr.update(visible=has_own_words(form))}
    try:
        method = read_method(form)
    except UserError as error:
        return own_words | {shown.note: message(str(error), is_error=True)}
    if view is None or not view.spans:
        return own_words | view_updates(shown, None, PaneView(method), services)
    status = view.status if method == view.method else words.CHANGED
    updates = view_updates(shown, None, view._replace(method=method, status=status, note="", is_error=False), services)
    del updates[shown.text]
    return own_words | updates
