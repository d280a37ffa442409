"""The controls of what every text shares: how tokens are drawn, the seed, and how the prompt is put.

Knows components and their bounds; knows nothing of what is done with their values.
"""

from typing import NamedTuple

import gradio as gr
from gradio.components import Component

from adapters.methods import Sampling
from demo.parts import words as text
from demo.parts.panes import slider, words
from demo.services import Services

FIRST_SEED = 5


class SamplingControls(NamedTuple):
    """The components."""

    fields: dict[str, Component]  # by field of Sampling
    mode: gr.Radio
    seed: gr.Number


def lay_out_sampling(services: Services) -> SamplingControls:
    """Puts the controls on the page."""
    modes = [text.PLAIN, text.CHAT] if services.has_chat else [text.PLAIN]
    with gr.Row(elem_classes="sampling"):
        mode = gr.Radio(modes, value=text.PLAIN, **words("mode"))
        seed = gr.Number(FIRST_SEED, minimum=0, maximum=2**32 - 1, step=1, **words("seed"))
        fields: dict[str, Component] = {
            "max_new_tokens": slider("max_new_tokens", 1, 256, Sampling.max_new_tokens, 1),
            "temperature": slider("temperature", 0, 2, Sampling.temperature, 0.05),
            "top_p": slider("top_p", 0.05, 1, Sampling.top_p, 0.01),
            "top_k": slider("top_k", 0, 200, Sampling.top_k, 1),
            "repetition_penalty": slider("repetition_penalty", 1, 2, Sampling.repetition_penalty, 0.05),
        }
    return SamplingControls(fields, mode, seed)
