"""The words of the page about what adapters have learned."""

from functools import partial

from adapters.learned.explorer import Watched
from adapters.learned.spectrum import Update
from demo.parts.controls import Control, labelled
from demo.parts.words import percent, quote

LEARNED = "What was learned"
LEARNED_HTML = (
    "<h2>What was learned</h2><p>A LoRA adds a matrix of low rank to weights of the base model; a prefix puts trained "
    "keys and values before the prompt in every layer. Choose an adapter to see what training made of it.</p>"
)
CONTROLS = {
    "adapter": Control("Adapter", "One that comes with the app, or that was trained or imported here."),
    "module": Control("Layer and module", "The update shown below; the one that changed most comes first."),
    "watch": Control("Prompt", "Continued with this prefix, to measure the attention of each new token."),
}
control = partial(labelled, of=CONTROLS)
NO_SUCH_ADAPTER = "There is no such adapter: choose one from the list."
NO_ADAPTERS = "No adapter works with this base model yet: train or import one."
SAVE_NUMBERS = "Save the numbers (JSON)"
WATCH = "Watch"
NO_PROMPT = "Write a few words for the prefix to continue."
PROMPT = "Question: What is the capital of France?\nAnswer:"
WATCHING = "Writing: {tokens} so far."

# A LoRA
NORMS = "Size of the update, as a share of W"
RANKS = "Effective rank of the update"
SINGULAR = "Singular values of the update"
WEIGHT, CHANGE, ADAPTED = "W", "The update", "W with the update"
LAYER, NUMBER, VALUE, ROW, COLUMN = "layer", "number", "singular value", "row", "column"
SHARE, EFFECTIVE = "share of W", "effective rank"
LORA_HELP = (
    "Size is the Frobenius norm of scaling · B·A over that of W. The effective rank is exp of the entropy of the "
    "singular values, each as a share of their sum (Roy and Vetterli 2007): the number of directions in use, at most "
    "r. The squares are the 32 by 32 block that changes most; both W share one colour scale. For a DoRA the update "
    "includes its gains; sizes and ranks do not."
)

# A prefix
WORDS = "The nearest words of each virtual token"
WORD_COLUMNS = ["Virtual token", "Before training", "After training", "Moved"]
MOVED = "How far each virtual token moved, by layer"
ATTENTION = "Attention to each virtual token, by layer"
BY_TOKEN = "Attention to the whole prefix, by token and layer"
VIRTUAL = "virtual token"
OUTSIDE = "outside of the layers"
UNKNOWN_START = "not known"
WORDS_HELP = (
    "A virtual token is not a word. In the first layer, the value of a real token depends on that token alone, so the "
    "values of virtual tokens are compared with those of the whole vocabulary; the nearest by cosine are shown. A "
    "prefix initialised from a text starts at its words, with cosine 1. Higher layers mix in context: for them the map "
    "shows how far keys and values moved, the norm of the change over the norm before."
)
ATTENTION_HELP = (
    "Means over the heads of a layer, at the position that predicts the token. The rest, up to 100 %, goes to prompt "
    "and text. The first position often draws attention that means nothing."
)

# What methods cost
COSTS_HTML = (
    "<h2>What each method costs</h2><p>Measured on this server with its base model. Full fine-tuning trains every "
    "weight; merging adds a LoRA to the weights for good, as a model of its own.</p>"
)
COSTS = "What each method costs"
MEASURE = "Measure here"
NOT_MEASURED = (
    "Not measured for this base model yet: press Measure here, or run python -m adapters methods. It takes minutes "
    "and several times the memory of the model."
)
MEASURING_STOPPED = "Stopped: the earlier figures stay."


def lora_line(name: str, updates: list[Update], num_parameters: int) -> str:
    """A LoRA in one line."""
    trained = sum(update.trained for update in updates)
    full = sum(update.size[0] * update.size[1] for update in updates)
    return (
        f"{name}: {trained:,} trained parameters in {len(updates)} modules, {percent(trained / full)} of the "
        f"{full:,} of those modules and {percent(trained / num_parameters)} of the model's {num_parameters:,}."
    )


def module_line(update: Update) -> str:
    """The update of one module in one line."""
    out, inputs = update.size
    return (
        f"{update.path}: W is {out:,} by {inputs:,}, {update.trained:,} trained instead of {out * inputs:,}. The "
        f"update is {percent(update.relative)} of W in size; effective rank {update.effective_rank:.1f} of "
        f"{len(update.singular_values)}."
    )


def prefix_line(name: str, size: int, trained: int, num_parameters: int) -> str:
    """A prefix in one line."""
    return (
        f"{name}: {size} virtual tokens, {trained:,} numbers as keys and values, {percent(trained / num_parameters)} "
        f"of the model's {num_parameters:,} parameters. It takes up {size} positions of the context."
    )


def place_of(update: Update) -> str:
    """A module in the list."""
    where = "" if update.layer is None else f"layer {update.layer + 1}: "
    return f"{where}{update.module}, {percent(update.relative)} of W"


def watched_line(seen: Watched) -> str:
    """The attention of a text to the prefix in one line."""
    shares = [share for row in seen.attention.tokens for share in row] if seen.attention is not None else []
    mean = sum(shares) / max(1, len(shares))
    return f"Written: {quote(''.join(seen.tokens))}. Its tokens paid {percent(mean)} of their attention to the prefix."
