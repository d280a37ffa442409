"""The components of the X-ray below the panes, from top to bottom."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import gradio as gr

from demo.parts.controls import labelled
from demo.parts.marked import MAX_PANES, message_line
from demo.parts.plots import plot
from demo.parts.words import STOP
from demo.xray import words

NAMED = "happy, sad"


class Side(NamedTuple):
    """One method beside the others."""

    column: gr.Column
    head: gr.HTML
    body: gr.Plot | gr.HighlightedText


class XRayPage(NamedTuple):
    """The components; `texts` and `record` are None until texts are looked at."""

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
    tabs: dict[str, gr.Tab]  # the inner tabs of a step, by name
    next_tab: gr.Tab
    next: tuple[Side, ...]
    under_tab: gr.Tab
    judged: gr.Dropdown
    under: tuple[Side, ...]
    under_line: gr.HighlightedText
    texts: gr.State
    record: gr.State
    open: gr.State  # the name of the inner tab that was opened last


def lay_out_xray() -> XRayPage:
    """Put the components on the page."""
    with gr.Column(visible=False, elem_classes="stack xray") as column:
        gr.HTML(f"<h2>{words.XRAY}</h2><p>{words.XRAY_HELP}</p>", elem_classes="link-head")
        with gr.Row(elem_classes="link-row"):
            pane = gr.Dropdown([], **labelled("xray_pane"))
            named = gr.Textbox(NAMED, submit_btn=True, elem_classes="named", **labelled("xray_words"))
        with gr.Row(elem_classes="below"):
            stop = gr.Button(STOP, size="sm", min_width=0, scale=0, interactive=False)
            save = gr.Button(words.SAVE_RECORD, size="sm", min_width=0, scale=0, interactive=False)
        note = message_line("X-ray: message", "shared-note")
        with gr.Column(visible=False, elem_classes="stack") as body:
            tokens = shaded_text(words.XRAY_TEXT)
            number = gr.Slider(1, 2, 1, step=1, **labelled("xray_token"))
        with gr.Tabs():
            step, tabs = lay_out_step()
            with gr.Tab(words.NEXT_TAB) as next_tab:
                sides = tuple(lay_out_side(place, as_plot=True) for place in in_row(MAX_PANES))
                gr.HTML(f"<p>{words.NEXT_HELP}</p>", elem_classes="help")
            with gr.Tab(words.UNDER_TAB) as under_tab:
                judged = gr.Dropdown([], **labelled("xray_text"))
                under = tuple(lay_out_side(place, as_plot=False) for place in in_row(MAX_PANES))
                line = message_line(f"{words.UNDER_TAB}: {words.TOKEN}", "step-line")
                gr.HTML(f"<p>{words.UNDER_HELP}</p>", elem_classes="help")
    return XRayPage(
        *(column, pane, named, stop, save, note, body, tokens, number, step, tabs),
        *(next_tab, sides, under_tab, judged, under, line),
        texts=gr.State(None),
        record=gr.State(None),
        open=gr.State(words.TOKEN_TAB),
    )


def lay_out_step() -> tuple[dict[str, Any], dict[str, gr.Tab]]:
    """The components of one step and its inner tabs, by name."""
    step: dict[str, Any] = {}
    with gr.Tab(words.TOKEN_TAB) as token:
        step["line"] = message_line(words.TOKEN_TAB, "step-line")
        with gr.Row(elem_classes="plots"):
            step["likely"] = plot(words.LIKELY)
            step["words"] = plot(words.ATTRIBUTE_WORDS)
        step["followed"] = plot(words.FOLLOWED)
        with gr.Accordion(words.ALL_NUMBERS, open=False):
            step["numbers"] = gr.Dataframe(
                interactive=False, wrap=True, show_label=False, label=words.LIKELY, elem_classes="quiet-table"
            )
        gr.HTML(f"<p>{words.TOKEN_HELP}</p>", elem_classes="help")
    with gr.Tab(words.GRADIENT_TAB) as gradient:
        with gr.Row(elem_classes="plots"):
            step["losses"] = plot(words.LOSS_BY_STEP)
            step["layers"] = plot(words.NORM_BY_LAYER)
        step["heat"] = plot(words.HEAT)
        gr.HTML(f"<p>{words.GRADIENT_HELP}</p>", elem_classes="help")
    with gr.Tab(words.NUDGE_TAB) as nudge:
        with gr.Row(elem_classes="plots"):
            step["path_2"], step["path_3"] = map(plot, words.PATHS)
        gr.HTML(f"<p>{words.PATH_HELP}</p>", elem_classes="help")
        step["costs"] = plot(words.COSTS)
    return step, {words.TOKEN_TAB: token, words.GRADIENT_TAB: gradient, words.NUDGE_TAB: nudge}


def in_row(count: int) -> Iterator[int]:
    """Places in a row of panes."""
    with gr.Row(elem_classes="panes"):
        yield from range(count)


def lay_out_side(place: int, as_plot: bool) -> Side:
    """The column of one method beside the others."""
    with gr.Column(visible=False, elem_classes="pane samples", min_width=260) as column:
        head = gr.HTML(elem_classes="pane-head")
        name = f"{words.NEXT_TAB if as_plot else words.UNDER_TAB} {place + 1}"
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
