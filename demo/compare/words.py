"""The words on the Compare tab."""

from adapters.methods import PPLM, Method
from demo.parts.words import duration

# Errors a person can mend
BAD_SEED = "The seed {value!r} must be a whole number from 0 to 4,294,967,295."
CHOSEN_TWICE = "{name} is chosen twice: choose each attribute once and give it a weight."
MEND_SOME = "Some panes were not started: see their notes."
LAST_PANE = "One pane has to stay."
NOTHING_TO_SHARE = "Press Run first, and share when all panes have finished."
NEWER = "Made by a newer release of Steerboard: update to open it."

QUOTA = "A run uses about {seconds} s of your GPU quota."

# States of a pane
READY = "ready"
WAITING = "reading the prompt"
WRITING = "writing"
STOPPED = "stopped"
CHANGED = "Old text. Run again to apply the new settings."
DIVERGED = "The numbers of this text overflowed, so it was stopped: lower the strength or the scale."

# Settings of a pane
SEVERAL = "Mix topics"
MORE_SETTINGS = "Advanced PPLM settings"

# Parity and replay
CHECKING = "Checking parity: {done} of {most} tokens."
CHECKED = "Switched off, {equal} of {all} panes write exactly what Base writes."
PARITY_BASE = "This is Base."
PARITY_EQUAL = "✓ Switched off, this pane writes exactly what Base writes."
PARITY_DIFFERS = "✗ Switched off, token {} is {}, Base has {}."
REPLAYING = "Re-writing every text: {done} of at most {most} tokens."
REPLAY_EQUAL = "✓ Re-written just now: identical"
REPLAY_DIFFERS = "✗ Re-written just now: token {} is {}, it was {}."
THE_END = "the end"
SHARED_COMPARISON = "One prompt, the same seed, continued by {panes}. Made {made} UTC"
KEPT, KEPT_WHEN, KEPT_NAME = "Your shared comparisons", "When (UTC)", "Title or prompt"

# Buttons, the line that an example shows, the drawer
RUN, RUN_AGAIN, SHUFFLE, PARITY, ADD = "Run", "Run again", "Shuffle (new seed)", "Is it fair?", "Add a pane"
SETTINGS = "Settings · {line}"  # the drawer, closed
SETTINGS_OF_ALL, SETTINGS_OF_ONE, REMOVE = "All panes", "One pane", "Remove this pane"
STILL_WRITING = "Still writing. Stop first, then run."
STORED = "written earlier with seed {seed}: Run again writes it live"
CLICK = "click a word of a PPLM text to see why it is there"
FAIR = "✓ fair: switched off, every pane writes what Base writes"
DEPARTS = "first word that differs from Base"


def finished(reason: str, tokens: int) -> str:
    return {"eos": "finished", "length": f"{tokens}-token limit", "diverged": "diverged"}[reason]


def stop_label(seconds_left: float | None) -> str:
    return "Stop" if seconds_left is None else f"Stop · {duration(seconds_left)} left"


def same_as_base(method: Method) -> str:
    """What to do when a method wrote the base's text."""
    if method.steering is not None:
        return "Same text as Base. Raise the strength, or pick a topic nearer to the prompt."
    if method.lora is not None:
        return "Same text as Base. Raise the scale, or pick another adapter."
    return "Same text as Base. Try a prompt like the texts it was trained on."


def describe(method: Method) -> str:
    """What a pane does, shown until it has a text."""
    sentences = []
    if method.steering is not None:
        nudges = " and ".join(aims(method.steering))
        sentences.append(f"PPLM: no training. Before each token, a gradient nudges the model's memory {nudges}.")
    if method.lora is not None:
        sentences.append(f"LoRA: small matrices, trained on {method.lora}, are added to the weights.")
    if method.prefix is not None:
        sentences.append(f"Prefix tuning: tokens learned on {method.prefix} stand before the prompt.")
    return "\n\n".join(sentences) or "The base model as it is, to compare the others with."


def aims(steering: PPLM) -> list[str]:
    """The directions of steering, once for each kind of attribute."""
    kinds = dict.fromkeys((attribute.weight < 0, attribute.is_discriminator) for attribute in steering.attributes)
    what = {True: "what its discriminator recognises", False: "the words of its list"}
    return [f"{'away from' if away else 'towards'} {what[is_discriminator]}" for away, is_discriminator in kinds]
