"""What steering costs at each strength: success against perplexity, diversity and repetition, for two algorithms.

Knows runs and their tables; knows nothing of pages. At every strength each topic is steered to from the same neutral
prompts and seeds, all topics in one run beside the base, and the figures are means over the topics:

    success            share of the texts in which the topic's own judge sees it, who never saw the list
    perplexity         exp of total loss over total tokens under the base, over that of the unsteered texts
    distinct_n         distinct-n of a topic's texts over that of the unsteered ones, at equal length
    repetition         share of 4-grams that stood in the text before
    longest_run        the most often that a word stands in a row in any text

Intervals are 95 % bootstrap intervals over prompts.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import NamedTuple

import numpy as np
import pandas as pd

from adapters.methods import BASE, PPLM, Attribute, Method, Sampling, as_in_paper
from leaderboard.bootstrap import interval
from leaderboard.comparable import Comparable, comparable
from leaderboard.display import number, with_interval
from leaderboard.metrics.metric import Array, Metric
from leaderboard.records import PromptSet, RunData, RunSpec
from leaderboard.report import render
from leaderboard.run import Progress, Runner
from leaderboard.scatter import Dot, scatter
from leaderboard.table import Cell, figures, metrics

TOPICS = ("science", "space", "military", "politics", "religion", "legal", "computers")
BUDGETS = (0.1, 0.2, 0.4, 0.6, 1.0)  # nats a token
STEPS = (0.005, 0.01, 0.02, 0.03, 0.05)
RELATIVE = ("perplexity", "distinct_1", "distinct_2", "distinct_3")
SAMPLING = Sampling(max_new_tokens=50)


@dataclass(frozen=True)
class Point:
    """One algorithm at one strength."""

    algorithm: str  # "budget" or "paper"
    strength: float  # nats a token, or the step size
    figures: dict[str, Cell]
    unsteered_success: Cell
    longest_run: int


class Strength(NamedTuple):
    """An algorithm, and how to turn it up."""

    name: str
    title: str
    values: Sequence[float]
    steer: Callable[[PPLM, float], PPLM]


ALGORITHMS = (
    Strength("budget", "a budget of nats a token", BUDGETS, lambda settings, value: replace(settings, kl_budget=value)),
    Strength(
        "paper",
        "the paper's algorithm, by step size",
        STEPS,
        lambda settings, value: as_in_paper(replace(settings, step_size=value)),
    ),
)


def specs(algorithm: Strength, attributes: Sequence[str], samples: int) -> Iterator[tuple[float, RunSpec]]:
    """The run of each strength: the base, and a method for each attribute."""
    for value in algorithm.values:
        steered = [
            Method(f"pplm:{name}", steering=algorithm.steer(PPLM((Attribute(name),)), value)) for name in attributes
        ]
        yield value, RunSpec((BASE, *steered), samples=samples, sampling=SAMPLING)


def measure(
    runner: Runner, prompts: PromptSet, algorithm: Strength, attributes: Sequence[str], samples: int
) -> Iterator[Progress | Point]:
    """Runs every strength in turn; yields how far each is, and its point. Texts that are stored cost nothing."""
    for value, spec in specs(algorithm, attributes, samples):
        run = runner.add(spec, prompts, None)
        yield from runner.run(run.id)
        yield point(runner.data(run.id), algorithm.name, value)


def point(data: RunData, algorithm: str, strength: float) -> Point:
    """The figures of a run of the base and some steered methods."""
    seen = comparable(data)
    known = {metric.name: metric for metric in metrics(seen)}
    names = [method.name for method in data.run.spec.methods]
    steered = range(1, len(names))
    own = [values(known[f"attribute:{names[place].removeprefix('pplm:')}"], seen, names) for place in steered]
    found = {"success": cell([each[place] for place, each in zip(steered, own, strict=True)])}
    for name in RELATIVE:
        each = values(known[name], seen, names)
        found[name] = cell([each[place] / each[0] for place in steered])
    found["repetition"] = cell([values(known["repetition"], seen, names)[place] for place in steered])
    texts = [sample.text for sample in data.samples if sample.method]
    return Point(algorithm, strength, found, cell([each[0] for each in own]), max(map(longest_run, texts), default=0))


def values(metric: Metric, seen: Comparable, names: Sequence[str]) -> list[Array]:
    """The figure of each method and its resamples: (1 + R,)."""
    return [figure.values for figure in figures(metric, seen, names)]


def cell(each: Sequence[Array]) -> Cell:
    """The mean over the topics, with its interval."""
    mean = np.mean(each, axis=0)
    return Cell(mean[0].item(), *interval(mean[1:]))


def longest_run(text: str) -> int:
    """How often a word stands in a row, at most.

    >>> longest_run("of of The the the, end")
    3
    """
    words = [word.strip(".,;:!?\"'()").lower() for word in text.split()]
    return max((len(list(same)) for word, same in groupby(words) if word), default=0)


def table(points: Sequence[Point]) -> pd.DataFrame:
    """A row a point, with intervals as text."""
    rows = {
        f"{point.algorithm} {point.strength:g}": {
            **{name: with_interval(cell) for name, cell in point.figures.items()},
            "unsteered success": number(point.unsteered_success.value),
            "longest run": point.longest_run,
        }
        for point in points
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def drawing(points: Sequence[Point], below: str) -> str:
    """An SVG of success against perplexity, with a line of text below."""
    dots = [
        Dot(f"{p.strength:g}", p.algorithm, p.algorithm, p.figures["perplexity"][:3], p.figures["success"][:3])
        for p in points
    ]
    titles = {algorithm.name: algorithm.title for algorithm in ALGORITHMS}
    return render("frontier.svg", plot=scatter(dots), titles=titles, below=below)
