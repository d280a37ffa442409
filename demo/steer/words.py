"""The words of the Steer tab."""

from collections.abc import Mapping

from adapters.pplm.bags import WordSplit
from adapters.pplm.discriminator import Measured
from demo.parts.words import PROSE, percent
from leaderboard.frontier import OURS, PAPER, UNSTEERED, Goal, Point
from leaderboard.tables.display import number

# Topics
TOPICS_HTML = PROSE["steer"]["TOPICS_HTML"]
SEARCH = "Type to search {topics} topics."
COLLECTIONS = {"": "Steerboard", "empath": "Empath", "liu": "Hu and Liu"}
NOW, LATER, UNUSED = "steers at once", "only gets completed", "cannot be used"
CHIPS_KEY_HTML = (
    f'<p class="key"><span class="now">{NOW}</span> <span class="later">{LATER}</span> '
    f'<span class="unused">{UNUSED}</span></p>'
)
NO_USABLE_WORD = "This model cannot begin any word of this list: add common words."
MORE_WORDS = "… and {more:,} more"
DETAILS = "How each word is split into tokens"
COLUMNS = ["Word", "Used", "Tokens", "Weight", "Why not"]
SPLITS_HELP = PROSE["steer"]["SPLITS_HELP"]
SEND_WORDS = "Use in Compare"
WORDS_SENT = "Every pane of Compare that has a topic now steers to {name}."

# The live try
TRY_HTML = "<h3>Try it</h3>"
TRY, PROMPT = "Run", "Once upon a time there was a"
WITHOUT, WITH = "Base", "Steered"
NO_TRY = "Press Run to write here."
TRYING = "{tokens} of {most} tokens."
TRIED = "On topic: {steered} steered, {base} in Base. Both texts use seed {seed}."
TRY_STOPPED = "Stopped."

# Classifiers
DISCRIMINATORS_HTML = PROSE["steer"]["DISCRIMINATORS_HTML"]
TRAIN_OWN = "Train your own classifier"
TRAIN_HTML = PROSE["steer"]["TRAIN_HTML"]
UPLOAD_ROWS = "Upload labelled texts"
TRAIN = "Train"
NO_ROWS = "Upload a CSV or JSONL file with text and label first."
ROWS_TOO_LONG = "The file has more than {most:,} bytes: shorten it."
NO_SUCH_DISCRIMINATOR = "No such classifier: choose one from the list."
NO_FIGURES_OF_HEAD = "This classifier has no report."
TRAINED = "Done: choose {names} in any pane of Compare, or as a method in Leaderboard."
TRAINING_STOPPED = "Stopped: nothing was stored. A new start reuses the texts that were read."
CONFUSION = "Held-out texts"
ACTUAL_PREDICTED = "actual ↓ predicted →"
CURVE = "Accuracy by number of training texts"
TRAINING_TEXTS, HELD_OUT_ACCURACY = "training texts", "right on held-out texts, %"
LARGEST_CLASS = "guessing the largest class"

# How hard to steer
STRENGTH_HTML = PROSE["steer"]["STRENGTH_HTML"]
STRENGTH = "Strength"
GOALS = {"topics": "Seven topics together"}
REGION = "on topic and still readable"
STRENGTH_PLOT_HELP = PROSE["steer"]["STRENGTH_PLOT_HELP"]
STRENGTH_DETAILS = "Figures, judges and commands"
STRENGTH_TABLE_HELP = PROSE["steer"]["STRENGTH_TABLE_HELP"]
NOT_MEASURED = PROSE["steer"]["NOT_MEASURED"]
OTHER_BASE = "These figures are of another base model: {measured}. {running} is running."
NO_SUCH_STRENGTH = "That was not measured: choose from the lists."
NO_TEXTS = "No texts are stored for this goal."
ALGORITHMS = {UNSTEERED: "Base", OURS: "Steerboard, by strength", PAPER: "PPLM as published, by step size"}
ALGORITHMS_SHORT = {UNSTEERED: "Base", OURS: "Steerboard", PAPER: "PPLM as published"}
VERDICTS = {True: "✓", False: "✗"}


def readable(name: str) -> str:
    """A topic with its collection, such as "Air travel · Empath"."""
    collection, _, topic = name.rpartition("/")
    return f"{topic.replace('_', ' ').capitalize()} · {COLLECTIONS.get(collection, collection)}"


def kind(split: WordSplit) -> str:
    """Whether a word steers at once, only gets completed, or cannot be used."""
    if any(split.counts[:1]):
        return NOW
    return LATER if any(split.counts) else UNUSED


def list_line(kinds: list[str]) -> str:
    now, later, unused = (kinds.count(name) for name in (NOW, LATER, UNUSED))
    parts = [f"{now:,} {'steers' if now == 1 else 'steer'} at once"]
    if later:
        parts.append(f"{later:,} only {'gets' if later == 1 else 'get'} completed")
    if unused:
        parts.append(f"{unused:,} cannot be used")
    return ", ".join(parts) + "."


def rows_line(classes: Mapping[str, int]) -> str:
    total = sum(classes.values())
    return f"{total:,} texts: " + ", ".join(f"{name} {number:,}" for name, number in classes.items()) + "."


def accuracy_line(measured: Measured) -> str:
    accuracy = measured.accuracy
    return (
        f"{percent(accuracy.share)} right on {measured.held_out_rows:,} held-out texts (guessing: "
        f"{percent(measured.largest_class)}). 95 % interval: {percent(accuracy.low)} to {percent(accuracy.high)}. "
        f"Trained on {measured.training_rows:,} texts; {measured.enough:,} would have been enough."
    )


def goal_name(name: str) -> str:
    """A goal in the list, such as "positive, away from negative"."""
    return GOALS.get(name, name.replace("&", ", ").replace("*-1", "").replace(", ", ", away from "))


def advice(goal: Goal) -> str:
    """The strength to use, and what it gives; what PPLM as published gives."""
    found, paper = goal.best(OURS), goal.best(PAPER)
    if found is None:
        return ""
    said = f"Use strength {found.strength:g}: {point_line(found)}."
    return said if paper is None else f"{said} PPLM as published (step size {paper.strength:g}): {point_line(paper)}."


def point_line(point: Point) -> str:
    figures = point.figures
    collapsed = figures["long_runs"].value
    said = (
        f"{percent(figures['success'].value)} of texts on topic ({number(figures['success_gain'].value)} × base), "
        f"perplexity {number(figures['perplexity'].value)} × base"
    )
    return said + (f", {percent(collapsed)} collapse into one word" if collapsed else "")
