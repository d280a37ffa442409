"""Marked texts, messages, and the head of a pane: name and cost of a method.

Model text and people's text go only into HighlightedText and Textbox, which escape them; the HTML here holds numbers,
this project's words and escaped names of adapters.
"""

from html import escape
from typing import Any

import gradio as gr
from gradio.blocks import Block

from adapters.methods import NO_LIMIT, PPLM, Method
from demo.parts.numbers import DEPARTS, PROMPT, TOPICS
from demo.parts.words import TRAINED_ON, base_title, count, kinds, origin, percent, title
from demo.services import Services

# The style sheet knows a mark by its colour; that of a departing word of a list is one step off that of its list.
TOPIC_COLORS = dict(zip(TOPICS, ("#f0e442", "#cc79a7", "#56b4e9"), strict=True))
BOTH_COLORS = {f"{mark}, {DEPARTS}": f"#{int(color[1:], 16) + 1:06x}" for mark, color in TOPIC_COLORS.items()}
COLORS = {PROMPT: "transparent", DEPARTS: "#18212f"} | TOPIC_COLORS | BOTH_COLORS
# What a row does: nothing; matrices beside the weights; tokens before the prompt; a page; an arrow into the memory.
GLYPHS = {
    "base": '<rect x="3" y="4" width="14" height="12" rx="2"/>',
    "lora": '<rect x="2" y="4" width="9" height="12" rx="2"/><path d="M14.5 4v12M18 4v12"/>',
    "prefix": '<path d="M2 10h.01M6 10h.01M10 10h.01" stroke-width="3"/><path d="M13.5 10H18"/>',
    "given": '<path d="M5 2h7l4 4v12H5zM8 9h5M8 13h5"/>',
    "pplm": '<path d="M11 5h7M11 10h7M11 15h7M1 10h7M5 7l3 3-3 3"/>',
}
ERROR = "error"
MESSAGE = "message"  # class of every message line
MAX_PANES = 6
Values = dict[Block, Any]  # of components, in or out of a handler
Marked = list[tuple[str, str | float | None]]  # what HighlightedText shows: pieces of text and their marks


def marked_text(label: str, elem_class: str, spans: Marked | None = None) -> gr.HighlightedText:
    return highlighted(spans, label, COLORS, [elem_class])


def message_line(label: str, elem_class: str, words: str = "") -> gr.HighlightedText:
    """A line for messages; it takes no room while it is empty."""
    return highlighted(message(words), label, {ERROR: "transparent"}, [MESSAGE, elem_class])


def highlighted(
    spans: Marked | None, label: str, colors: dict[str, str] | None, classes: list[str]
) -> gr.HighlightedText:
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
    return [(words, ERROR if is_error else None)] if words else []


def head_html(method: Method, services: Services) -> str:
    """The colour, picture and name of a method, and one line of what it does."""
    parts = kinds(method)
    colors = " ".join(f"kind-{kind}" for kind in parts)
    line = escape(cost(method, services))
    pictures = "".join(map(glyph, parts))
    return f'<div class="edge {colors}"></div><h2>{pictures}{escape(title(method))}</h2><p>{line}</p>'


def glyph(kind: str) -> str:
    """The picture of a part of a method, for HTML."""
    return f'<svg class="glyph kind-{kind}" viewBox="0 0 20 20" aria-hidden="true">{GLYPHS[kind]}</svg>'


def cost(method: Method, services: Services) -> str:
    """What the method adds to the base model, in one line."""
    parts = origin(method)
    if (steering := method.steering) is not None:
        best = "" if steering.best_of == 1 else f", best of {steering.best_of}"
        parts.append(f"no training · a gradient nudges the memory before each token ({strength(steering)}{best})")
    if (lora := services.adapter(method.lora)) is not None:
        scale = "" if method.lora_scale == 1 else f", scale {method.lora_scale:g}"
        text, share = TRAINED_ON.get(lora.name, lora.name), percent(lora.num_parameters / services.num_parameters)
        parts.append(f"trained on {text} · {share} extra weights (rank {lora.size}{scale})")
    if (prefix := services.adapter(method.prefix)) is not None:
        share = percent(prefix.num_parameters / services.num_parameters)
        parts.append(f"{prefix.size} learned tokens before the prompt · {share} extra")
    return " · ".join(parts) or f"{base_title(services.base)}, unchanged"


def strength(steering: PPLM) -> str:
    parts = []
    if steering.strength < NO_LIMIT:
        parts.append(f"strength {steering.strength:g}")
    if steering.kl_budget < NO_LIMIT:
        parts.append(f"at most {steering.kl_budget:g} nats per token")
    if steering.num_iterations != 1:
        parts.append(count(steering.num_iterations, "step"))
    return ", ".join(parts) or f"no limit, step size {steering.step_size:g}"
