"""The words of the page about what adapters have learned."""

from typing import Any

from adapters.learned.explorer import Watched
from adapters.learned.spectrum import Update
from demo.parts.controls import Control
from demo.parts.words import percent, quote

LEARNED = "What was learned"
LEARNED_HTML = (
    "<h2>What was learned</h2><p>A LoRA adds a matrix of low rank to weights of the base model; a prefix puts trained "
    "keys and values before the prompt in every layer. Choose an adapter to see what training made of it.</p>"
)
CONTROLS = {
    "adapter": Control("Adapter", "One that comes with the app, or that was trained or imported here."),
    "module": Control("Layer and module", "Whose update is shown below; the one that changed most comes first."),
    "watch": Control("Prompt", "It is continued with this prefix, and what each new token looks at is counted."),
}
NO_SUCH_ADAPTER = "There is no such adapter any more: choose one from the list."
NO_ADAPTERS = "No adapter works with this base model yet: train one, or take one in."
SAVE_NUMBERS = "Save the numbers (JSON)"
WATCH = "Watch"
NO_PROMPT = "Write a few words for the prefix to continue."
PROMPT = "Question: What is the capital of France?\nAnswer:"
WATCHING = "Writing: {tokens} so far."

# A LoRA
NORMS = "Size of the update, as a share of W"
RANKS = "Effective rank of the update"
SINGULAR = "Singular values of the update"
WEIGHT, CHANGE, ADAPTED = "W", "What is added to it", "W with it"
LAYER, MODULE, NUMBER, VALUE, ROW, COLUMN = "layer", "module", "number", "singular value", "row", "column"
SHARE, EFFECTIVE = "share of W", "effective rank"
LORA_HELP = (
    "Size is the Frobenius norm of scaling · B·A over that of W. The effective rank is exp of the entropy of the "
    "singular values, each as a share of their sum (Roy and Vetterli 2007): how many directions the update really "
    "uses, at most r. The squares are the block of 32 by 32 that changes most; W and W with the update share one "
    "colour scale, what is added has its own. Of a DoRA the added part includes its gains, sizes and ranks do not."
)

# A prefix
WORDS = "The nearest words of each virtual token"
WORD_COLUMNS = ["Virtual token", "Before training", "After training", "Moved"]
MOVED = "How far each virtual token moved, by layer"
ATTENTION = "Attention to each virtual token, by layer"
BY_TOKEN = "Attention to the whole prefix, by token and layer"
VIRTUAL, TOKEN, PAID, MOVED_SHARE = "virtual token", "token", "share of attention", "change over size before"
OUTSIDE = "outside of the layers"
UNKNOWN_START = "not known"
WORDS_HELP = (
    "A virtual token is no word. In the first layer a real token's value, what attention reads of it, depends on that "
    "token alone; so there the values of a virtual token are compared with those of every token of the vocabulary, "
    "and the nearest by cosine are named. A prefix that begins as a text begins at its words, with a cosine of 1. "
    "Higher layers mix in context and have no such dictionary: for them the map says how far keys and values moved: "
    "the norm of the change over the norm before."
)
ATTENTION_HELP = (
    "Means over the heads of a layer. The attention of a token is that of the position which predicts it. The rest, up "
    "to 100 %, goes to the prompt and the text. The first position often draws attention that means nothing."
)

# What methods cost
COSTS_HTML = (
    "<h2>What each method costs</h2><p>Measured on the machine of this app, with its base model. Full fine-tuning "
    "trains every weight; merging adds a LoRA to the weights, which then are a model of their own.</p>"
)
COSTS = "What each method costs"
MEASURE = "Measure here"
NOT_MEASURED = (
    "Nothing was measured for this base model yet: press Measure here, or run python -m adapters methods. It takes "
    "minutes and several times the memory of the model."
)
MEASURING_STOPPED = "Stopped: the figures are those of before."


def control(name: str) -> dict[str, Any]:
    """Label and explanation of a control."""
    return CONTROLS[name]._asdict()


def lora_line(name: str, updates: list[Update], num_parameters: int) -> str:
    """What a LoRA is, in a line."""
    trained = sum(update.trained for update in updates)
    full = sum(update.size[0] * update.size[1] for update in updates)
    return (
        f"{name}: {trained:,} trained parameters in {len(updates)} modules, {percent(trained / full)} of the "
        f"{full:,} of those modules and {percent(trained / num_parameters)} of the model's {num_parameters:,}."
    )


def module_line(update: Update) -> str:
    """What a LoRA did to one module, in a line."""
    out, inputs = update.size
    return (
        f"{update.path}: W is {out:,} by {inputs:,}, {update.trained:,} trained instead of {out * inputs:,}. The "
        f"update is {percent(update.relative)} of W in size; effective rank {update.effective_rank:.1f} of "
        f"{len(update.singular_values)}."
    )


def prefix_line(name: str, size: int, trained: int, num_parameters: int) -> str:
    """What a prefix is, in a line."""
    return (
        f"{name}: {size} virtual tokens, {trained:,} numbers as keys and values, {percent(trained / num_parameters)} "
        f"of the model's {num_parameters:,} parameters. It takes up {size} positions of the context."
    )


def place_of(update: Update) -> str:
    """A module in the list."""
    where = "" if update.layer is None else f"layer {update.layer + 1}: "
    return f"{where}{update.module}, {percent(update.relative)} of W"


def watched_line(seen: Watched) -> str:
    """How much of its attention a text paid to the prefix, in a line."""
    shares = [share for row in seen.attention.tokens for share in row] if seen.attention is not None else []
    mean = sum(shares) / max(1, len(shares))
    return f"Written: {quote(''.join(seen.tokens))}. Its tokens paid {percent(mean)} of their attention to the prefix."
