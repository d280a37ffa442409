"""Labels and help of the controls, and the controls that every text shares."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import gradio as gr
from gradio.components import Component

from adapters.methods import Sampling
from demo.parts.words import CHAT, PLAIN, TABLES
from demo.services import Services

Scale = tuple[float, ...]  # lowest, highest, step


class Control(NamedTuple):
    """A control's label, the line that says what it does, and the scale of a number."""

    label: str
    info: str
    scale: Scale = ()


def controls(table: str) -> dict[str, Control]:
    """The controls in a table of words.toml, by name."""
    return {name: Control(label, info, tuple(scale)) for name, (label, info, *scale) in TABLES[table].items()}


CONTROLS, SAMPLING = controls("common"), controls("sampling")
FIRST_SEED = 5
FIRST_SAMPLING = Sampling(max_new_tokens=40)


class SamplingControls(NamedTuple):
    fields: dict[str, Component]  # by field of Sampling
    mode: gr.Radio
    seed: gr.Number


def lay_out_sampling(services: Services, first_seed: int = FIRST_SEED, chat: bool = False) -> SamplingControls:
    modes = [PLAIN, CHAT] if services.engine.base.tokenizer.chat_template else [PLAIN]
    with gr.Row(elem_classes="sampling"):
        mode = gr.Radio(modes, value=CHAT if chat else PLAIN, **labelled("mode"))
        seed = gr.Number(first_seed, minimum=0, maximum=2**32 - 1, step=1, **labelled("seed"))
        fields: dict[str, Component] = {
            name: slider(getattr(FIRST_SAMPLING, name), control.scale, **labelled(name, of=SAMPLING))
            for name, control in SAMPLING.items()
        }
    return SamplingControls(fields, mode, seed)


def labelled(name: str, interactive: bool = True, of: Mapping[str, Control] = CONTROLS) -> dict[str, Any]:
    """Label and help of a control. A part that is built late is read-only unless it says otherwise."""
    return {"label": of[name].label, "info": of[name].info, "interactive": interactive}


def slider(value: Any, scale: Scale, **labels: Any) -> gr.Slider:
    """A slider (lowest, highest, step) that accepts every number, so that the form can name a bad one.

    Gradio itself would refuse the whole event for a number beyond the scale that somebody is typing.
    """
    low, high, step = scale
    made = gr.Slider(low, high, value, step=step, **labels)
    made.preprocess = lambda payload: payload  # type: ignore[method-assign]
    return made
