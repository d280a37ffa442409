"""The components of the X-ray below the panes, from top to bottom.

Knows what is where; what it shows is in demo.xray.tab.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import gradio as gr

from demo.parts import words as text
from demo.parts.board import MAX_PANES
from demo.parts.controls import labelled
from demo.parts.panes import message_line
from demo.parts.plots import plot
from demo.xray import words as words_xray

NAMED = "happy, sad"


class Side(NamedTuple):
    """One method beside the others."""

    column: gr.Column
    head: gr.HTML
    body: gr.Plot | gr.HighlightedText


class XRayPage(NamedTuple):
    """The components; `texts` and `record` are what has been looked at, None before."""

    column: gr.Column
    pane: gr.Dropdown
    named: gr.Textbox
    stop: gr.Button
    save: gr.Button
    message: gr.HighlightedText
    body: gr.Column
    text: gr.HighlightedText
    number: gr.Slider
    step: dict[str, Any]  # components that show one step, by name
    next_tab: gr.Tab
    next: tuple[Side, ...]
    under_tab: gr.Tab
    judged: gr.Dropdown
    under: tuple[Side, ...]
    under_line: gr.HighlightedText
    texts: gr.State
    record: gr.State


def lay_out_xray() -> XRayPage:
    """Puts the components on the page."""
    with gr.Column(visible=False, elem_classes="stack xray") as column:
        gr.HTML(f"<h2>{words_xray.XRAY}</h2><p>{words_xray.XRAY_HELP}</p>", elem_classes="link-head")
        with gr.Row(elem_classes="link-row"):
            pane = gr.Dropdown([], **labelled("xray_pane"))
            named = gr.Textbox(NAMED, submit_btn=True, elem_classes="named", **labelled("xray_words"))
        with gr.Row(elem_classes="below"):
            stop = gr.Button(text.STOP, size="sm", min_width=0, scale=0, interactive=False)
            save = gr.Button(words_xray.SAVE_RECORD, size="sm", min_width=0, scale=0, interactive=False)
        note = message_line("X-ray: message", "shared-note")
        with gr.Column(visible=False, elem_classes="stack") as body:
            tokens = shaded_text(words_xray.XRAY_TEXT)
            number = gr.Slider(1, 2, 1, step=1, **labelled("xray_token"))
        with gr.Tabs():
            step = lay_out_step()
            with gr.Tab(words_xray.NEXT_TAB) as next_tab:
                sides = tuple(lay_out_side(place, as_plot=True) for place in in_row(MAX_PANES))
                gr.HTML(f"<p>{words_xray.NEXT_HELP}</p>", elem_classes="help")
            with gr.Tab(words_xray.UNDER_TAB) as under_tab:
                judged = gr.Dropdown([], **labelled("xray_text"))
                under = tuple(lay_out_side(place, as_plot=False) for place in in_row(MAX_PANES))
                line = message_line(f"{words_xray.UNDER_TAB}: {words_xray.TOKEN}", "step-line")
                gr.HTML(f"<p>{words_xray.UNDER_HELP}</p>", elem_classes="help")
    return XRayPage(
        *(column, pane, named, stop, save, note, body, tokens, number, step),
        *(next_tab, sides, under_tab, judged, under, line),
        texts=gr.State(None),
        record=gr.State(None),
    )


def lay_out_step() -> dict[str, Any]:
    """The inner tabs of one step, its components by name."""
    step: dict[str, Any] = {}
    with gr.Tab(words_xray.TOKEN_TAB):
        step["line"] = message_line(words_xray.TOKEN_TAB, "step-line")
        with gr.Row(elem_classes="plots"):
            step["likely"] = plot(words_xray.LIKELY)
            step["words"] = plot(words_xray.ATTRIBUTE_WORDS)
        step["followed"] = plot(words_xray.FOLLOWED)
        with gr.Accordion(words_xray.ALL_NUMBERS, open=False):
            step["numbers"] = gr.Dataframe(
                interactive=False, wrap=True, show_label=False, label=words_xray.LIKELY, elem_classes="quiet-table"
            )
        gr.HTML(f"<p>{words_xray.TOKEN_HELP}</p>", elem_classes="help")
    with gr.Tab(words_xray.GRADIENT_TAB):
        with gr.Row(elem_classes="plots"):
            step["losses"] = plot(words_xray.LOSS_BY_PUSH)
            step["layers"] = plot(words_xray.NORM_BY_LAYER)
        step["heat"] = plot(words_xray.HEAT)
        gr.HTML(f"<p>{words_xray.GRADIENT_HELP}</p>", elem_classes="help")
    with gr.Tab(words_xray.NUDGE_TAB):
        with gr.Row(elem_classes="plots"):
            step["path_2"], step["path_3"] = map(plot, words_xray.PATHS)
        gr.HTML(f"<p>{words_xray.PATH_HELP}</p>", elem_classes="help")
        step["costs"] = plot(words_xray.COSTS)
    return step


def in_row(count: int) -> Iterator[int]:
    """Places in a row of panes."""
    with gr.Row(elem_classes="panes"):
        yield from range(count)


def lay_out_side(place: int, as_plot: bool) -> Side:
    """The place for one method beside the others."""
    with gr.Column(visible=False, elem_classes="pane samples", min_width=260) as column:
        head = gr.HTML(elem_classes="pane-head")
        name = f"{words_xray.NEXT_TAB if as_plot else words_xray.UNDER_TAB} {place + 1}"
        return Side(column, head, gr.Plot(label=name, show_label=False) if as_plot else shaded_text(name))


def shaded_text(label: str) -> gr.HighlightedText:
    """A text of tokens that can be clicked, shaded by numbers from 0 to 1; the chosen one is below 0."""
    return gr.HighlightedText(
        label=label,
        interactive=False,
        show_label=False,
        container=False,
        show_legend=False,
        elem_classes="shaded-text",
    )
