"""The words of the Attributes tab."""

from collections.abc import Mapping

from adapters.discriminators.fit import Measured
from demo.parts.words import percent

# Attributes: lists of words
LISTS_HTML = (
    "<h2>Lists of words</h2><p>PPLM pushes towards the words of a list. A word of several tokens is pushed piece by "
    "piece: from its first token on if that says enough of it, otherwise only once the text has begun it.</p>"
)
WORD, WEIGHT, PIECES, IS_USED, WHY = "Word", "Weight", "Tokens", "Used", "Why not"
SPLITS = "How each word is split"
SEND_WORDS = "Use in the panes"
WORDS_SENT = "Every pane of the Compare tab that has an attribute now steers by these words."

# Attributes: discriminators
DISCRIMINATORS_HTML = (
    "<h2>Discriminators</h2><p>A discriminator tells classes of texts apart by what the base model makes of them, and "
    "PPLM steers towards a class of it. It is a linear head on the mean of the last hidden states.</p>"
)
TRAIN_HTML = (
    "<h2>Train your own</h2><p>Upload rows with a text and its label, as CSV (first line text,label) or JSONL, two "
    "classes or more with at least 10 texts each. It takes about a minute for 500 short texts; the panes go on "
    "meanwhile, more slowly. Whoever uses this app can then steer by it.</p>"
)
UPLOAD_ROWS = "Upload labelled rows"
TRAIN = "Train"
NO_ROWS = "There are no rows yet: upload a CSV or JSONL file with text and label."
ROWS_TOO_LONG = "The file has more than {most:,} bytes, which is what this app reads: shorten it."
NO_SUCH_DISCRIMINATOR = "There is no such discriminator: choose one from the list."
NO_FIGURES_OF_HEAD = "Its folder does not say how well it does."
TRAINED = "Done: choose {names} as an attribute in any pane, or as a method in the leaderboard."
TRAINING_STOPPED = "Stopped: nothing was stored; texts that were read will not be read again."
CONFUSION = "Held-out texts"
IS_TOLD_AS = "is \\ told as"
CURVE = "How much data was enough"
TRAINING_TEXTS, HELD_OUT_ACCURACY = "training texts", "held-out accuracy, %"
LARGEST_CLASS = "always the most frequent class"


def rows_line(classes: Mapping[str, int]) -> str:
    """How many rows there are of each class."""
    total = sum(classes.values())
    return f"{total:,} texts: " + ", ".join(f"{name} {number:,}" for name, number in classes.items()) + "."


def accuracy_line(measured: Measured) -> str:
    """How well a discriminator tells its classes apart."""
    accuracy = measured.accuracy
    return (
        f"{percent(accuracy.share)} of {measured.held_out_rows:,} held-out texts are told right (95 % interval "
        f"{percent(accuracy.low)} to {percent(accuracy.high)}); always saying the most frequent class would be right "
        f"for {percent(measured.largest_class)}. Trained on {measured.training_rows:,} texts; from "
        f"{measured.enough:,} on it is within that interval."
    )
