"""One pane: what its method is and does, its text, and all settings, each with its label, help and scale.

What a person changes first stands in the pane: the adapter or the topic, its scale or strength. Everything else is in
the drawer below the panes (demo.compare.drawer).
"""

import re
from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr
from gradio.components import Component

from adapters.ask.instructions import instructions
from adapters.pplm.word_list import as_text
from demo.compare import words
from demo.compare.board import Figures, PaneView
from demo.compare.form import DEFAULTS, OFFERS, PARTS, PPLM_FIELDS, PaneForm, has_own_words, used
from demo.parts.controls import controls, labelled, slider
from demo.parts.events import LIGHT
from demo.parts.marked import Marked, Values, head_html, marked_text, message, message_line
from demo.parts.numbers import PROMPT
from demo.parts.uploads import read_upload
from demo.parts.words import NONE, OWN_WORDS, UPLOAD_LIST, can_xray, count
from demo.services import Services

FIRST, OWN, SEVERAL, MORE, OTHERS = map(controls, ("pane", "own", "mix", "advanced", "others"))
KNOBS = FIRST | OWN | SEVERAL | MORE | OTHERS
WORD = re.compile(r"\s*\S+|\s+")  # with the blanks before it
Choices = dict[str, list[str]]  # of the dropdowns, by kind


class View:
    """The part of a pane that shows, on the page."""

    def __init__(self, services: Services, name: str, view: PaneView, visible: bool = False) -> None:
        with gr.Column(visible=visible, elem_classes="pane", min_width=260) as self.column:
            self.head = gr.HTML(head_html(view.method, services), elem_classes="pane-head")
            self.choice = gr.Column(elem_classes="pane-choice", min_width=0)
            self.text = marked_text(f"{name}: text", "pane-text", pane_text(view))
            self.status = gr.HTML(status_html(view), elem_classes="pane-status")
            self.note = message_line(f"{name}: note", "pane-note", view.note)
        self.parts: list[Component] = [self.head, self.text, self.status, self.note]

    def values(self, view: PaneView, services: Services) -> Values:
        return {
            self.head: head_html(view.method, services),
            self.text: pane_text(view),
            self.status: status_html(view),
            self.note: message(view.note, view.is_error),
        }

    def updates(self, before: PaneView | None, view: PaneView, services: Services) -> Values:
        """The values that differ between two views; all of them without a view before."""
        old = {} if before is None else self.values(before, services)
        return {part: value for part, value in self.values(view, services).items() if old.get(part, ...) != value}


class Pane:
    """A pane on the page, set up for the method that `form` describes."""

    def __init__(self, services: Services, place: int, form: PaneForm, view: PaneView, visible: bool) -> None:
        self.place = place
        self.view = View(services, f"Pane {place + 1}", view, visible)
        choices, shown = offered(services), visible_controls(form)
        with self.view.choice:
            with gr.Row(elem_classes="choice-row"):
                self.controls = {name: control(name, form, choices, shown[name]) for name in FIRST}
            with gr.Column(visible=has_own_words(form), elem_classes="own-words") as self.own:
                self.controls["words"] = control("words", form)
                upload = gr.UploadButton(UPLOAD_LIST, size="sm")
        upload.upload(take_list, upload, [self.controls["words"], self.view.note], **LIGHT)

    @property
    def outputs(self) -> list[Any]:
        """What `settle` and `fill` change."""
        return [*self.controls.values(), self.own]

    def settle(self, form: PaneForm) -> Values:
        """Show the controls of the parts that the form uses."""
        shown = visible_controls(form)
        updates: Values = {self.controls[name]: gr.update(visible=visible) for name, visible in shown.items()}
        return updates | {self.own: gr.update(visible=has_own_words(form))}

    def fill(self, form: PaneForm) -> Values:
        """Set its controls to the form's values; the dropdown of a part that it does not use keeps its own."""
        updates = self.settle(form) | {self.controls["words"]: form["words"]}
        for name, shown in visible_controls(form).items():
            if shown:
                updates[self.controls[name]] = gr.update(value=form[name], visible=True)
        return updates


def visible_controls(form: PaneForm) -> dict[str, bool]:
    """Which of the first controls belong to the parts that the form uses."""
    parts = [PARTS[kind] for kind in used(form)]
    shown = {name for part in parts for name in (part.choice, *part.levers)}
    shown -= set() if form["ask"] == OWN_WORDS else {"instruction"}
    return {name: name in shown for name in FIRST}


def control(name: str, form: PaneForm, choices: Choices | None = None, visible: bool = True) -> Component:
    """The component of a knob. A dropdown accepts any value, so that the form can name a bad one."""
    value, labels = form[name], labelled(name, of=KNOBS) | {"visible": visible}
    if name in PPLM_FIELDS and name not in FIRST:
        labels["label"] += f" ({name})"
    if scale := KNOBS[name].scale:
        return slider(value, scale, **labels)
    if isinstance(DEFAULTS[name], bool):
        return gr.Checkbox(value, **labels)
    if name in OFFERS:
        known = [NONE] if choices is None else choices[OFFERS[name]]
        first = next((one for one in known if one != OWN_WORDS), NONE)
        chosen = first if name in FIRST and value == NONE else value
        return gr.Dropdown(known, value=chosen, allow_custom_value=True, **labels)
    return gr.Textbox(value, max_lines=4, **labels)


def offered(services: Services) -> Choices:
    """The choices in a pane now: adapters and classifiers come and go while the app runs."""
    adapters = {kind: services.names(kind) for kind in ("lora", "prefix")}
    found = adapters | {"adapter": [name for names in adapters.values() for name in names]}
    found |= {"attribute": services.attribute_names(), "instruction": list(instructions())}
    found |= {"vector": services.vector_names()}
    return found | {kind: [OWN_WORDS, *found[kind]] for kind in ("attribute", "instruction")}


def offer(services: Services, panes: Sequence[Pane], known: gr.State, before: Choices) -> Values:
    """New choices for the dropdowns in all panes that differ from those on the page, which are noted in `known`."""
    now = offered(services)
    return {known: now} | {
        pane.controls[name]: gr.update(choices=now[kind])
        for pane in panes
        for name, kind in OFFERS.items()
        if name in FIRST and now[kind] != before[kind]
    }


def take_list(path: Any) -> tuple[Any, Marked]:
    """The words of an uploaded list. Raises UserError."""
    return as_text(read_upload(path)), []


def pane_text(view: PaneView) -> Marked:
    """The text of a pane, or what the pane does until it has one; a steered text word by word, to be clicked."""
    if not view.spans and not view.running:
        return [(words.describe(view.method), PROMPT)]
    apart = can_xray(view.method) and not view.running
    pieces: Marked = []
    for text, mark in view.spans:
        for word in WORD.findall(text) if apart and not mark else [text]:
            if word.isspace() and pieces:  # alone it would be a button without a name
                pieces[-1] = pieces[-1][0] + word, pieces[-1][1]
            else:
                pieces.append((word, mark))
    return pieces


def clicked_word(view: PaneView, index: Any) -> int | None:
    """Where the clicked piece of a steered text begins, in characters after the prompt; None if it is no such piece."""
    pieces = pane_text(view)
    if view.running or not can_xray(view.method) or not isinstance(index, int) or not 0 < index < len(pieces):
        return None
    word = pieces[index][0]
    blanks = len(word) - len(word.lstrip())
    return sum(len(text) for text, _ in pieces[:index]) + blanks - len(view.spans[0][0])


def status_html(view: PaneView) -> str:
    figures = view.figures or Figures(0)
    parts = [view.status]
    if view.running and figures.tokens:
        parts = [count(figures.tokens, "token"), view.status]
    state = "running" if view.running else "old" if view.status == words.CHANGED else "resting"
    return f'<p class="status {state}">{escape(" · ".join(parts))}</p>'
