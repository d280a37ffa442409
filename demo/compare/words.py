"""The words on the Compare tab."""

from typing import NamedTuple

from adapters.methods import PPLM, Method

# Errors a person can mend
BAD_SEED = "The seed {value!r} must be a whole number from 0 to 4,294,967,295."
CHOSEN_TWICE = "{name} is chosen twice: choose each attribute once and give it a weight."
MEND_PANES = "Nothing was started: see the note in the pane."
MEND_SOME = "Some panes were not started: see their notes."
LAST_PANE = "One pane has to stay."
BAD_METHODS = (
    "methods: give a list of 1 to {most} short names, such as base, lora:poetry or "
    "pplm:science*2+pplm:sentiment:negative*-1."
)
NOTHING_TO_SHARE = "Press Generate first, and share when all panes have finished."
NEWER = "Made by a newer release of Steerboard: update to open it."

# States of a pane
READY = "ready"
WAITING = "reading the prompt"
WRITING = "writing"
STOPPED = "stopped"
CHANGED = "Old text. Run again to apply the new settings."
DIVERGED = "The numbers of this text overflowed, so it was stopped: lower the strength or the scale."

# Settings of a pane
SEVERAL = "Several attributes, weights"
MORE_SETTINGS = "More PPLM settings"

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
SHARED_COMPARISON = "A shared comparison"

HELP = (
    "Check parity runs every method switched off and compares it with Base. "
    "Perplexity (base): how unexpected a text is to the base model, whatever wrote it. Lower is more fluent, but "
    "repetition lowers it too. Distinct-2: the share of different word pairs; repetition lowers it. "
    "Attribute words: how many words of the lists that any pane steers by are in the text. "
    "A discriminator has no words, so it marks nothing."
)


class Example(NamedTuple):
    """A prompt that suits one method, and the choices for it."""

    prompt: str
    label: str
    lora: str | None = None
    attribute: str | None = None
    chat: bool = False

    @property
    def title(self) -> str:
        """The label of its button."""
        return f"{self.prompt.splitlines()[0]} · {self.label}"


EXAMPLES = (
    Example("The potato", "science words", attribute="science"),
    Example("My review: this film is", "positive words", attribute="positive"),
    Example("In a distant galaxy", "science fiction", lora="scifi", attribute="space"),
    Example("The sea is", "verse", lora="poetry"),
    Example("Question: What is the capital of Peru?\nAnswer:", "a fact", attribute="science"),
    Example("The painting shows", "religious words", attribute="religion"),
    Example("Describe a walk through a city.", "chat, positive words", attribute="positive", chat=True),
)


def finished(reason: str, tokens: int) -> str:
    """How a text of so many tokens ended."""
    return {"eos": "finished", "length": f"{tokens}-token limit", "diverged": "diverged"}[reason]


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
