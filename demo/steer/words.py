"""The words of the Steer tab."""

from collections.abc import Callable, Mapping

from adapters.pplm.bags import WordSplit
from adapters.pplm.discriminator import Measured
from demo.parts.words import PROSE, percent, words_of
from leaderboard.frontier import OURS, PAPER, WAYS, Goal, Point
from leaderboard.tables.display import number

__getattr__: Callable[[str], str] = words_of("steer")
COLLECTIONS: dict[str, str] = PROSE["steer"]["COLLECTIONS"]
NOW, LATER, UNUSED = "steers at once", "only gets completed", "cannot be used"
CHIPS_KEY_HTML = (
    f'<p class="key"><span class="now">{NOW}</span> <span class="later">{LATER}</span> '
    f'<span class="unused">{UNUSED}</span></p>'
)
COLUMNS = ["Word", "Used", "Tokens", "Weight", "Why not"]
GOALS: dict[str, str] = PROSE["steer"]["GOALS"]
ALGORITHMS = {name: ", by ".join(filter(None, way[:2])) for name, way in WAYS.items()}
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
        f"{vectors_line(measured)}"
    )


def vectors_line(measured: Measured) -> str:
    """How well the steering vectors put held-out texts in order; empty without them."""
    if (found := measured.directions) is None:
        return ""
    shares = ", ".join(f"{name} {percent(share)}" for name, share in zip(measured.classes, found.ordered, strict=True))
    return f" Steering vectors at {found.layer}: held-out pairs in the right order: {shares}."


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
