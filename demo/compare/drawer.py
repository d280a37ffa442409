"""The drawer below the panes: the further settings of one pane, the one that is chosen in it."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import gradio as gr
from gradio.components import Component

from adapters.methods import UserError
from demo.compare import words
from demo.compare.form import OFFERS, PARTS, TOPICAL, PaneForm, read_method, used
from demo.compare.panes import MORE, OTHERS, SEVERAL, control, offered
from demo.parts.controls import labelled
from demo.parts.events import LIGHT
from demo.parts.marked import Values, message_line
from demo.parts.words import NONE, USES, title
from demo.services import Services
from leaderboard.output.looks import KINDS

Forms = Sequence[PaneForm]  # of every pane, by its place


class Drawer:
    """The components, with the settings of the last pane on the page."""

    def __init__(self, services: Services, forms: Forms, shown: Sequence[int]) -> None:
        place, form = shown[-1], forms[shown[-1]]
        self.pane = gr.Radio(pane_names(forms, shown), value=place, **labelled("pane"))
        self.uses = gr.CheckboxGroup([(USES.get(kind, KINDS[kind].title), kind) for kind in PARTS], **labelled("uses"))
        self.uses.value = used(form)
        with gr.Accordion(words.SEVERAL, open=False) as several:
            self.controls = {name: control(name, form) for name in SEVERAL}
        with gr.Accordion(words.MORE_SETTINGS, open=False):
            self.controls |= {name: control(name, form) for name in MORE}
        with gr.Accordion(words.OTHER_SETTINGS, open=False) as others:
            self.controls |= {name: control(name, form) for name in OTHERS}
        self.remove = gr.Button(words.REMOVE, size="sm")
        # The browser sends the place with the values that belong to it: a quick choice of a pane cannot part them.
        self.place = gr.Number(place, visible="hidden", **labelled("pane"))
        self.forms = gr.State(tuple(forms))  # where every pane's further settings are kept
        # Long lists would be a large part of the page, so these come when they can be seen.
        line = message_line("Topics: note", "pane-note")
        for fold, names in ((several, SEVERAL), (others, OTHERS)):
            late = {name: self.controls[name] for name in names if name in OFFERS}
            fold.expand(partial(offer_late, services, late), None, [*late.values(), line], **LIGHT)

    @property
    def inputs(self) -> list[Component]:
        """What a person can change in it."""
        return [self.uses, *self.controls.values()]

    @property
    def outputs(self) -> list[Any]:
        """What `fill` changes."""
        return [self.forms, self.pane, self.place, *self.inputs]

    def read(self, values: Values, place: int, first: Mapping[str, Any]) -> PaneForm:
        """The form of the pane at this place, whose first controls have these values; a part not used is none."""
        kept, form = values[self.forms][place], dict(first)
        parts = used(kept)
        if place == values[self.place]:
            parts = values[self.uses] or []
            kept = kept | {name: values[component] for name, component in self.controls.items()}
        kept = kept | form | {"by": tuple(kind for kind in TOPICAL if kind in parts)}
        choices = {PARTS[kind].choice for kind in parts if kind in PARTS}
        return kept | {part.choice: NONE for part in PARTS.values() if part.choice not in choices}

    def fill(self, forms: Forms, shown: Sequence[int], place: int) -> Values:
        """The settings of the pane at this place, beside the names of all panes on the page."""
        values: Values = {component: forms[place][name] for name, component in self.controls.items()}
        pane = gr.update(choices=pane_names(forms, shown), value=place)
        return values | {self.forms: tuple(forms), self.pane: pane, self.place: place, self.uses: used(forms[place])}


def pane_names(forms: Forms, shown: Sequence[int]) -> list[tuple[str, int]]:
    return [(f"{place + 1} · {name_of(forms[place])}", place) for place in shown]


def name_of(form: PaneForm) -> str:
    """The name of a form's method, or of its parts while a value in it is wrong."""
    try:
        return title(read_method(form))
    except UserError:
        return " + ".join(KINDS[kind].title for kind in used(form))


def offer_late(services: Services, dropdowns: Mapping[str, Component]) -> Values:
    """The choices of the dropdowns, by their names, once they can be seen."""
    choices = offered(services)
    return {dropdown: gr.update(choices=[NONE, *choices[OFFERS[name]]]) for name, dropdown in dropdowns.items()}
