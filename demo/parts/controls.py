"""Labels and explanations of every control, and the controls that every text shares."""

from typing import Any, NamedTuple

import gradio as gr
from gradio.components import Component

from adapters.methods import Sampling
from demo.parts import words as text
from demo.services import Services


class Control(NamedTuple):
    """A control's label and the line that says what it does."""

    label: str
    info: str


CONTROLS = {
    "prompt": Control("Prompt", "Text that every pane continues; Shift+Enter starts."),
    "mode": Control("Mode", "Continue the text as it stands, or put it as a question to the chat model."),
    "link": Control("Link", "Whoever has it can see this; only this browser can delete it."),
    "set": Control("Prompt set", "One that comes with the app, or your own CSV, TSV, JSONL, TXT or Parquet file."),
    "methods": Control("Methods", "Choose, or type, such as lora:poetry+pplm:science+pplm:legal*-1, and press Enter."),
    "samples": Control("Texts for each prompt", "By each method; more give narrower intervals."),
    "judge": Control("Judge", "The language model under which perplexity is measured."),
    "xray_pane": Control("Steered text", "The pane whose steps are looked at."),
    "xray_words": Control("Words to follow", "Their probability at every token, each by its first piece."),
    "xray_token": Control("Token", "Click one in the text, or move here."),
    "xray_text": Control("Text", "Of the pane whose tokens are judged."),
    "slice": Control("Slice", "Count all prompts, or only those with one tag."),
    "up": Control("Diversity", "What stands against perplexity."),
    "metric": Control("Metric", "What the bars show."),
    "order": Control("Order", "The prompts on which a method is best or worst stand first."),
    "other": Control("Other run", "One of your own, or one made on the command line."),
    "goal": Control("Steered to", "Seven topics together, or one sentiment."),
    "across": Control("Cost", "What success stands against."),
    "measured_by": Control("Measured by", "The commands that write these texts and judge them again."),
    "seed": Control("Seed", "Starts the random draws: the same seed gives the same texts."),
    "temperature": Control("Temperature", "Higher is more surprising; 0 always takes the likeliest token."),
    "top_k": Control("Top-k", "Draw from the k likeliest tokens only; 0 is off."),
    "top_p": Control("Top-p", "Draw from the likeliest tokens that make up this share; 1 is off."),
    "repetition_penalty": Control("Repetition penalty", "Makes tokens that were used less likely; 1 is off."),
    "max_new_tokens": Control("New tokens", "Length at which every text ends at the latest."),
    "lora": Control("LoRA", "Small trained matrices added to the weights."),
    "lora_scale": Control("LoRA scale", "How much of them is added: 0 is the base, 1 is as trained."),
    "prefix": Control("Prefix", "Trained virtual tokens that stand before the prompt."),
    "attribute": Control(
        "Attribute (PPLM)", "What to steer towards: a list of words, or name:class of a discriminator."
    ),
    "weight": Control("Weight of the first", "How much it counts beside the others; below 0 steers away from it."),
    "attribute_2": Control("Second attribute", "The text is steered by both at once."),
    "weight_2": Control("Weight of the second", "How much the second counts; below 0 steers away from it."),
    "attribute_3": Control("Third attribute", "The text is steered by all three at once."),
    "weight_3": Control("Weight of the third", "How much the third counts; below 0 steers away from it."),
    "words": Control("Own words", "Separated by commas or lines; black hole is one entry, laser:2 counts twice."),
    "strength": Control(
        "Strength (strength)",
        "Nats of drifting that one more word is worth: more is more on topic, less fluent. 100 is no limit.",
    ),
    "step_size": Control("Step size (step_size)", "Length of one push; 0 writes what is written without steering."),
    "num_iterations": Control(
        "Pushes a token (num_iterations)", "More pushes follow the attribute better and take longer."
    ),
    "window_length": Control(
        "Window (window_length)", "Push the newest positions only, so that the beginning keeps its sense; 0 pushes all."
    ),
    "decay": Control("Decay (decay)", "Older positions of the window are pushed less: the text keeps to how it began."),
    "grad_length": Control(
        "Steered tokens (grad_length)", "Only so many tokens are steered, the rest follows freely; 0 steers all."
    ),
    "horizon_length": Control(
        "Horizon (horizon_length)",
        "Tokens to come that a discriminator judges too: it steers where the text is going, and takes longer.",
    ),
    "gamma": Control(
        "Gradient norm (gamma)", "1 makes all pushes equally long; above it, tokens that need a small push get more."
    ),
    "kl_scale": Control("Stay close (kl_scale)", "Higher keeps the words nearer to what the model would write anyway."),
    "gm_scale": Control(
        "Fusion (gm_scale)", "Share of the steered distribution in the one drawn from: lower is more fluent."
    ),
    "kl_budget": Control("Limit (kl_budget)", "Nats that steering may cost at any token; 100 is no limit."),
    "best_of": Control(
        "Best of (best_of)", "So many texts are written at once, and the one that shows the attribute most is kept."
    ),
    "cooldown": Control("Rest (cooldown)", "Tokens for which what was just said gets no likelier; at 0 it may repeat."),
    "carry": Control("Carry on (carry)", "Pushes add up from token to token: stronger, and texts may fall apart."),
    "as_in_paper": Control(
        "The paper's algorithm", "No limit, no rest, carried on: only the step size is the strength."
    ),
    "list": Control("List", "One that comes with the app, or own words: write, change or upload them."),
    "list_words": Control("Words", "Separated by commas or lines; black hole is one entry, laser:2 counts twice."),
    "discriminator": Control("Discriminator", "One that comes with the app, or that was trained here."),
    "discriminator_name": Control("Name", "Of the new discriminator: a-z, 0-9, - and _, such as formality."),
}


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
        mode = gr.Radio(modes, value=text.PLAIN, **labelled("mode"))
        seed = gr.Number(FIRST_SEED, minimum=0, maximum=2**32 - 1, step=1, **labelled("seed"))
        fields: dict[str, Component] = {
            "max_new_tokens": slider("max_new_tokens", 1, 256, Sampling.max_new_tokens, 1),
            "temperature": slider("temperature", 0, 2, Sampling.temperature, 0.05),
            "top_p": slider("top_p", 0.05, 1, Sampling.top_p, 0.01),
            "top_k": slider("top_k", 0, 200, Sampling.top_k, 1),
            "repetition_penalty": slider("repetition_penalty", 1, 2, Sampling.repetition_penalty, 0.05),
        }
    return SamplingControls(fields, mode, seed)


def labelled(name: str, interactive: bool = True) -> dict[str, Any]:
    """Label and explanation of a control. A part that is built late is read-only unless it says otherwise."""
    return CONTROLS[name]._asdict() | {"interactive": interactive}


def slider(name: str, low: float, high: float, value: Any, step: float) -> gr.Slider:
    """A slider that lets every number through: what is wrong with one is said where it belongs, and nothing else ends.

    Gradio itself would refuse the whole event for a number beyond the scale that somebody is typing.
    """
    made = gr.Slider(low, high, value, step=step, **labelled(name))
    made.preprocess = lambda payload: payload  # type: ignore[method-assign]
    return made
