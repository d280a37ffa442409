"""The settings of a pane, each spelled once: label, help, scale and default."""

from dataclasses import fields
from typing import Any, NamedTuple

from adapters.methods import NO_LIMIT, PPLM, Method
from demo.parts.words import NONE


class Knob(NamedTuple):
    """One setting. One with a scale (lowest, highest, step) is a number."""

    label: str
    info: str
    scale: tuple[float, float, float] | None = None


SLOTS = (("attribute", "weight"), ("attribute_2", "weight_2"), ("attribute_3", "weight_3"))
PPLM_FIELDS = tuple(field.name for field in fields(PPLM) if field.name != "attributes")
WEIGHT = "How much it counts beside the others; below 0 steers away from it."
FIRST = {
    "lora": Knob("LoRA", "Small trained matrices added to the weights."),
    "lora_scale": Knob("LoRA scale", "How much of them is added: 0 is Base, 1 is as trained.", (0, 4, 0.05)),
    "prefix": Knob("Prefix", "Learned tokens before the prompt."),
    "attribute": Knob("Attribute (PPLM)", "Steer towards a word list, or a discriminator's class (name:class)."),
}
OWN = {
    "words": Knob("Own words", "Separated by commas or lines; black hole is one entry, laser:2 counts twice."),
    "strength": Knob(
        "Strength",
        "Higher: more on topic, less fluent. Nats of KL that one more list word may cost; 100 is no limit.",
        (0, 100, 1),
    ),
}
SEVERAL = {
    "weight": Knob("Weight of the first", WEIGHT, (-5, 5, 0.25)),
    "attribute_2": Knob("Second attribute", "Steer by both at once."),
    "weight_2": Knob("Weight of the second", WEIGHT, (-5, 5, 0.25)),
    "attribute_3": Knob("Third attribute", "Steer by all three at once."),
    "weight_3": Knob("Weight of the third", WEIGHT, (-5, 5, 0.25)),
}
MORE = {
    "step_size": Knob("Step size", "Length of a gradient step; 0 steers nothing.", (0, 0.5, 0.005)),
    "num_iterations": Knob("Steps per token", "More follow the attribute better and take longer.", (0, 10, 1)),
    "window_length": Knob("Window", "Steer only the newest positions, not the beginning; 0 steers all.", (0, 64, 1)),
    "decay": Knob("Decay", "Steer older positions of the window less: the text keeps to its beginning."),
    "grad_length": Knob("Steered tokens", "Steer only the first tokens; 0 steers all.", (0, 256, 1)),
    "horizon_length": Knob("Horizon", "Future tokens that a discriminator also judges; more take longer.", (0, 8, 1)),
    "gamma": Knob("Gradient norm", "1: equally long steps; above: longer steps for small gradients.", (0, 2, 0.05)),
    "kl_scale": Knob("Stay close", "Higher stays closer to the unsteered words.", (0, 1, 0.01)),
    "gm_scale": Knob("Fusion", "Share of the steered distribution in the mix; lower is more fluent.", (0, 1, 0.01)),
    "kl_budget": Knob("Limit", "Nats that steering may cost at any token; 100 is no limit.", (0, NO_LIMIT, 0.05)),
    "best_of": Knob("Best of", "Write so many texts at once and keep the one most on topic.", (1, 16, 1)),
    "cooldown": Knob("Cooldown", "Tokens before a used word gets likelier again; at 0 it may repeat.", (0, 64, 1)),
    "carry": Knob("Carry on", "Add up the steps from token to token: stronger, and texts may fall apart."),
    "as_in_paper": Knob("The paper's algorithm", "No limit, no cooldown, carried on: the step size sets the strength."),
}
KNOBS = FIRST | OWN | SEVERAL | MORE
DEFAULTS: dict[str, Any] = {name: 1.0 if knob.scale else NONE for name, knob in KNOBS.items()} | {
    "lora_scale": Method.lora_scale,
    "words": "",
    "as_in_paper": False,
    **{name: getattr(PPLM, name) for name in PPLM_FIELDS},
}


def label(name: str) -> str:
    """The label of a knob; one of PPLM's has the paper's name too."""
    return f"{KNOBS[name].label} ({name})" if name in PPLM_FIELDS else KNOBS[name].label
