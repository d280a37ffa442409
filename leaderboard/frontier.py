"""What steering costs at each strength: success against perplexity, diversity and repetition, as data.

A goal is what is steered towards: the topics together, or one sentiment. The figures of a point are
means over the attributes of its goal, of texts for the same neutral prompts from the same seeds:

    success            share of the texts in which the attribute's own judge sees it, who never saw the list
    success_gain       that share over the share of the unsteered texts
    perplexity         exp of total loss over total tokens under the base, over that of the unsteered texts
    distinct_n         distinct-n of the texts over that of the unsteered ones, at equal length
    repetition         share of 4-grams that stood in the text before
    longest_run        the most often that a word stands in a row in any text
    long_runs          share of the texts in which a word stands in a row more often than the bar allows

Intervals are 95 % bootstrap intervals over prompts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson

from adapters.methods import Sampling, UserError, from_json, parse_attribute, to_json
from leaderboard.judges import TOPICS, judge_of, judged_name
from leaderboard.metrics.metric import Array, Metric, divide
from leaderboard.records import ATTRIBUTE, RunData
from leaderboard.tables.bootstrap import RESAMPLES, interval
from leaderboard.tables.comparable import Comparable, comparable
from leaderboard.tables.results import Cell
from leaderboard.tables.table import figures, metrics

FILE = Path(__file__).parent / "data" / "frontier.json"  # what was measured for the project
UNSTEERED, OURS, PAPER = "unsteered", "ours", "paper"
TOPIC_GOAL = "topics"
RELATIVE = ("perplexity", "distinct_1", "distinct_2", "distinct_3")
TITLES = {
    "success": "success",
    "success_gain": "success, unsteered = 1",
    "perplexity": "perplexity, unsteered = 1",
    "distinct_1": "distinct-1, unsteered = 1",
    "distinct_2": "distinct-2, unsteered = 1",
    "distinct_3": "distinct-3, unsteered = 1",
    "repetition": "repetition of 4-grams",
    "longest_run": "longest run of a word",
    "long_runs": "texts with a longer run than 3",
}
Target = tuple[str, ...]  # attributes that one method steers towards together


@dataclass(frozen=True)
class Point:
    """One algorithm at one strength."""

    algorithm: str  # UNSTEERED, OURS or PAPER
    strength: float  # 0, nats that a word is worth, or the step size
    samples: int  # texts for each prompt
    figures: dict[str, Cell]  # by the names of TITLES
    success_of: dict[str, Cell]  # the success of each attribute alone


@dataclass(frozen=True)
class Goal:
    """Everything that was measured of steering towards something; the unsteered point is the first."""

    name: str
    attributes: tuple[Target, ...]
    settings: dict[str, dict[str, Any]]  # algorithm -> its settings beside the strength
    points: tuple[Point, ...]

    @property
    def unsteered(self) -> Point:
        return self.points[0]

    def of(self, algorithm: str) -> list[Point]:
        return [point for point in self.points if point.algorithm == algorithm]


@dataclass(frozen=True)
class Frontier:
    """What a sweep has found, and everything that it was made with."""

    commands: tuple[str, ...]
    base: str  # id of the base model
    base_hash: str
    versions: dict[str, str]
    prompts: str  # name of the set
    num_prompts: int
    sampling: Sampling
    seed: int
    goals: tuple[Goal, ...]


class Bar(NamedTuple):
    """What a figure is to be."""

    figure: str
    limit: float
    at_least: bool  # False: at most

    def held(self, point: Point) -> bool:
        """Whether the figure itself is on the right side; False where it is missing."""
        value = point.figures[self.figure].value
        return value >= self.limit if self.at_least else value <= self.limit

    @property
    def sign(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}"


LONGEST_RUN = 3  # of a word that is no collapse; the base alone has a longer one in a text of some hundreds
LIMITS = (
    Bar("perplexity", 1.5, False),
    *(Bar(f"distinct_{n}", 0.95, True) for n in (1, 2, 3)),
    Bar("longest_run", LONGEST_RUN, False),
)
TOPIC_BARS = (Bar("success_gain", 4, True), *LIMITS)
SENTIMENT_BARS = (Bar("success", 0.8, True), *LIMITS)


def bars(goal: Goal) -> tuple[Bar, ...]:
    """What the figures of a goal are to be."""
    return TOPIC_BARS if goal.name == TOPIC_GOAL else SENTIMENT_BARS


def success_limit(goal: Goal) -> float:
    """The success that is wanted: so many times the unsteered one, or a share."""
    bar = next(bar for bar in bars(goal) if bar.figure.startswith("success"))
    return bar.limit * (goal.unsteered.figures["success"].value if bar.figure == "success_gain" else 1)


def best(goal: Goal, algorithm: str) -> Point | None:
    """The strength that holds most of the bars, and of those the one of greatest success; None without a point."""

    def rank(point: Point) -> tuple[int, float]:
        return sum(bar.held(point) for bar in bars(goal)), point.figures["success"].value

    return max(goal.of(algorithm), key=rank, default=None)


def goals(targets: Sequence[Target]) -> dict[str, list[Target]]:
    """The targets of each goal. Raises UserError where nobody judges a target, or two do."""
    found: dict[str, list[Target]] = {}
    for target in targets:
        attributes = [parse_attribute(name) for name in target]
        names = {judged_name(attribute.name) for attribute in attributes if attribute.weight > 0}
        if len(names) != 1 or judge_of(attributes[0].name) is None:
            raise UserError(
                f"Nobody judges {'&'.join(target)!r}: choose {', '.join(TOPICS)}, positive, negative, "
                "sentiment:positive or sentiment:negative, joined by & where they are the same or weigh less than 0."
            )
        found.setdefault(TOPIC_GOAL if names & set(TOPICS) else "&".join(target), []).append(target)
    return found


def point(data: RunData, algorithm: str, strength: float) -> Point:
    """The figures of a run whose first method is the base and whose others steer."""
    return measured(data, algorithm, strength, range(1, len(data.run.spec.methods)))


def unsteered(data: RunData) -> Point:
    """The same figures of its unsteered texts: those that are relative are 1."""
    return measured(data, UNSTEERED, 0.0, [0] * (len(data.run.spec.methods) - 1))


def measured(data: RunData, algorithm: str, strength: float, places: Sequence[int]) -> Point:
    """The figures of texts by the methods at `places`, the first judged by what the first steered method wants, …"""
    seen, methods = comparable(data), data.run.spec.methods
    known = {metric.name: values(metric, seen) for metric in metrics(seen)}
    wanted = [method.steering.attributes[0].name for method in methods if method.steering is not None]
    judged = [known[ATTRIBUTE + name] for name in wanted]
    each_success = [each[place] for place, each in zip(places, judged, strict=True)]
    success = np.mean(each_success, axis=0)
    found = {"success": success, "success_gain": divide(success, np.mean([each[0] for each in judged], axis=0))}
    for name in RELATIVE:
        found[name] = np.mean([divide(known[name][place], known[name][0]) for place in places], axis=0)
    found["repetition"] = np.mean([known["repetition"][place] for place in places], axis=0)
    runs = np.array([longest_run(sample.text) for sample in data.samples if sample.method in places])
    whole = {"longest_run": Cell(float(runs.max())), "long_runs": Cell(float((runs > LONGEST_RUN).mean()))}
    return Point(
        algorithm,
        strength,
        data.run.spec.samples,
        {name: cell(each) for name, each in found.items()} | whole,
        {name: cell(each) for name, each in zip(wanted, each_success, strict=True)},
    )


def values(metric: Metric, seen: Comparable) -> list[Array]:
    """The figure of each method and its resamples: (1 + R,), NaN for a method without a text."""
    names = [str(place) for place in range(len(seen.texts))]
    return [np.broadcast_to(figure.values, 1 + RESAMPLES) for figure in figures(metric, seen, names)]


def cell(found: Array) -> Cell:
    """A figure with its interval, from itself and its resamples (1 + R,)."""
    return Cell(found[0].item(), *interval(found[1:]))


def longest_run(text: str) -> int:
    """How often a word stands in a row, at most.

    >>> longest_run("of of The the the, end")
    3
    """
    words = [word.strip(".,;:!?\"'()").lower() for word in text.split()]
    return max((len(list(same)) for word, same in groupby(words) if word), default=0)


def merged(old: Frontier, new: Frontier) -> Frontier:
    """Both together; where both have a point the new one counts. Raises UserError where they cannot be compared."""
    if alike(old) != alike(new):
        raise UserError("What is stored was measured otherwise (model, prompts, sampling or seed): name another file.")
    goals = {goal.name: goal for goal in old.goals}
    for goal in new.goals:
        goals[goal.name] = merged_goal(goals[goal.name], goal) if goal.name in goals else goal
    commands = tuple(dict.fromkeys([*old.commands, *new.commands]))
    return replace(new, commands=commands, goals=tuple(goals.values()))


def alike(frontier: Frontier) -> tuple[object, ...]:
    """What figures must have in common to stand beside each other."""
    return frontier.base_hash, frontier.prompts, frontier.num_prompts, frontier.sampling, frontier.seed


def merged_goal(old: Goal, new: Goal) -> Goal:
    """The points of both. Raises UserError where an algorithm was set to something else."""
    for name in old.settings.keys() & new.settings.keys():
        if old.settings[name] != new.settings[name]:
            raise UserError(f"{new.name}: {name} was measured with other settings: name another file.")
    points = {(point.algorithm, point.strength): point for point in (*old.points, *new.points)}
    unsteered = max(old.unsteered, new.unsteered, key=lambda point: point.samples)
    steered = [point for point in points.values() if point.algorithm != UNSTEERED]
    steered.sort(key=lambda point: (point.algorithm, point.strength))
    return replace(new, settings=old.settings | new.settings, points=(unsteered, *steered))


def read_frontier(file: Path = FILE) -> Frontier | None:
    """What is stored in a file; None where there is none. Raises UserError where it is something else."""
    if not file.is_file():
        return None
    try:
        stored: Mapping[str, Any] = orjson.loads(file.read_bytes())
    except orjson.JSONDecodeError as error:
        raise UserError(f"{file.name} is not JSON: measure it again.") from error
    return from_json(Frontier, dict(stored))


def write_frontier(frontier: Frontier, file: Path) -> None:
    """Stores what was found, for `read_frontier`."""
    file.write_bytes(orjson.dumps(to_json(frontier), option=orjson.OPT_INDENT_2) + b"\n")
