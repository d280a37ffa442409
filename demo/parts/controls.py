"""Labels and help of the controls, and the controls that every text shares."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import gradio as gr
from gradio.components import Component

from adapters.methods import Sampling
from demo.parts.words import CHAT, PLAIN
from demo.services import Services

Scale = tuple[float, ...]  # lowest, highest, step


class Control(NamedTuple):
    """A control's label, the line that says what it does, and the scale of a number."""

    label: str
    info: str
    scale: Scale = ()


CONTROLS = {
    "prompt": Control("Prompt", "Every pane continues this text. Enter runs, Shift+Enter breaks the line."),
    "mode": Control("Mode", "Continue the text as it stands, or send it to the chat model as a question."),
    "pane": Control("Pane", "Settings of one pane at a time."),
    "uses": Control("This pane uses", "Several together make one method, such as PPLM over LoRA."),
    "link": Control("Link", "Anyone with the link can see this; only this browser can delete it."),
    "title": Control("Title", "Shown above a shared comparison."),
    "paste": Control("Your prompts", "Paste one a line, or upload CSV, TSV, JSONL, TXT or Parquet."),
    "set": Control("Prompts", "Yours, or a shipped set."),
    "size": Control("How many", "20 or more prompts tell methods apart."),
    "methods": Control("Methods", "Choose, or type a mix such as lora:poetry+pplm:science*2 and press Enter."),
    "samples": Control("Texts for each prompt", "By each method; more give narrower intervals."),
    "judge": Control("Judge", "The language model that measures perplexity."),
    "xray_pane": Control("Steered text", "The pane to look into."),
    "xray_words": Control(
        "Words to follow", "Their probability at every token. Empty: the list words that gained most."
    ),
    "xray_token": Control("Token", "Click one in the text, or move here."),
    "xray_text": Control("Text", "The text to score under every method."),
    "slice": Control("Slice", "All prompts, or those with one tag."),
    "x_axis": Control("Across", "The metric of the horizontal axis."),
    "y_axis": Control("Up", "The metric of the vertical axis."),
    "order": Control("Order", "Show first the prompts on which a method is best or worst."),
    "other": Control("Other run", "One of your own, or one made on the command line."),
    "seed": Control("Seed", "Start of the random draws: the same seed gives the same texts."),
    "discriminator": Control("Classifier", "A shipped one, or one that was trained here."),
    "discriminator_name": Control("Name", "Letters, digits, - or _, such as formality."),
}
SAMPLING = {
    "max_new_tokens": Control("New tokens", "Longest text, in tokens.", (1, 256, 1)),
    "temperature": Control(
        "Temperature", "Higher is more surprising; 0 always takes the likeliest token.", (0, 2, 0.05)
    ),
    "top_p": Control("Top-p", "Draw from the likeliest tokens that make up this share; 1 is off.", (0.05, 1, 0.01)),
    "top_k": Control("Top-k", "Draw from the k likeliest tokens only; 0 is off.", (0, 200, 1)),
    "repetition_penalty": Control(
        "Repetition penalty", "Makes tokens that were used less likely; 1 is off.", (1, 2, 0.05)
    ),
}
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
