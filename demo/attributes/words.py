"""The words of the Attributes tab."""

from collections.abc import Mapping

from adapters.discriminators.discriminator_card import Measured
from demo.parts.words import percent

# Attributes: lists of words
LISTS_HTML = (
    "<h2>Lists of words</h2><p>PPLM steers towards the words of a list. A word of several tokens is steered from its "
    "first token if that token is specific enough, otherwise only completed once the text has begun it.</p>"
)
COLUMNS = ["Word", "Used", "Tokens", "Weight", "Why not"]
SPLITS = "How each word is split"
SEND_WORDS = "Use in the panes"
WORDS_SENT = "Every pane of the Compare tab that has an attribute now steers by these words."

# Attributes: discriminators
DISCRIMINATORS_HTML = (
    "<h2>Discriminators</h2><p>A discriminator predicts the class of a text, and PPLM steers towards one of its "
    "classes. It is a linear classifier on the mean of the base model's last hidden states.</p>"
)
TRAIN_HTML = (
    "<h2>Train your own</h2><p>Upload texts with labels as CSV (first line text,label) or JSONL: two or more classes "
    "of at least 10 texts each. 500 short texts take about a minute; the panes keep working, more slowly. Everybody "
    "who uses this app can then steer by it.</p>"
)
UPLOAD_ROWS = "Upload labelled rows"
TRAIN = "Train"
NO_ROWS = "There are no rows yet: upload a CSV or JSONL file with text and label."
ROWS_TOO_LONG = "The file has more than {most:,} bytes: shorten it."
NO_SUCH_DISCRIMINATOR = "There is no such discriminator: choose one from the list."
NO_FIGURES_OF_HEAD = "This discriminator has no report."
TRAINED = "Done: choose {names} as an attribute in any pane, or as a method in the leaderboard."
TRAINING_STOPPED = "Stopped: nothing was stored. A new start reuses the texts that were read."
CONFUSION = "Held-out texts"
ACTUAL_PREDICTED = "actual ↓ predicted →"
CURVE = "Accuracy by number of training texts"
TRAINING_TEXTS, HELD_OUT_ACCURACY = "training texts", "held-out accuracy, %"
LARGEST_CLASS = "guessing the largest class"


def rows_line(classes: Mapping[str, int]) -> str:
    """The number of rows of each class."""
    total = sum(classes.values())
    return f"{total:,} texts: " + ", ".join(f"{name} {number:,}" for name, number in classes.items()) + "."


def accuracy_line(measured: Measured) -> str:
    """The accuracy of a discriminator in one line."""
    accuracy = measured.accuracy
    return (
        f"{percent(accuracy.share)} right on {measured.held_out_rows:,} held-out texts (95 % interval "
        f"{percent(accuracy.low)} to {percent(accuracy.high)}; guessing: {percent(measured.largest_class)}). Trained "
        f"on {measured.training_rows:,} texts; {measured.enough:,} would have been enough."
    )
