"""The words on the page that several tabs share, or that stand on the Compare tab."""

from dataclasses import fields
from datetime import datetime
from html import escape

from adapters.methods import NO_LIMIT, PPLM, Attribute, Method, Sampling
from demo.services import Services

TITLE = "Steerboard"
PURPOSE = "One prompt, one base model, and several ways to steer what it writes, side by side."

NONE = "none"
OWN_WORDS = "own words"
AND = " and "
PLAIN, CHAT = "plain continuation", "chat template"
SAME = ", the same in every pane"
PHASES = {"generating": "Writing", "scoring": "Scoring", "done": "Done"}

# Errors a person can mend
NO_PROMPT = "The prompt is empty: write a few words for the model to continue, or click one of the examples."
PROMPT_TOO_LONG = "The prompt has {length:,} characters, at most {most:,} can be read: shorten it."
BAD_SEED = "The seed {value!r} is not a whole number from 0 to 4,294,967,295: change it or press New seed."
CHOSEN_TWICE = "{name} is chosen twice: choose each attribute once and give it a weight."
MEND_PANES = "Nothing was started: see the note in the pane."
MEND_SOME = "Not every pane was started: see the note in the others."
LAST_PANE = "One pane has to stay."
SERVER_ERROR = "Something went wrong on the server, and its log says what. Try again, or with other settings."
BAD_METHODS = (
    "methods: give a list of 1 to {most} short names, such as base, lora:poetry or "
    "pplm:science*2+pplm:sentiment:negative*-1."
)

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

# Settings of a pane
SEVERAL = "Several attributes, weights"
MORE_SETTINGS = "More PPLM settings"
UPLOAD_LIST = "Upload a list"

# Parity
CHECKING = "Checking parity: every method with its effect off, {done} of {most} tokens."
CHECKED = (
    "Parity checked: with LoRA scale 0, no prefix and PPLM step size 0, {equal} of {all} panes write the base's text."
)
PARITY_BASE = "Parity: this is the base."
PARITY_EQUAL = "Parity: with its effect off this pane writes the base's text, token for token ({tokens})."
PARITY_DIFFERS = "Parity: with its effect off, token {number} differs: {mine} where the base has {base}."
THE_END = "the end"


# Links: sharing, replaying, deleting
SHARE = "Share"
NOTHING_TO_SHARE = "There is nothing to share yet: press Generate, and share when all panes have ended."
NO_OWNER = "This browser keeps nothing for this page, so that it could not know its own things again: allow it, reload."
NOT_YOURS = "Only the browser that made this can do that."
NOTHING_HERE = "It may be mistyped, or what it led to has been deleted by the one who made it."
NEWER = "What it leads to was made by a newer release of Steerboard: update to open it."
LINK_TITLE = "This link leads nowhere here"
SHARED_COMPARISON = "A shared comparison"
OWN = "make your own"
MADE_WITH = "What it was made with"
FACT, VALUE = "What", "Value"
BASE_MODEL = "base model"
SHA256 = "sha256 of {name}"
REPORT = "Save a report"
STOP = "Stop"
YOUR_FILE = "your file: {name}"
REPLAY = "Replay"
REPLAYING = "Writing every text again: {done} of at most {most} tokens."
REPLAY_EQUAL = "Replay: identical, token for token ({tokens})."
REPLAY_DIFFERS = "Replay: token {number} differs: {now} now, {then} then."
REPLAY_STOPPED = "Stopped: what was shared stays as it was."
CANNOT_REPLAY = "This cannot be written again here: {reason}"
CHANGED_SINCE = "Changed since: {what}."
DELETE = "Delete"
DELETE_QUESTION = "Delete this for good? Its link will lead nowhere."
DELETE_YES = "Delete for good"
DELETE_NO = "Keep it"
DELETED_HTML = "<h2>Deleted</h2><p>Its link leads nowhere now. <a href='?'>Back to Steerboard</a></p>"


# Files, lists and plots
NO_FILE = "No file has arrived: upload one."
HIGHER, LOWER = "higher is better", "lower is better"
STARTING = "Starting."
PROMPTS, METHODS, SETTINGS = "Prompts", "Methods", "Settings"
USED, USED_LATER, NOT_USED = "yes", "once begun", "no"
NO_SUCH_LIST = "There is no such list: choose one, or own words."
NO_USABLE_WORD = "No word of this list can be begun with this model's tokens, so it steers nothing: add common words."
DELETE_ADAPTER_QUESTION = "Delete this for good? Panes and runs can no longer use it."

HELP = (
    "Check parity runs every method with its effect off and says whether it then writes what the base writes. "
    "Perplexity is how unexpected a text is to the base model, whatever wrote it: lower is more expected, and "
    "repetition lowers it too, so read it beside distinct-2, the share of word pairs that are not repeated. "
    "Attribute words counts the words of every list that a pane here steers by, in every text: the base's rate beside "
    "the steered one. A discriminator has no words, so it marks nothing."
)


def title(method: Method) -> str:
    """The name of a composition, such as "PPLM science over LoRA poetry"."""
    parts = []
    if method.steering is not None:
        parts.append("PPLM " + " and ".join(map(aim, method.steering.attributes)))
    if method.lora is not None:
        parts.append(f"LoRA {method.lora}")
    if method.prefix is not None:
        parts.append(f"{'prefix' if parts else 'Prefix'} {method.prefix}")
    return " over ".join(parts) or "Base"


def aim(attribute: Attribute) -> str:
    """What an attribute steers to, such as "science ×2" or "away from politics"."""
    times = "" if abs(attribute.weight) == 1 else f" ×{abs(attribute.weight):g}"
    return ("away from " if attribute.weight < 0 else "") + attribute.name + times


def kinds(method: Method) -> list[str]:
    """What the method is made of, for its colours."""
    parts = {"lora": method.lora, "prefix": method.prefix, "pplm": method.steering}
    return [kind for kind, part in parts.items() if part is not None] or ["base"]


def cost(method: Method, services: Services) -> str:
    """What was added to the base model and what it cost, in one line."""
    parts = []
    if method.steering is not None:
        trained = "" if method.lora or method.prefix else ", nothing trained"
        parts.append(f"{strength(method.steering)}, {pushes(method.steering)}{trained}")
    if (lora := services.adapter(method.lora)) is not None:
        scale = "" if method.lora_scale == 1 else f", scale {method.lora_scale:g}"
        parts.append(f"rank r = {lora.size}, {share(lora.num_parameters, services)} trained{scale}")
    if (prefix := services.adapter(method.prefix)) is not None:
        parts.append(f"{prefix.size} virtual tokens, {share(prefix.num_parameters, services)} trained")
    return " · ".join(parts) or f"{services.base}, nothing added"


def strength(steering: PPLM) -> str:
    """How hard the method steers."""
    parts = []
    if steering.strength < NO_LIMIT:
        parts.append(f"strength {steering.strength:g}")
    if steering.kl_budget < NO_LIMIT:
        parts.append(f"at most {steering.kl_budget:g} nats a token")
    return ", ".join(parts) or f"no limit, step size {steering.step_size:g}"


def pushes(steering: PPLM) -> str:
    """What steering takes at a token, and how many texts it writes."""
    best = "" if steering.best_of == 1 else f", best of {steering.best_of}"
    return f"{count(steering.num_iterations, 'push', 'pushes')} a token{best}"


def count(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: "1 token", "2 tokens"."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"


def share(num_parameters: int, services: Services) -> str:
    """A number of parameters as a share of the base model's."""
    return f"{100 * num_parameters / services.num_parameters:.2f}\u00a0% of the parameters"


def quote(piece: str) -> str:
    """A piece of text with its blanks and ends of lines in sight."""
    return f"“{piece.translate({10: '⏎', 9: '⇥'})}”"


def percent(share: float) -> str:
    """A share of 1 or a probability: 12.3 %, 0.045 %, 3.1e-07 %."""
    if share >= 0.1:
        return f"{100 * share:.1f}\u00a0%"
    return f"{100 * share:.2g}\u00a0%"


def describe(method: Method) -> str:
    """What a pane does, for as long as it has no text."""
    sentences = []
    if method.steering is not None:
        sentences.append(
            "PPLM trains nothing. Before each token it pushes the model's memory of the text along a gradient, "
            f"{AND.join(aims(method.steering))}."
        )
    if method.lora is not None:
        sentences.append(f"LoRA adds small trained matrices to the weights, here trained on {method.lora}.")
    if method.prefix is not None:
        sentences.append(
            f"Prefix tuning puts trained keys and values before the prompt, here trained on {method.prefix}."
        )
    return "\n\n".join(sentences) or "The base model as it is, the yardstick for the other panes."


def aims(steering: PPLM) -> list[str]:
    """Which way a method pushes, once for each kind of attribute."""
    directions = {
        (attribute.weight < 0, attribute.is_discriminator): None for attribute in steering.attributes
    }  # a dict keeps their order
    what = {True: "what its discriminator is trained to see", False: "the words of its list"}
    return [f"{'away from' if away else 'towards'} {what[is_discriminator]}" for away, is_discriminator in directions]


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
    return " · ".join(parts) + SAME


def refused(services: Services) -> str:
    """Why some adapters are not offered, one line each."""
    return "\n".join(f"Not offered: {name}. {reason}" for name, reason in services.store.refused.items())


def settings(method: Method) -> str:
    """A composition with everything that was set."""
    parts = [title(method)]
    if method.lora is not None:
        parts.append(f"lora_scale {method.lora_scale:g}")
    if method.steering is not None:
        names = [field.name for field in fields(PPLM) if field.name != "attributes"]
        parts += [f"{name} {getattr(method.steering, name)}" for name in names]
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """A time that somebody waits."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def moment(time: datetime) -> str:
    """A time of day, in UTC."""
    return f"{time:%Y-%m-%d %H:%M}"


def made(created: str) -> str:
    """When something was made, from ISO 8601."""
    return f"made {moment(datetime.fromisoformat(created))} UTC"


def missing_html(error: Exception) -> str:
    """The page for a link that cannot be opened."""
    return f"<h2>{LINK_TITLE}</h2><p>{escape(str(error))}</p><p><a href='?'>Back to Steerboard</a></p>"


def list_line(words: int, whole: int, later: int) -> str:
    """How many words of a list are used."""
    parts = [f"{whole:,} of {count(words, 'word')} are used from their beginning on"]
    if later:
        parts.append(f"{later:,} once the text has begun them")
    if left := words - whole - later:
        parts.append(f"{left:,} not")
    return ", ".join(parts) + "."


def replayed(equal: int, all: int) -> str:
    """What a replay has found, in one sentence."""
    if equal == all:
        return f"Identical: {count(all, 'text')} written again, token for token."
    return f"{all - equal} of {count(all, 'text')} differ."
