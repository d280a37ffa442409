"""Marked texts, messages, and the head of a pane: name and cost of a method.

Model text and people's text go only into HighlightedText and Textbox, which escape them; the HTML here holds numbers,
this project's words and escaped names of adapters.
"""

from html import escape
from typing import Any

import gradio as gr
from gradio.blocks import Block

from adapters.methods import NO_LIMIT, PPLM, Method
from demo.parts.numbers import ATTRIBUTE, PROMPT
from demo.parts.words import count, kinds, percent, title
from demo.services import Services

COLORS = {PROMPT: "transparent", ATTRIBUTE: "orange"}  # the style sheet tells the marks apart by these two
ERROR = "error"
MESSAGE = "message"  # class of every message line
MAX_PANES = 6
Values = dict[Block, Any]  # of components, in or out of a handler
Marked = list[tuple[str, str | float | None]]  # what HighlightedText shows: pieces of text and their marks


def marked_text(label: str, elem_class: str, spans: Marked | None = None) -> gr.HighlightedText:
    """A text in pieces with their marks."""
    return highlighted(spans, label, COLORS, [elem_class])


def message_line(label: str, elem_class: str, words: str = "") -> gr.HighlightedText:
    """A line for messages; it takes no room while it is empty."""
    return highlighted(message(words), label, {ERROR: "transparent"}, [MESSAGE, elem_class])


def highlighted(spans: Marked | None, label: str, colors: dict[str, str], classes: list[str]) -> gr.HighlightedText:
    """Pieces of text, without a frame."""
    return gr.HighlightedText(
        spans,
        label=label,
        interactive=False,
        color_map=colors,
        show_inline_category=False,
        show_label=False,
        container=False,
        elem_classes=classes,
    )


def message(words: str, is_error: bool = False) -> Marked:
    """The value of a message line."""
    return [(words, ERROR if is_error else None)] if words else []


def head_html(method: Method, services: Services) -> str:
    """Name and cost of a method under its colour."""
    colors = " ".join(f"kind-{kind}" for kind in kinds(method))
    return f'<div class="edge {colors}"></div><h2>{escape(title(method))}</h2><p>{escape(cost(method, services))}</p>'


def cost(method: Method, services: Services) -> str:
    """What was added to the base model and what it cost, in one line."""
    parts = []
    if (steering := method.steering) is not None:
        best = "" if steering.best_of == 1 else f", best of {steering.best_of}"
        trained = "" if method.lora or method.prefix else ", no training"
        steps = count(steering.num_iterations, "gradient step")
        parts.append(f"{strength(steering)}, {steps} per token{best}{trained}")
    if (lora := services.adapter(method.lora)) is not None:
        scale = "" if method.lora_scale == 1 else f", scale {method.lora_scale:g}"
        parts.append(
            f"{percent(lora.num_parameters / services.num_parameters)} extra weights (rank {lora.size}){scale}"
        )
    if (prefix := services.adapter(method.prefix)) is not None:
        extra = percent(prefix.num_parameters / services.num_parameters)
        parts.append(f"{prefix.size} learned tokens before the prompt, {extra} extra weights")
    return " · ".join(parts) or f"{services.base}, unchanged"


def strength(steering: PPLM) -> str:
    """The limits of steering."""
    parts = []
    if steering.strength < NO_LIMIT:
        parts.append(f"strength {steering.strength:g}")
    if steering.kl_budget < NO_LIMIT:
        parts.append(f"at most {steering.kl_budget:g} nats per token")
    return ", ".join(parts) or f"no limit, step size {steering.step_size:g}"
