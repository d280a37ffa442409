"""One pane: the name of a method, its text and figures, and its settings, each with its label, help and scale."""

from collections.abc import Sequence
from functools import partial
from html import escape
from typing import Any, NamedTuple

import gradio as gr
from gradio.components import Component

from adapters.methods import BASE, NO_LIMIT, Method
from adapters.pplm.word_list import as_text
from demo.compare import words
from demo.compare.board import Figures, PaneView
from demo.compare.form import DEFAULTS, PPLM_FIELDS, SLOTS, PaneForm, has_own_words, read_method
from demo.parts.controls import slider
from demo.parts.events import LIGHT
from demo.parts.marked import Marked, Values, head_html, marked_text, message, message_line
from demo.parts.numbers import PROMPT
from demo.parts.word_table import read_upload
from demo.parts.words import NONE, OWN_WORDS, UPLOAD_LIST, count
from demo.services import Services


class Knob(NamedTuple):
    """One setting. One with a scale (lowest, highest, step) is a number."""

    label: str
    info: str
    scale: tuple[float, float, float] | None = None


WEIGHT = "How much it counts beside the others; below 0 steers away from it."
FIRST = {
    "lora": Knob("LoRA", "Small trained matrices added to the weights."),
    "lora_scale": Knob("LoRA scale", "How much of them is added: 0 is Base, 1 is as trained.", (0, 4, 0.05)),
    "prefix": Knob("Prefix", "Learned tokens before the prompt."),
    "attribute": Knob("Attribute (PPLM)", "Steer towards a word list, or a discriminator's class (name:class)."),
}
OWN = {
    "words": Knob("Own words", "Separated by commas or lines; black hole is one entry, laser:2 counts twice."),
    "strength": Knob(
        "Strength",
        "Higher: more on topic, less fluent. Nats of KL that one more list word may cost; 100 is no limit.",
        (0, 100, 1),
    ),
}
SEVERAL = {
    "weight": Knob("Weight of the first", WEIGHT, (-5, 5, 0.25)),
    "attribute_2": Knob("Second attribute", "Steer by both at once."),
    "weight_2": Knob("Weight of the second", WEIGHT, (-5, 5, 0.25)),
    "attribute_3": Knob("Third attribute", "Steer by all three at once."),
    "weight_3": Knob("Weight of the third", WEIGHT, (-5, 5, 0.25)),
}
MORE = {
    "step_size": Knob("Step size", "Length of a gradient step; 0 steers nothing.", (0, 0.5, 0.005)),
    "num_iterations": Knob("Steps per token", "More follow the attribute better and take longer.", (0, 10, 1)),
    "window_length": Knob("Window", "Steer only the newest positions, not the beginning; 0 steers all.", (0, 64, 1)),
    "decay": Knob("Decay", "Steer older positions of the window less: the text keeps to its beginning."),
    "grad_length": Knob("Steered tokens", "Steer only the first tokens; 0 steers all.", (0, 256, 1)),
    "horizon_length": Knob("Horizon", "Future tokens that a discriminator also judges; more take longer.", (0, 8, 1)),
    "gamma": Knob("Gradient norm", "1: equally long steps; above: longer steps for small gradients.", (0, 2, 0.05)),
    "kl_scale": Knob("Stay close", "Higher stays closer to the unsteered words.", (0, 1, 0.01)),
    "gm_scale": Knob("Fusion", "Share of the steered distribution in the mix; lower is more fluent.", (0, 1, 0.01)),
    "kl_budget": Knob("Limit", "Nats that steering may cost at any token; 100 is no limit.", (0, NO_LIMIT, 0.05)),
    "best_of": Knob("Best of", "Write so many texts at once and keep the one most on topic.", (1, 16, 1)),
    "cooldown": Knob("Cooldown", "Tokens before a used word gets likelier again; at 0 it may repeat.", (0, 64, 1)),
    "carry": Knob("Carry on", "Add up the steps from token to token: stronger, and texts may fall apart."),
    "as_in_paper": Knob("The paper's algorithm", "No limit, no cooldown, carried on: the step size sets the strength."),
}
KNOBS = FIRST | OWN | SEVERAL | MORE
KIND = {"lora": "lora", "prefix": "prefix"} | {name: "attribute" for name, _ in SLOTS}  # of each dropdown
Choices = dict[str, list[str]]  # of the dropdowns, by kind


class View:
    """The part of a pane that shows, on the page."""

    def __init__(self, services: Services, name: str, method: Method = BASE, visible: bool = False) -> None:
        with gr.Column(visible=visible, elem_classes="pane", min_width=260) as self.column:
            self.head = gr.HTML(head_html(method, services), elem_classes="pane-head")
            self.text = marked_text(f"{name}: text", "pane-text", pane_text(PaneView(method)))
            self.figures = gr.HTML(figures_html(PaneView(method)), elem_classes="pane-figures")
            self.note = message_line(f"{name}: note", "pane-note")
        self.parts: list[Component] = [self.head, self.text, self.figures, self.note]

    def values(self, view: PaneView, services: Services) -> Values:
        """The values of its parts."""
        return {
            self.head: head_html(view.method, services),
            self.text: pane_text(view),
            self.figures: figures_html(view),
            self.note: message(view.note, view.is_error),
        }

    def updates(self, before: PaneView | None, view: PaneView, services: Services) -> Values:
        """The values that differ between two views; all of them without a view before."""
        old = {} if before is None else self.values(before, services)
        return {part: value for part, value in self.values(view, services).items() if old.get(part, ...) != value}


class Pane:
    """A pane on the page, set up for the method that `form` describes."""

    def __init__(self, services: Services, place: int, form: PaneForm, visible: bool) -> None:
        self.view = View(services, f"Pane {place + 1}", read_method(form), visible)
        choices = offered(services)
        with self.view.column, gr.Accordion("Settings", open=False, elem_classes="pane-settings") as self.settings:
            self.controls = {name: control(name, form, choices) for name in FIRST}
            with gr.Column(visible=has_own_words(form), elem_classes="own-words") as self.own:
                self.controls["words"] = control("words", form)
                upload = gr.UploadButton(UPLOAD_LIST, size="sm")
            self.controls["strength"] = control("strength", form)
            with gr.Accordion(words.SEVERAL, open=False, elem_classes="pane-settings") as several:
                self.controls |= {name: control(name, form) for name in SEVERAL}
            with gr.Accordion(words.MORE_SETTINGS, open=False, elem_classes="pane-settings"):
                self.controls |= {name: control(name, form) for name in MORE}
            self.remove = gr.Button("Remove this pane", size="sm")
        # Long lists in every dropdown of every pane would be a third of the page, so these come when they can be seen.
        further = [self.controls[name] for name in SEVERAL if name in KIND]
        several.expand(partial(offer_attributes, services, further), None, [*further, self.view.note], **LIGHT)
        upload.upload(take_list, upload, [self.controls["words"], self.view.note], **LIGHT)

    def read(self, values: Values) -> PaneForm:
        """The values of its controls."""
        return {name: values[component] for name, component in self.controls.items()}


def control(name: str, form: PaneForm, choices: Choices | None = None) -> Component:
    """The component of a knob. A dropdown accepts any value, so that the form can name a bad one."""
    knob, value = KNOBS[name], form[name]
    label = f"{knob.label} ({name})" if name in PPLM_FIELDS else knob.label  # with the paper's name too
    labels: dict[str, Any] = {"label": label, "info": knob.info, "interactive": True}
    if knob.scale is not None:
        return slider(value, knob.scale, **labels)
    if isinstance(DEFAULTS[name], bool):
        return gr.Checkbox(value, **labels)
    if name in KIND:
        known = [NONE] if choices is None else choices[KIND[name]]
        return gr.Dropdown(known, value=value, allow_custom_value=True, **labels)
    return gr.Textbox(value, max_lines=4, **labels)


def offered(services: Services) -> Choices:
    """The choices in a pane now: adapters and discriminators come and go while the app runs."""
    adapters = {kind: [NONE, *services.names(kind)] for kind in ("lora", "prefix")}
    return adapters | {"attribute": [NONE, OWN_WORDS, *services.attribute_names()]}


def offer_attributes(services: Services, dropdowns: Sequence[Component]) -> Values:
    """The choices for dropdowns of attributes."""
    return dict.fromkeys(dropdowns, gr.update(choices=offered(services)["attribute"]))


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


def pane_text(view: PaneView) -> Marked:
    """The text of a pane, or what the pane does until it has one."""
    return list(view.spans) if view.spans or view.running else [(words.describe(view.method), PROMPT)]


def figures_html(view: PaneView) -> str:
    """The state of a text, its length and speed, and its three figures."""
    figures = view.figures or Figures(0)
    parts = [view.status]
    if figures.tokens:
        parts = [count(figures.tokens, "token"), f"{number(figures.tokens_per_second, 1)} tokens/s", view.status]
    cells = {
        "perplexity (base)": number(figures.perplexity, 1),
        "distinct-2 (words)": number(figures.distinct_2, 2),
        "attribute words": number(figures.attribute_words, 0),
    }
    rows = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in cells.items())
    state = "running" if view.running else "resting"
    return f'<p class="status {state}">{escape(" · ".join(parts))}</p><dl>{rows}</dl>'


def number(value: float | None, digits: int) -> str:
    """A figure with so many digits, or a dash for no value."""
    if value is None:
        return "–"
    return f"{value:,.{digits}f}" if value < 100_000 else f"{value:.0e}"
