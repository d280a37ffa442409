"""The components of the X-ray below the panes, from top to bottom."""

from collections.abc import Callable
from typing import Any, NamedTuple

import gradio as gr

from demo.parts.actions import small_button
from demo.parts.controls import labelled
from demo.parts.marked import MAX_PANES, highlighted, message_line
from demo.parts.plots import plot
from demo.parts.tables import quiet_table
from demo.parts.words import STOP
from demo.xray import words


class Side(NamedTuple):
    column: gr.Column
    head: gr.HTML
    body: Any  # a plot or a shaded text


class XRayPage:
    """The components, from top to bottom; `texts` and `record` are None until texts are looked at."""

    def __init__(self) -> None:
        with gr.Column(visible=False, elem_classes="stack xray") as self.column:
            gr.HTML(f"<h2>{words.XRAY}</h2><p>{words.XRAY_HELP}</p>", elem_classes="link-head")
            with gr.Row(elem_classes="link-row"):
                self.pane = gr.Dropdown([], **labelled("xray_pane"))
                self.named = gr.Textbox(submit_btn=True, elem_classes="named", **labelled("xray_words"))
            with gr.Row(elem_classes="below"):
                self.stop = small_button(STOP, interactive=False)
                self.save = small_button(words.SAVE_RECORD, interactive=False)
            self.message = message_line("X-ray: message", "shared-note")
            with gr.Column(visible=False, elem_classes="stack") as self.body:
                self.text = shaded_text(words.XRAY_TEXT)
                self.number = gr.Slider(1, 2, 1, step=1, **labelled("xray_token"))
            self.step: dict[str, Any] = {}  # what shows one step, by name
            self.tabs: dict[str, gr.Tab] = {}  # the inner tabs of a step, by name
            with gr.Tabs():
                lay_out_token(self.step, self.tabs)
                with gr.Tab(words.NEXT_TAB) as self.next_tab:
                    self.next = lay_out_sides(words.NEXT_TAB, lambda name: gr.Plot(label=name, show_label=False))
                    gr.HTML(f"<p>{words.NEXT_HELP}</p>", elem_classes="help")
                with gr.Tab(words.EXPERT_TAB) as self.expert_tab, gr.Tabs():
                    lay_out_gradient(self.step, self.tabs)
                    with gr.Tab(words.UNDER_TAB) as self.under_tab:
                        self.judged = gr.Dropdown([], **labelled("xray_text"))
                        self.under = lay_out_sides(words.UNDER_TAB, shaded_text)
                        self.under_line = message_line(f"{words.UNDER_TAB}: {words.TOKEN}", "step-line")
                        gr.HTML(f"<p>{words.UNDER_HELP}</p>", elem_classes="help")
        self.texts, self.record = gr.State(None), gr.State(None)
        self.open = gr.State(words.TOKEN_TAB)  # the tab of a step that was opened last
        self.inner = gr.State(words.GRADIENT_TAB)  # the one for researchers that was


def lay_out_token(step: dict[str, Any], tabs: dict[str, gr.Tab]) -> None:
    with gr.Tab(words.TOKEN_TAB) as tabs[words.TOKEN_TAB]:
        step["line"] = message_line(words.TOKEN_TAB, "step-line")
        with gr.Row(elem_classes="plots"):
            step["likely"] = plot(words.LIKELY)
            step["words"] = plot(words.ATTRIBUTE_WORDS)
        step["followed"] = plot(words.FOLLOWED)
        with gr.Accordion(words.ALL_NUMBERS, open=False):
            step["numbers"] = quiet_table(words.LIKELY, wrap=True)
        gr.HTML(f"<p>{words.TOKEN_HELP}</p>", elem_classes="help")


def lay_out_gradient(step: dict[str, Any], tabs: dict[str, gr.Tab]) -> None:
    with gr.Tab(words.GRADIENT_TAB) as tabs[words.GRADIENT_TAB]:
        with gr.Row(elem_classes="plots"):
            step["losses"] = plot(words.LOSS_BY_STEP)
            step["layers"] = plot(words.NORM_BY_LAYER)
        step["heat"] = plot(words.HEAT)
        gr.HTML(f"<p>{words.GRADIENT_HELP}</p>", elem_classes="help")
    with gr.Tab(words.NUDGE_TAB) as tabs[words.NUDGE_TAB]:
        with gr.Row(elem_classes="plots"):
            step["path_2"], step["path_3"] = map(plot, words.PATHS)
        gr.HTML(f"<p>{words.PATH_HELP}</p>", elem_classes="help")
        step["costs"] = plot(words.COSTS)


def lay_out_sides(tab: str, make: Callable[[str], Any]) -> list[Side]:
    """A row of columns, one for each method; `make` puts the named body into each."""
    sides = []
    with gr.Row(elem_classes="panes"):
        for place in range(MAX_PANES):
            with gr.Column(visible=False, elem_classes="pane samples", min_width=260) as column:
                sides.append(Side(column, gr.HTML(elem_classes="pane-head"), make(f"{tab} {place + 1}")))
    return sides


def shaded_text(label: str) -> gr.HighlightedText:
    """A text of tokens that can be clicked, shaded by numbers from 0 to 1; the chosen one is below 0."""
    return highlighted(None, label, None, ["shaded-text"])
