"""Every word on the page that is not a model's."""

from typing import NamedTuple

from adapters.methods import NO_LIMIT, PPLM, Method, Sampling
from demo.services import Services

TITLE = "Steerboard"
PURPOSE = "One prompt, one base model, and several ways to steer what it writes, side by side."

NONE = "none"
OWN_WORDS = "own words"
PLAIN, CHAT = "plain continuation", "chat template"

# Errors a person can mend
NO_PROMPT = "The prompt is empty: write a few words for the model to continue, or click one of the examples."
PROMPT_TOO_LONG = "The prompt has {length:,} characters, at most {most:,} can be read: shorten it."
BAD_SEED = "The seed {value!r} is not a whole number from 0 to 4,294,967,295: change it or press New seed."
NO_WORDS = "The list of own words is empty: write at least one common word, such as ocean."
BAD_WORDS = "The list of own words holds a character that is not text (NUL or half a surrogate pair): remove it."
WORDS_TOO_LONG = "The list of own words is longer than {most:,} characters: shorten it."
MEND_PANES = "Nothing was started: see the note in the pane."
LAST_PANE = "One pane has to stay."
SERVER_ERROR = "Something went wrong on the server, and its log says what. Try again, or with other settings."
BAD_METHODS = "methods: give a list of 1 to {most} short names, such as base, lora:poetry or pplm:science."

# States of a pane
READY = "ready"
WAITING = "reading the prompt"
WRITING = "writing"
STOPPED = "stopped"
CHANGED = "from before the change of settings"
FINISHED = {
    "eos": "ended by itself",
    "length": "limit reached",
    "diverged": "diverged",
}
DIVERGED = "The numbers of this text went wrong, so it was stopped: use less strength or a smaller scale."

# Parity
CHECKING = "Checking parity: every method with its effect off, {done} of {most} tokens."
CHECKED = (
    "Parity checked: with LoRA scale 0, no prefix and PPLM step size 0, {equal} of {all} panes write the base's text."
)
PARITY_BASE = "Parity: this is the base."
PARITY_EQUAL = "Parity: with its effect off this pane writes the base's text, token for token ({tokens})."
PARITY_DIFFERS = "Parity: with its effect off, token {number} differs: {mine} where the base has {base}."
THE_END = "the end"

HELP = (
    "Check parity runs every method with its effect off and says whether it then writes what the base writes. "
    "Perplexity is how unexpected a text is to the base model, whatever wrote it: lower is more expected, and "
    "repetition lowers it too, so read it beside distinct-2, the share of word pairs that are not repeated. "
    "Attribute words counts the words that any pane here steers towards, in every text: the base's rate beside the "
    "steered one."
)


class Control(NamedTuple):
    """A control's label and the line that says what it does."""

    label: str
    info: str


CONTROLS = {
    "prompt": Control("Prompt", "Text that every pane continues; Shift+Enter starts."),
    "mode": Control("Mode", "Continue the text as it stands, or put it as a question to the chat model."),
    "seed": Control("Seed", "Starts the random draws: the same seed gives the same texts."),
    "temperature": Control("Temperature", "Higher is more surprising; 0 always takes the likeliest token."),
    "top_k": Control("Top-k", "Draw from the k likeliest tokens only; 0 is off."),
    "top_p": Control("Top-p", "Draw from the likeliest tokens that make up this share; 1 is off."),
    "repetition_penalty": Control("Repetition penalty", "Makes tokens that were used less likely; 1 is off."),
    "max_new_tokens": Control("New tokens", "Length at which every text ends at the latest."),
    "lora": Control("LoRA", "Small trained matrices added to the weights."),
    "lora_scale": Control("LoRA scale", "How much of them is added: 0 is the base, 1 is as trained."),
    "prefix": Control("Prefix", "Trained virtual tokens that stand before the prompt."),
    "attribute": Control("Attribute (PPLM)", "Words to push towards while writing."),
    "words": Control("Own words", "Common words, separated by commas."),
    "kl_budget": Control(
        "Strength (kl_budget)", "Nats that steering may cost at a token: more is more on topic, less fluent."
    ),
    "step_size": Control("Step size (step_size)", "Length of one push; the strength limits what comes of it."),
    "num_iterations": Control(
        "Pushes a token (num_iterations)", "More pushes follow the words better and take longer."
    ),
    "window_length": Control("Window (window_length)", "Push the newest positions only; 0 pushes all."),
    "gamma": Control("Gradient norm (gamma)", "Exponent of the gradient's norm; 1 makes all pushes equally long."),
    "kl_scale": Control("Stay close (kl_scale)", "What it costs to drift from the unsteered distribution."),
    "gm_scale": Control("Fusion (gm_scale)", "Share of the steered distribution in the one drawn from."),
    "cooldown": Control("Rest (cooldown)", "Tokens for which a word just used is not pushed; 0 is no rest."),
    "carry": Control("Carry on (carry)", "Keep the pushed past for the next token instead of pushing afresh."),
    "as_in_paper": Control(
        "The paper's algorithm", "No limit, no rest, carried on: only the step size is the strength."
    ),
}


class Example(NamedTuple):
    """A prompt that shows one method at its best, and what to choose for it."""

    prompt: str
    label: str
    lora: str | None = None
    attribute: str | None = None
    chat: bool = False

    @property
    def title(self) -> str:
        """The words on its button."""
        return f"{self.prompt.splitlines()[0]} · {self.label}"


EXAMPLES = (
    Example("Once upon a time, there was a", "science words", attribute="science"),
    Example("My review: this film is", "positive words", attribute="positive"),
    Example("In a distant galaxy", "science fiction", lora="scifi", attribute="space"),
    Example("The sea is", "verse", lora="poetry"),
    Example("Question: What is the capital of Peru?\nAnswer:", "a fact", attribute="science"),
    Example("The painting shows", "religious words", attribute="religion"),
    Example("Describe a walk through a city.", "chat, positive words", attribute="positive", chat=True),
)


def title(method: Method) -> str:
    """The name of a composition, such as "PPLM science over LoRA poetry"."""
    parts = []
    if method.steering is not None:
        parts.append("PPLM " + " and ".join(attribute.name for attribute in method.steering.attributes))
    if method.lora is not None:
        parts.append(f"LoRA {method.lora}")
    if method.prefix is not None:
        parts.append(f"{'prefix' if parts else 'Prefix'} {method.prefix}")
    return " over ".join(parts) or "Base"


def kinds(method: Method) -> list[str]:
    """What the method is made of, for its colours."""
    parts = {"lora": method.lora, "prefix": method.prefix, "pplm": method.steering}
    return [kind for kind, part in parts.items() if part is not None] or ["base"]


def cost(method: Method, services: Services) -> str:
    """What was added to the base model and what it cost, in one line."""
    parts = []
    if method.steering is not None:
        trained = "" if method.lora or method.prefix else ", nothing trained"
        parts.append(f"{strength(method.steering)}, {method.steering.num_iterations} pushes a token{trained}")
    if (lora := services.adapter(method.lora)) is not None:
        scale = "" if method.lora_scale == 1 else f", scale {method.lora_scale:g}"
        parts.append(f"rank r = {lora.size}, {share(lora.num_parameters, services)} trained{scale}")
    if (prefix := services.adapter(method.prefix)) is not None:
        parts.append(f"{prefix.size} virtual tokens, {share(prefix.num_parameters, services)} trained")
    return " · ".join(parts) or f"{services.base}, nothing added"


def strength(steering: PPLM) -> str:
    """How hard the method steers."""
    if steering.kl_budget == NO_LIMIT:
        return f"no limit, step size {steering.step_size:g}"
    return f"strength {steering.kl_budget:g}"


def count(number: int, noun: str) -> str:
    """A number with its noun: "1 token", "2 tokens"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def share(num_parameters: int, services: Services) -> str:
    """A number of parameters as a share of the base model's."""
    return f"{100 * num_parameters / services.num_parameters:.2f}\u00a0% of the parameters"


def describe(method: Method) -> str:
    """What a pane does, for as long as it has no text."""
    sentences = []
    if method.steering is not None:
        sentences.append(
            "PPLM trains nothing. Before each token it pushes the model's memory of the text along a gradient, "
            "towards the words of the attribute."
        )
    if method.lora is not None:
        sentences.append(f"LoRA adds small trained matrices to the attention weights, here trained on {method.lora}.")
    if method.prefix is not None:
        sentences.append(
            f"Prefix tuning puts trained keys and values before the prompt, here trained on {method.prefix}."
        )
    return "\n\n".join(sentences) or "The base model as it is, the yardstick for the other panes."


def sampling_line(sampling: Sampling, seed: int, chat: bool) -> str:
    """The shared settings in one line."""
    parts = ["greedy" if sampling.temperature == 0 else f"temperature {sampling.temperature:g}"]
    if sampling.top_k:
        parts.append(f"top-k {sampling.top_k}")
    if sampling.top_p < 1:
        parts.append(f"top-p {sampling.top_p:g}")
    if sampling.repetition_penalty > 1:
        parts.append(f"repetition penalty {sampling.repetition_penalty:g}")
    parts += [f"{sampling.max_new_tokens} tokens", f"seed {seed}", CHAT if chat else PLAIN]
    return " · ".join(parts) + ", the same in every pane"


def refused(services: Services) -> str:
    """Why some adapters are not offered, one line each."""
    return "\n".join(f"Not offered: {name}. {reason}" for name, reason in services.store.refused.items())
