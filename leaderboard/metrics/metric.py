"""A metric of one method: rows of statistics in, a number out, and a passport that says how it is computed.

A metric turns the texts of a method into `rows`, one per prompt. `value(rows, weights)` counts prompt p weights[:, p]
times: with ones it is the figure, with the counts of a bootstrap sample a resampled figure.
Letters: N texts, P prompts, K statistics, R weightings.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import datasets
import evaluate
import numpy as np
import numpy.typing as npt

from leaderboard.metrics.grams import Grams, IntArray, grams
from leaderboard.metrics.passport import Array, Passport

LONGEST_GRAM = 4
AS_REFERENCE = "as many lines of a text as its reference has"


class Setting(NamedTuple):
    """Facts about a run that its columns depend on."""

    judge: str  # the label of its tallies
    judge_title: str
    attributes: Mapping[str, bool | None]  # -> whether texts should show it; None: in some methods
    n: str
    equal_length: str  # how `Texts.words` were cut


class Costs(NamedTuple):
    """Costs of a method; a batch counts for its first prompt."""

    speed: Array  # (P, 2) new tokens, seconds
    base_speed: Array  # (P, 2) the same of the base, in the same run
    num_parameters: float
    num_bytes: float
    peak_bytes: float  # NaN: not measured


@dataclass(frozen=True)
class Texts:
    """The N texts of one method for P prompts."""

    texts: Sequence[str]  # uncut
    words: Sequence[Sequence[str]]  # between whitespace, cut to the same length for every method
    prompts: IntArray  # (N,) the prompt of each, from 0
    num_prompts: int
    references: Sequence[str | None]  # of each
    tallies: Mapping[str, Array] = field(default_factory=dict)  # label -> (N, 2): sum, number; zeros: none
    costs: Costs | None = None

    def by_prompt(self, *columns: npt.NDArray[np.generic]) -> Array:
        """Sums of columns (N,) over the texts of each prompt: (P, K)."""
        return np.stack([np.bincount(self.prompts, column, self.num_prompts) for column in columns], axis=1)

    def tally(self, label: str) -> Array:
        """Sum and number of each text: (N, 2), zeros: none."""
        return self.tallies.get(label, np.zeros((len(self.texts), 2)))

    def tally_by_prompt(self, label: str) -> Array:
        """Sum and number of the texts of each prompt: (P, 2)."""
        return self.by_prompt(*self.tally(label).T)

    def compare(self, statistics: Callable[[Sequence[str], Sequence[str]], Array]) -> Array:
        """Sums over each prompt of the statistics (N, K) of texts and references: (P, K); zeros without a reference."""
        indices, lines, references = self.compared
        found = statistics(lines, references)
        every = np.zeros((len(self.texts), found.shape[1]))
        every[indices] = found
        return self.by_prompt(*every.T)

    @cached_property
    def grams(self) -> list[Grams]:
        """The n-grams of the words, for n = 1 … 4."""
        return grams(self.words, LONGEST_GRAM)

    @property
    def compared(self) -> tuple[IntArray, list[str], list[str]]:
        """Index, text and reference of each text with a reference; the text has as many lines as its reference."""
        wanted = {index: each.strip() for index, each in enumerate(self.references) if each is not None}
        texts = {index: self.texts[index].strip().split("\n") for index in wanted}
        lines = ["\n".join(texts[index][: each.count("\n") + 1]) for index, each in wanted.items()]
        return np.array(list(wanted), dtype=np.int64), lines, list(wanted.values())


@dataclass(frozen=True)
class Metric:
    name: str
    passport: Passport
    # (P, K), or one row without an interval if it is measured once; zeros or NaN: nothing to count
    rows: Callable[[Texts], Array]
    value: Callable[[Array, Array], Array]  # rows (P, K), weights (R, P) -> (R,); NaN: nothing to count
    of_verdicts: bool = False  # a share: rows (P, 2) are numbers of verdicts that hold, and of all


def plain(texts: Sequence[str], prompts: Sequence[Hashable] | None = None) -> Texts:
    """Whole texts without a run; `prompts` holds the prompt of each (None: each has its own)."""
    of = range(len(texts)) if prompts is None else prompts
    indices = {prompt: index for index, prompt in enumerate(dict.fromkeys(of))}
    prompt_of = np.array([indices[prompt] for prompt in of], dtype=np.int64)
    return Texts(texts, [text.split() for text in texts], prompt_of, len(indices), [None] * len(texts))


def figure(metric: Callable[[Array, Array], Array], rows: Array) -> float:
    """The figure of rows that count once each."""
    return float(metric(rows, np.ones((1, len(rows))))[0])


def stacked(*columns: Sequence[float]) -> Array:
    return np.column_stack(columns).astype(float)


def ratio(rows: Array, weights: Array) -> Array:
    """Sum of the first statistic / sum of the second: rows (P, 2), weights (R, P) -> (R,); NaN for 0/0."""
    sums = weights @ rows  # (R, 2)
    return divide(sums[:, 0], sums[:, 1])


def divide(numerator: Array, denominator: Array) -> Array:
    """The quotient; NaN for a denominator of 0."""
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0)


Figures = Mapping[str, tuple[Callable[[Array, Array], Array], Callable[..., Array]]]


def measurement(description: str | None, figures: Figures, **inputs: str) -> type[evaluate.Measurement]:
    """The class that `evaluate.load` looks for in a metric's file.

    `inputs` are the types of its columns; `figures` are the `value` of each metric, and its `rows` from the columns.
    """
    features = datasets.Features({name: datasets.Value(kind) for name, kind in inputs.items()})

    class Measured(evaluate.Measurement):
        def _info(self) -> evaluate.MeasurementInfo:
            return evaluate.MeasurementInfo(description=description or "", citation="", features=features)

        def _compute(self, **columns: Any) -> dict[str, float]:
            given = [columns[name] for name in inputs]
            return {name: figure(value, rows(*given)) for name, (value, rows) in figures.items()}

    return Measured
