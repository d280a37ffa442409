"""Marked texts, messages, and the head of a pane: name and cost of a method.

Model text and people's text go only into HighlightedText and Textbox, which escape them; the HTML here holds numbers,
this project's words and escaped names of adapters.
"""

from collections.abc import Sequence
from html import escape
from textwrap import shorten
from typing import Any

import gradio as gr
from gradio.blocks import Block

from adapters.ask.instructions import instructions
from adapters.methods import NO_LIMIT, PPLM, Ask, Method
from demo.parts.numbers import DEPARTS, PROMPT, TOPICS
from demo.parts.words import DOES, NO_TRAINING, TRAINED_ON, base_title, count, kinds, origin, percent, title
from demo.services import Services
from leaderboard.output.looks import KINDS

# The style sheet knows a mark by its colour; that of a departing word of a list is one step off that of its list.
TOPIC_COLORS = dict(zip(TOPICS, ("#f0e442", "#cc79a7", "#56b4e9"), strict=True))
BOTH_COLORS = {f"{mark}, {DEPARTS}": f"#{int(color[1:], 16) + 1:06x}" for mark, color in TOPIC_COLORS.items()}
COLORS = {PROMPT: "transparent", DEPARTS: "#18212f"} | TOPIC_COLORS | BOTH_COLORS
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
    name, line = escape(title(method)), escape(cost(method, services))
    return f"{edges(parts)}<h2>{''.join(map(glyph, parts))}{name}</h2><p>{line}</p>"


def edges(parts: Sequence[str]) -> str:
    """The colours of a method side by side, for HTML."""
    colors = "".join(f'<i class="kind-{kind}"></i>' for kind in parts)
    return f'<div class="edges">{colors}</div>'


def glyph(kind: str) -> str:
    """The picture of a part of a method, for HTML."""
    path = f'<path d="{KINDS[kind].glyph}"/>'
    return f'<svg class="glyph kind-{kind}" viewBox="0 0 20 20" aria-hidden="true">{path}</svg>'


def cost(method: Method, services: Services) -> str:
    """What the method adds to the base model, in one line."""
    parts = []
    if (steering := method.steering) is not None:
        best = "" if steering.best_of == 1 else f", best of {steering.best_of}"
        line = DOES["pplm" if steering.num_iterations else "best"]
        parts.append(line.format(settings=strength(steering) + best, texts=steering.best_of))
    if method.push is not None:
        parts.append(DOES["push"].format(nats=method.push.nats))
    if (ask := method.ask) is not None:
        line = DOES["ask" if ask.gamma == 1 else "guidance"]
        parts.append(line.format(text=shorten(asked_for(ask), 60), gamma=ask.gamma))
    if (experts := method.experts) is not None:
        line = DOES["experts" if experts.alpha >= 0 else "against"]
        other = experts.against or KINDS["base"].title
        parts.append(line.format(expert=experts.expert, other=other, alpha=abs(experts.alpha)))
    parts = [*origin(method), *([NO_TRAINING, *parts] if parts else [])]
    parts += [DOES["vector"].format(name=vector.name, weight=vector.weight) for vector in method.vectors]
    if (lora := services.adapter(method.lora)) is not None:
        scale = "" if method.lora_scale == 1 else f", scale {method.lora_scale:g}"
        text, share = TRAINED_ON.get(lora.name, lora.name), percent(lora.num_parameters / services.num_parameters)
        parts.append(f"trained on {text} · {share} extra weights (rank {lora.size}{scale})")
    if (prefix := services.adapter(method.prefix)) is not None:
        share = percent(prefix.num_parameters / services.num_parameters)
        parts.append(f"{prefix.size} learned tokens before the prompt · {share} extra")
    return " · ".join(parts) or f"{base_title(services.base)}, unchanged"


def asked_for(ask: Ask) -> str:
    """The instruction; empty where it is not known, which the form says."""
    return ask.text or instructions().get(ask.name, "")


def strength(steering: PPLM) -> str:
    parts = []
    if steering.strength < NO_LIMIT:
        parts.append(f"strength {steering.strength:g}")
    if steering.kl_budget < NO_LIMIT:
        parts.append(f"at most {steering.kl_budget:g} nats per token")
    if steering.num_iterations != 1:
        parts.append(count(steering.num_iterations, "step"))
    return ", ".join(parts) or f"no limit, step size {steering.step_size:g}"
