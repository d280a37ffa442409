"""Success and cost of each way of steering, as measured by `python -m benchmarks frontier` and stored as JSON.

A goal is all topics together, or one sentiment. The figures of a point are means over the attributes of its
goal, with 95 % bootstrap intervals over prompts:

    success            share of texts in which a judge of the attribute sees it; it has no word list
    success_gain, perplexity, distinct_n        over those of the unsteered texts
    likeness           cosine of the embeddings of a text and its prompt, over that of the unsteered texts: a way that
                       turns every text into a review of a film succeeds always and drifts far from its prompts
    repetition         share of 4-grams that the same text has used before
    longest_run        most repetitions of one word in a row, in any text
    long_runs          share of texts with a longer run than LONGEST_RUN
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from adapters.methods import Sampling, UserError, from_json
from leaderboard.tables.results import Cell

FILE = Path(__file__).parent / "data" / "frontier.json"
UNSTEERED, OURS, PAPER, TOPIC_GOAL = "unsteered", "ours", "paper", "topics"
PUSH, ASK, BEST, VECTOR = "push", "ask", "best", "vector"
LONGEST_RUN = 3  # a longer run of one word counts as collapse; base texts rarely have one
TITLES = {
    "success": "on topic, share of texts",
    "success_gain": "on topic, × base",
    "perplexity": "perplexity, × base",
    **{f"distinct_{n}": f"distinct-{n}, × base" for n in (1, 2, 3)},
    "likeness": "likeness to the prompt, × base",
    "repetition": "repeated 4-grams",
    "longest_run": "longest run of one word",
    "long_runs": f"texts that repeat a word over {LONGEST_RUN} times",
}


class Way(NamedTuple):
    """A way of steering: how it is called, and what its strength is."""

    title: str
    strength: str
    kind: str  # of its colour


WAYS = {
    UNSTEERED: Way("Base", "", "base"),
    OURS: Way("PPLM", "strength", "pplm"),
    PAPER: Way("PPLM as published", "step size", "paper"),
    PUSH: Way("Logit push", "nats", "push"),
    ASK: Way("Instruction", "gamma", "ask"),
    BEST: Way("Best of r", "r", "best"),
    VECTOR: Way("Steering vector", "strength", "vector"),
}
Target = tuple[str, ...]  # attributes that one method steers towards together


@dataclass(frozen=True)
class Point:
    algorithm: str  # UNSTEERED or a way of WAYS
    strength: float  # 0 for UNSTEERED
    samples: int  # texts for each prompt
    figures: dict[str, Cell]  # by the names of TITLES
    success_of: dict[str, Cell]  # success of each attribute

    def figure(self, name: str) -> Cell:
        """A figure by its name; NaN if it was not measured."""
        return self.figures.get(name, Cell(math.nan))


@dataclass(frozen=True)
class Steered:
    """One prompt continued at every strength of OURS; strength 0 is the base."""

    attributes: Target
    prompt: str
    seed: int
    texts: tuple[tuple[float, str], ...]  # strength, text


@dataclass(frozen=True)
class Goal:
    """All points of one goal; the unsteered point comes first."""

    name: str
    attributes: tuple[Target, ...]
    settings: dict[str, dict[str, Any]]  # of each algorithm, without the strength
    points: tuple[Point, ...]
    steered: Steered | None = None  # to read

    @property
    def unsteered(self) -> Point:
        return self.points[0]

    def of(self, algorithm: str) -> list[Point]:
        return [point for point in self.points if point.algorithm == algorithm]

    @property
    def bars(self) -> "tuple[Bar, ...]":
        return TOPIC_BARS if self.name == TOPIC_GOAL else SENTIMENT_BARS

    @property
    def success_limit(self) -> float:
        """The wanted success, as a share of texts."""
        bar, unsteered = self.bars[0], self.unsteered.figures["success"].value
        return bar.limit * unsteered if bar.figure == "success_gain" else bar.limit

    def best(self, algorithm: str) -> Point | None:
        """The point that keeps most limits, then the one with the most success; None if there is no point."""
        held = {id(point): sum(bar.held(point) for bar in self.bars) for point in self.points}
        return max(self.of(algorithm), key=lambda p: (held[id(p)], p.figure("success").value), default=None)


@dataclass(frozen=True)
class Frontier:
    """The measured goals, and everything needed to measure them again."""

    commands: tuple[str, ...]
    base: str  # id of the base model
    base_hash: str
    versions: dict[str, str]
    prompts: str  # name of the prompt set
    num_prompts: int
    sampling: Sampling
    seed: int
    goals: tuple[Goal, ...]


class Bar(NamedTuple):
    """A limit that a figure should keep."""

    figure: str
    limit: float
    at_least: bool  # False: at most

    def held(self, point: Point) -> bool:
        """Whether the figure keeps the limit; False if it is NaN."""
        value = point.figure(self.figure).value
        return value >= self.limit if self.at_least else value <= self.limit

    @property
    def sign(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}"


DISTINCT = tuple(Bar(f"distinct_{n}", 0.95, True) for n in (1, 2, 3))
LIMITS = (Bar("perplexity", 1.5, False), *DISTINCT, Bar("longest_run", LONGEST_RUN, False))
TOPIC_BARS, SENTIMENT_BARS = (Bar("success_gain", 4, True), *LIMITS), (Bar("success", 0.8, True), *LIMITS)


def read_frontier(file: Path = FILE) -> Frontier | None:
    """Load a stored frontier; None if the file is missing. Raises UserError if it is damaged."""
    if not file.is_file():
        return None
    try:
        return from_json(Frontier, orjson.loads(file.read_bytes()))
    except orjson.JSONDecodeError as error:
        raise UserError(f"{file.name} is not JSON: measure it again.") from error
